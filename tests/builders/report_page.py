"""Pages of built studies, and what a stranger reads in them."""

import unicodedata
from dataclasses import replace
from io import BytesIO

import numpy as np
import pypdf

from builders.analysis import build_context
from dicom_node.results.page.sheet import report_pdf
from dicom_node.results.source import read_source_images
from pipeline.findings import Analysis, Change, LesionKind


def page_of(analysis: Analysis, **context: object) -> bytes:
    """The page of a study."""
    return report_pdf(analysis, read_source_images(analysis.volume), build_context(**context))


def text_of(pdf: bytes) -> str:
    """What pypdf reads on the one page, letters in their plain forms, every run of spaces as one."""
    (page,) = pypdf.PdfReader(BytesIO(pdf)).pages
    return " ".join(unicodedata.normalize("NFKC", page.extract_text()).split())


def places_of(pdf: bytes) -> list[tuple[float, float]]:
    """Where each text on the page begins, in points from its lower left corner."""
    places: list[tuple[float, float]] = []

    def note(text: str, _: object, matrix: list[float], *__: object) -> None:
        if text.strip():
            places.append((matrix[4], matrix[5]))

    pypdf.PdfReader(BytesIO(pdf)).pages[0].extract_text(visitor_text=note)
    return places


def with_many_lesions(analysis: Analysis, count: int) -> Analysis:
    """The same lungs with so many lesions of one voxel each."""
    labels = np.zeros_like(analysis.lesion_labels)
    rows = np.argwhere(analysis.lung_mask > 0)[::7][:count]
    assert len(rows) == count
    for number, (k, j, i) in enumerate(rows, start=1):
        labels[k, j, i] = number
    pattern = analysis.findings.lesions[0]
    lesions = tuple(
        replace(
            pattern,
            number=number,
            tracking_uid=f"2.25.8{number}",
            tracking_id=f"Lesion {number:04X}",
            kind=list(LesionKind)[number % 2],
            key_slice=int(rows[number - 1][0]),
            change=list(Change)[number % 3],
            volume_ml=100.0 / number,
        )
        for number in range(1, count + 1)
    )
    return replace(analysis, lesion_labels=labels, findings=replace(analysis.findings, lesions=lesions))
