"""Writes the results of a study into a folder, reads back what later studies need."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from dicom_node.results.areas import areas_by_slice
from dicom_node.results.context import SR_NAME, ResultContext
from dicom_node.results.encode import collector_paused, dicom_bytes
from dicom_node.results.errors import InconsistentAnalysisError, UnreadableResultError, header_faults
from dicom_node.results.extras import PLAIN_PDF_NAME, extra_objects, plain_report
from dicom_node.results.findings_document import findings_bytes, read_lesions
from dicom_node.results.masks import masks_bytes, read_masks
from dicom_node.results.plan import ResultPlan, SrClass
from dicom_node.results.preview import MOST_LESION_PICTURES, draw_lesion, draw_overview
from dicom_node.results.seg import build_segmentation, plan_lesions, plan_lungs
from dicom_node.results.source import read_source_images
from dicom_node.results.sr import build_report
from dicom_node.results.sr_groups import ReportMaterial
from dicom_node.results.trees import report_bytes
from dicom_node.results.uids import result_uids
from pipeline.findings import Analysis, KnownLesions
from storage.failpoints import reach
from storage.records import ResultFile

LUNGS_NAME: Final = "seg-lungs.dcm"
LESIONS_NAME: Final = "seg-lesions.dcm"
FINDINGS_NAME: Final = "findings.json"
MASKS_NAME: Final = "masks.npz"
OVERVIEW_NAME: Final = "preview-overview.png"

_SR_NAMES: Final = "|".join(sr_class.replace("_", "-") for sr_class in SrClass)
_OWN_NAMES: Final = re.compile(
    rf"(sr(-({_SR_NAMES}))?|seg-(lungs|lesions)|report|capture-\d{{3,}}|presentation-state|key-objects)\.dcm"
    r"|report\.pdf|preview-(overview|lesion-\d{2,})\.png",
    re.ASCII,
)
"""Files of a result set that another one of the same study may lack."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Content:
    """A file before it is on disk."""

    kind: str
    name: str
    data: bytes
    dataset: Dataset | None = None
    """What names the DICOM object that `data` encodes; frames and references of a segmentation are in `data` alone."""


def write_result_set(analysis: Analysis, context: ResultContext, *, folder: Path) -> tuple[ResultFile, ...]:
    """Make all results of a study and put them into `folder`, synced.

    The same analysis and context give the same DICOM bytes. What an earlier attempt left in the folder under the names
    of a result set is replaced or removed; everything else in it stays.

    Raises:
        ResultsError: see `dicom_node.results.errors`.
        OSError: the folder cannot be written.
    """
    check_analysis(analysis)
    with collector_paused():
        objects = dicom_contents(analysis, context)
    contents = [*objects, *_plain_report(objects), *_plain_contents(analysis, context)]
    reach("job.output_in_memory")
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder, {content.name for content in contents})
    files = tuple(_put(folder, content) for content in contents)
    _sync_folder(folder)
    return files


def read_known_lesions(folder: Path) -> KnownLesions:
    """What an earlier result says, in the form that the comparison takes.

    Raises:
        UnreadableResultError: the files are missing, damaged or contradict each other.
    """
    series_instance_uid, lesions = read_lesions(folder / FINDINGS_NAME)
    masks = read_masks(folder / MASKS_NAME)
    if int(masks.lesion_labels.max(initial=0)) != len(lesions):
        msg = "findings and masks of an earlier result contradict each other; run that study again"
        raise UnreadableResultError(msg)
    return KnownLesions(
        series_instance_uid=series_instance_uid,
        grid=masks.grid,
        lung_mask=masks.lung_mask,
        lesion_labels=masks.lesion_labels,
        lesions=lesions,
    )


def check_analysis(analysis: Analysis) -> None:
    """Refuse findings that the masks do not bear out.

    Raises:
        InconsistentAnalysisError: naming the first contradiction.
    """
    for holds, contradiction in _checks(analysis):
        if not holds:
            raise InconsistentAnalysisError(contradiction)


