"""DICOM files below a folder: whose they are, and the CT that a series of them makes."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from pipeline.choose import choose_series
from pipeline.frames import MULTI_FRAME_CT, PER_FRAME, SHARED, frame_headers, is_multi_frame_ct
from pipeline.importers.images import check_is_hu
from pipeline.importers.records import ImportedStudy, SourceStudy
from pipeline.orient import LpsVolume, lps_from_source, lps_mask_from_source
from pipeline.read import FOREIGN_READ_ERRORS
from pipeline.study import Volume
from pipeline.tolerance import tolerant_pydicom
from pipeline.volume import read_volume

_TAGS = [
    "AcquisitionDate",
    "AcquisitionDateTime",
    "ConvolutionKernel",
    "ImagePositionPatient",
    "InstitutionName",
    "Modality",
    "PatientID",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesDate",
    "SeriesInstanceUID",
    "SliceLocation",
    "SliceThickness",
    "StudyDate",
    "StudyInstanceUID",
]

_FRAME_TAGS = [*_TAGS, SHARED, PER_FRAME]

_DATES = ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate")
"""The first that is there: studies are imported into archives long after they were acquired."""

_VoxelType = TypeVar("_VoxelType", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomFile:
    """What an import needs of one file before it reads it, for many frames that of the first; missing text is empty."""

    path: Path
    patient_id: str
    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    modality: str
    acquired_on: date | None
    site: str
    kernel: str
    thickness_mm: float | None
    slice_location_mm: float | None
    position_mm: tuple[float, ...]
    """LPS of the first pixel; empty where the file does not say."""

    @property
    def is_ct_image(self) -> bool:
        """Whether it is one CT slice."""
        return self.sop_class_uid == CTImageStorage

    @property
    def is_ct(self) -> bool:
        """Whether it is CT that the pipeline reads, one slice or many frames."""
        return self.is_ct_image or self.sop_class_uid in MULTI_FRAME_CT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DicomCt:
    """A CT series as a volume."""

    source: Volume
    """As it was acquired: outlines are drawn on its slices."""
    lps: LpsVolume
    first: DicomFile

    def in_patient_order(self, array: NDArray[_VoxelType]) -> NDArray[_VoxelType]:
        """An array (k, j, i) of the acquisition as (z, y, x)."""
        return lps_mask_from_source(array, self.lps)

    def slices_in_patient_order(self, values: NDArray[_VoxelType]) -> NDArray[_VoxelType]:
        """One value per acquired slice (k,) as one per z."""
        moved: NDArray[_VoxelType] = self.in_patient_order(values.reshape(-1, 1, 1)).reshape(-1)
        return moved


def dicom_files(folder: Path) -> tuple[DicomFile, ...]:
    """Every DICOM file at or below a folder, sorted by path; others are passed over."""
    with tolerant_pydicom():
        found = [_read(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    return tuple(file for file in found if file is not None)


def grouped(files: Sequence[DicomFile], key: Callable[[DicomFile], str]) -> dict[str, list[DicomFile]]:
    """Files by study, series or patient, sorted."""
    groups: dict[str, list[DicomFile]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return dict(sorted(groups.items()))


def read_dicom_ct(files: Sequence[DicomFile]) -> DicomCt:
    """The CT volume of a series, or of the best series of a study.

    Raises:
        PipelineError: There is none; the reason says why.
    """
    choice = choose_series([file.path for file in files])
    volume = read_volume(choice)
    check_is_hu(volume.volume_hu)
    by_uid = {file.sop_instance_uid: file for file in files}
    return DicomCt(source=volume, lps=lps_from_source(volume), first=by_uid[choice.slice_headers[0].sop_instance_uid])


def study_of_ct(ct: DicomCt) -> ImportedStudy:
    """A series with what its headers say, and no truth yet."""
    return ImportedStudy(
        patient=ct.first.patient_id or ct.first.study_uid,
        study=f"{ct.first.study_uid} {ct.first.series_uid}",
        volume_hu=ct.lps.volume_hu,
        grid=ct.lps.grid,
        acquired_on=ct.first.acquired_on,
        site=ct.first.site,
        kernel=ct.first.kernel,
        thickness_mm=ct.first.thickness_mm,
    )


def slice_of_instance(ct: DicomCt, files: Sequence[DicomFile]) -> dict[str, int]:
    """Slice k of each instance; a duplicate that was left out has that of its place, a stray image has none."""
    origin, normal = ct.source.grid.affine_lps_from_kji[:3, 3], ct.source.grid.affine_lps_from_kji[:3, 0]
    step_mm = float(np.linalg.norm(normal))
    found = {}
    for file in files:
        if len(file.position_mm) == 3:
            place = float((np.array(file.position_mm) - origin) @ normal) / step_mm**2
            if abs(place - round(place)) < 0.5 and 0 <= round(place) < ct.source.grid.shape[0]:
                found[file.sop_instance_uid] = round(place)
    return {**found, **{header.sop_instance_uid: k for k, header in enumerate(ct.source.slice_headers)}}


def _read(path: Path) -> DicomFile | None:
    try:
        dataset: Dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        if is_multi_frame_ct(dataset):
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_FRAME_TAGS)
            dataset = next(frame_headers(dataset), dataset)
        return _file(path, dataset)
    except FOREIGN_READ_ERRORS:
        return None


def _file(path: Path, dataset: Dataset) -> DicomFile | None:
    if not dataset.get("SOPInstanceUID"):
        return None
    kernel = dataset.get("ConvolutionKernel") or ""
    return DicomFile(
        path=path,
        patient_id=str(dataset.get("PatientID") or ""),
        study_uid=str(dataset.get("StudyInstanceUID") or ""),
        series_uid=str(dataset.get("SeriesInstanceUID") or ""),
        sop_class_uid=str(dataset.get("SOPClassUID") or ""),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        modality=str(dataset.get("Modality") or ""),
        acquired_on=next((day for day in (_date(dataset.get(name)) for name in _DATES) if day), None),
        site=str(dataset.get("InstitutionName") or "").strip(),
        kernel=str(kernel if isinstance(kernel, str) else next(iter(kernel), "")),
        thickness_mm=_number(dataset.get("SliceThickness")),
        slice_location_mm=_number(dataset.get("SliceLocation")),
        position_mm=tuple(float(value) for value in dataset.get("ImagePositionPatient") or ()),
    )


def _date(value: object) -> date | None:
    """The day of a value of VR DA or DT: YYYYMMDD, then the time (PS3.5 6.2)."""
    text = str(value or "")
    try:
        return date.fromisoformat(text[:8] if text[:8].isdecimal() else text)
    except ValueError:
        return None


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def studies_drawn_on(
    source: Path,
    series: Mapping[str, Sequence[DicomFile]],
    drawn_on: Mapping[str, Sequence[DicomFile]],
    read: Callable[[Sequence[DicomFile], Sequence[Path]], ImportedStudy],
) -> tuple[SourceStudy, ...]:
    """One study for each CT series that something was drawn on.

    Args:
        source: Folder that is imported.
        series: Images by Series Instance UID.
        drawn_on: What was drawn, by the Series Instance UID of its CT.
        read: Called with the images and the paths of what was drawn on them.
    """
    return tuple(
        SourceStudy(
            where=str(series[uid][0].path.parent.relative_to(source)),
            read=partial(read, series[uid], [file.path for file in drawn_on[uid]]),
        )
        for uid in sorted(drawn_on)
    )
