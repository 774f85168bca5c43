"""Headers of the source images, made fit to be the source of results."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.valuerep import TM

from dicom_node.character_sets import settle_character_set
from dicom_node.listen.instants import date_from_da
from dicom_node.results.acquisition import settle_acquisition_date_time, settle_lossy_compression, settle_offset
from dicom_node.results.errors import InconsistentAnalysisError, SourceImageError, header_faults
from dicom_node.results.geometry import settle_geometry
from dicom_node.results.readable import drop_unreadable
from pipeline.frames import frame_headers, is_multi_frame_ct
from pipeline.read import transfer_syntax_uid
from pipeline.study import SliceHeader, Volume

logger = logging.getLogger(__name__)

REQUIRED_PRESENT: Final = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""Type 2 of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): may be empty, may not be absent."""

_REFERENCE: Final = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
_CODE: Final = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
ITEMS_NEED: Final = {
    "ReferencedStudySequence": _REFERENCE,
    "ReferencedPatientSequence": _REFERENCE,
    "OtherPatientIDsSequence": ("PatientID", "TypeOfPatientID"),
    "ProcedureCodeSequence": _CODE,
    "ReasonForPerformedProcedureCodeSequence": _CODE,
    "RequestingServiceCodeSequence": _CODE,
    "AdmittingDiagnosesCodeSequence": _CODE,
    "EthnicGroupCodeSequence": _CODE,
    "PatientSizeCodeSequence": _CODE,
    "ReasonForVisitCodeSequence": _CODE,
}
"""Optional sequences that senders leave half empty, with what each item needs (PS3.3 10.8, 8.8, C.7.1.1)."""

_CHANGED: Final = "a source file changed while it was analysed"

SEX_VALUES: Final = frozenset({"M", "F", "O", ""})
"""PS3.3 C.7.1.1."""


class ImageReference(NamedTuple):
    """What names a slice in other objects (PS3.3 10.3, Image SOP Instance Reference Macro)."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None
    """None for a single-frame image."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceImages:
    """The images that were analysed, without pixels."""

    datasets: tuple[Dataset, ...]
    """The k-th belongs to slice k of the volume; for a frame it is what a single-frame image would say in its place,
    with the UIDs of the multi-frame object."""
    frame_numbers: tuple[int | None, ...]
    """The k-th is the frame that slice k was read from; None for a single-frame image."""

    @property
    def first(self) -> Dataset:
        """The one that patient and study attributes are taken from."""
        return self.datasets[0]

    @property
    def timezone_offset(self) -> str:
        """Timezone Offset From UTC, for instance `+0900`; empty when the source names none."""
        return str(self.first.get("TimezoneOffsetFromUTC", "") or "")

    @property
    def is_multi_frame(self) -> bool:
        """Whether slices are named by instance and frame."""
        return any(number is not None for number in self.frame_numbers)

    @property
    def instances(self) -> tuple[Dataset, ...]:
        """Each instance once, by its first slice, in slice order."""
        return tuple({str(dataset.SOPInstanceUID): dataset for dataset in reversed(self.datasets)}.values())[::-1]

    def reference(self, k: int) -> ImageReference:
        """What names slice k in other objects."""
        dataset = self.datasets[k]
        return ImageReference(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), self.frame_numbers[k])


@header_faults()
def read_source_images(volume: Volume, *, beside: Sequence[str] = ()) -> SourceImages:
    """The headers behind each slice of `volume`, in slice order.

    Args:
        volume: As it was read.
        beside: Text that results hold beside that of the images: the character set has room for it.

    Raises:
        SourceImageError: a file is gone or unreadable.
        InconsistentAnalysisError: a file holds another instance than the volume was read from.
        UnwritableResultError: pydicom refuses what a header says.
    """
    spacing_mm = volume.grid.slice_spacing_mm
    by_path = {header.path: header for header in volume.slice_headers}
    instances = {path: _read_instance(header, beside) for path, header in by_path.items()}
    datasets = tuple(_slice_header(header, instances[header.path]) for header in volume.slice_headers)
    for dataset in datasets:
        settle_geometry(dataset, spacing_mm)
        settle_acquisition_date_time(dataset)
    return SourceImages(datasets=datasets, frame_numbers=tuple(header.frame_number for header in volume.slice_headers))


def _read_instance(header: SliceHeader, beside: Sequence[str]) -> tuple[Dataset, ...]:
    """The header of a single-frame image, or of each frame."""
    try:
        dataset = pydicom.dcmread(header.path, stop_before_pixels=True)
    except (OSError, InvalidDicomError) as exc:
        raise SourceImageError from exc
    if str(dataset.get("SOPInstanceUID")) != header.sop_instance_uid:
        raise InconsistentAnalysisError(_CHANGED)
    drop_unreadable(dataset)
    settle_character_set(dataset, beside=beside)
    _settle_patient_and_study(dataset)
    settle_offset(dataset)
    settle_lossy_compression(dataset, transfer_syntax_uid(dataset))
    return tuple(frame_headers(dataset)) if is_multi_frame_ct(dataset) else (dataset,)


def _slice_header(header: SliceHeader, instance: tuple[Dataset, ...]) -> Dataset:
    number = header.frame_number or 1
    if number > len(instance):
        raise InconsistentAnalysisError(_CHANGED)
    return instance[number - 1]


def _settle_patient_and_study(dataset: Dataset) -> None:
    for keyword in REQUIRED_PRESENT:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    for keyword, needed in ITEMS_NEED.items():
        _drop_if_half_empty(dataset, keyword, needed)
    _settle_name(dataset)
    _settle_date(dataset, "PatientBirthDate")
    _settle_date(dataset, "StudyDate")
    _empty_unless(dataset, "StudyTime", TM)
    if str(dataset.PatientSex or "") not in SEX_VALUES:
        dataset.PatientSex = ""


def _settle_name(dataset: Dataset) -> None:
    """Keep the first of several names of a patient: there is one (PS3.3 C.7.1.1), and results cannot be made of two."""
    if dataset["PatientName"].VM > 1:
        logger.warning("source images hold several values of PatientName; the results repeat the first")
        name = next((name for name in dataset.PatientName if str(name).strip()), "")
        dataset["PatientName"] = DataElement("PatientName", "PN", name)


def _settle_date(dataset: Dataset, keyword: str) -> None:
    """Write a date with dots, as before DICOM 3.0, as a date of today; empty what is none."""
    text = str(dataset.get(keyword) or "").strip(" \0")
    if date_from_da(text):
        dataset[keyword] = DataElement(keyword, "DA", text.replace(".", ""))
    elif text:
        logger.warning("source images hold an invalid %s; it stays empty in the results", keyword)
        dataset[keyword] = DataElement(keyword, "DA", "")


def _empty_unless(dataset: Dataset, keyword: str, parse: Callable[[str], object]) -> None:
    """Empty a time that is none: copied into a result it would make that invalid."""
    try:
        parse(str(dataset.get(keyword) or ""))
    except ValueError:
        logger.warning("source images hold an invalid %s; it stays empty in the results", keyword)
        setattr(dataset, keyword, "")


def _drop_if_half_empty(dataset: Dataset, keyword: str, needed: tuple[str, ...]) -> None:
    """Drop an optional sequence that would make the results invalid."""
    if keyword not in dataset:
        return
    items = dataset.get(keyword) or ()
    if not items or not all(item.get(attribute) for item in items for attribute in needed):
        delattr(dataset, keyword)