def _checks(analysis: Analysis) -> Iterator[tuple[bool, str]]:
    """Each must hold; the later ones need the earlier."""
    shape = analysis.volume.grid.shape
    headers = analysis.volume.slice_headers
    arrays = (analysis.volume.volume_hu, analysis.lung_mask, analysis.lesion_labels)
    yield all(array.shape == shape for array in arrays), "volume and masks have different shapes"
    yield len(headers) == shape[0], "there is not one source image per slice"
    named = analysis.findings.input_sop_instance_uids
    yield named == tuple(header.sop_instance_uid for header in headers), "the findings name other source images"
    frames = tuple(header.frame_number for header in headers if header.frame_number is not None)
    yield analysis.findings.input_frame_numbers == frames, "the findings name other frames"
    yield bool(analysis.lung_mask.any()), "the lung mask is empty"
    numbers = [lesion.number for lesion in analysis.findings.lesions]
    yield numbers == list(range(1, len(numbers) + 1)), "the lesions are not numbered 1 to N"
    areas = areas_by_slice(analysis.lesion_labels, len(numbers))[:, 1:]
    is_complete = areas.shape[1] == len(numbers) and bool(areas.any(axis=0).all())
    yield is_complete, "the mask holds other lesions than the findings"
    key_slices = [(lesion.key_slice, lesion.number) for lesion in analysis.findings.lesions]
    is_on_key_slice = all(0 <= k < shape[0] and areas[k, number - 1] > 0 for k, number in key_slices)
    yield is_on_key_slice, "a lesion is not on its key slice"


@header_faults()
def dicom_contents(analysis: Analysis, context: ResultContext) -> list[Content]:
    """Report and segmentations.

    Raises:
        UnwritableResultError: highdicom or pydicom refuse what the source headers say.
    """
    images = read_source_images(analysis.volume, beside=(context.institution, context.device_serial_number))
    uids = result_uids(analysis.findings, context)
    lungs = build_segmentation(plan_lungs(analysis, images, context), images, context=context, uids=uids)
    lesions = None
    if analysis.findings.lesions:
        lesions = build_segmentation(plan_lesions(analysis, context), images, context=context, uids=uids)
    material = ReportMaterial(
        analysis=analysis,
        images=images,
        lungs_segmentation=lungs.header,
        lesions_segmentation=lesions.header if lesions else None,
        manufacturer=context.manufacturer,
    )
    reports = [
        ("sr", sr_name(sr_class, context.plan), build_report(material, sr_class, context=context, uids=uids))
        for sr_class in context.plan.sr_classes
    ]
    segmentations = [("seg-lungs", LUNGS_NAME, lungs), ("seg-lesions", LESIONS_NAME, lesions)]
    return [
        *(Content(kind=kind, name=name, data=report_bytes(report), dataset=report) for kind, name, report in reports),
        *(
            Content(kind=kind, name=name, data=segmentation.data, dataset=segmentation.header)
            for kind, name, segmentation in segmentations
            if segmentation is not None
        ),
        *(
            Content(kind=kind, name=name, data=dicom_bytes(dataset), dataset=dataset)
            for kind, name, dataset in extra_objects(material, context=context, uids=uids)
        ),
    ]


def sr_name(sr_class: SrClass, plan: ResultPlan) -> str:
    """File name of the report of a class: the first of the plan is `sr.dcm`."""
    return SR_NAME if sr_class is plan.sr_classes[0] else f"sr-{sr_class.replace('_', '-')}.dcm"


def _plain_report(objects: list[Content]) -> list[Content]:
    """The PDF beside its DICOM object, for people without a PACS."""
    pdf = plain_report({content.name: content.dataset for content in objects})
    return [] if pdf is None else [Content(kind="report", name=PLAIN_PDF_NAME, data=pdf)]


def _plain_contents(analysis: Analysis, context: ResultContext) -> list[Content]:
    """What is not DICOM."""
    return [
        Content(kind="findings", name=FINDINGS_NAME, data=findings_bytes(analysis.findings, context)),
        Content(kind="masks", name=MASKS_NAME, data=masks_bytes(analysis)),
        Content(kind="preview", name=OVERVIEW_NAME, data=draw_overview(analysis)),
        *(
            Content(kind="preview", name=f"preview-lesion-{lesion.number:02d}.png", data=draw_lesion(analysis, lesion))
            for lesion in analysis.findings.lesions[:MOST_LESION_PICTURES]
        ),
    ]


def _remove_leftovers(folder: Path, names: set[str]) -> None:
    """Remove what an earlier attempt wrote and this one does not; no file of a name that no result set has."""
    for path in list(folder.iterdir()):
        if path.name not in names and _OWN_NAMES.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _put(folder: Path, content: Content) -> ResultFile:
    """Write one file so that it is whole or absent."""
    path = folder / content.name
    partial = folder / f".{content.name}.partial"
    with partial.open("wb") as stream:
        stream.write(content.data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    dataset = content.dataset
    return ResultFile(
        kind=content.kind,
        path=path,
        sha256=hashlib.sha256(content.data).hexdigest(),
        sop_class_uid=str(dataset.SOPClassUID) if dataset else "",
        sop_instance_uid=str(dataset.SOPInstanceUID) if dataset else "",
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID) if dataset else "",
    )


def _sync_folder(folder: Path) -> None:
    """Make the names durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
