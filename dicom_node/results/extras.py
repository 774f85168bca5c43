"""The result objects beside reports and segmentations, as the plan wants them."""

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from pydicom.dataset import Dataset

from dicom_node.results.capture import build_captures
from dicom_node.results.context import ResultContext
from dicom_node.results.encapsulated import build_pdf, pdf_of
from dicom_node.results.key_objects import build_key_objects
from dicom_node.results.presentation_state import build_presentation_state
from dicom_node.results.sr_groups import ReportMaterial
from dicom_node.results.uids import ResultUids

Named: TypeAlias = tuple[str, str, Dataset]
"""Kind, file name, object."""

PDF_NAME: Final = "report.dcm"
PLAIN_PDF_NAME: Final = "report.pdf"
PRESENTATION_STATE_NAME: Final = "presentation-state.dcm"
KEY_OBJECTS_NAME: Final = "key-objects.dcm"


def extra_objects(material: ReportMaterial, *, context: ResultContext, uids: ResultUids) -> Iterator[Named]:
    """PDF, captures, presentation state, key objects; the last two only where there is a lesion to point at."""
    plan = context.plan
    if plan.pdf:
        yield "pdf", PDF_NAME, build_pdf(material, context=context, uids=uids)
    if plan.capture:
        for number, capture in enumerate(build_captures(material, context=context, uids=uids), start=1):
            yield "capture", f"capture-{number:03d}.dcm", capture
    if not material.analysis.findings.lesions:
        return
    if plan.presentation_state:
        state = build_presentation_state(material, context=context, uids=uids)
        yield "presentation_state", PRESENTATION_STATE_NAME, state
    if plan.key_objects:
        yield "key_objects", KEY_OBJECTS_NAME, build_key_objects(material, context=context, uids=uids)


def plain_report(datasets: Mapping[str, Dataset | None]) -> bytes | None:
    """The PDF among objects by file name, for people without a PACS; None when there is none."""
    made = datasets.get(PDF_NAME)
    return pdf_of(made) if made is not None else None
