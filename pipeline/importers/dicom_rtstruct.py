"""CT with contours of an RT Structure Set (PS3.3 C.8.8.5, C.8.8.6)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from pipeline.importers.dicom_files import (
    DicomCt,
    DicomFile,
    dicom_files,
    grouped,
    read_dicom_ct,
    studies_drawn_on,
    study_of_ct,
)
from pipeline.importers.dicom_seg import SOURCE
from pipeline.importers.errors import NothingToImportError, StudyNotImportedError
from pipeline.importers.frame_references import NamedFrames, check_drawn_on, named_frames
from pipeline.importers.licences import OWN
from pipeline.importers.polygons import nested_mask
from pipeline.importers.records import (
    FoundStudies,
    ImportedStudy,
    Importer,
    ImportOptions,
    Refusal,
    StudyLabel,
)
from pipeline.importers.structures import Structure, structure_named
from pipeline.importers.truth import TruthCanvas
from pipeline.read import FOREIGN_READ_ERRORS
from pipeline.study import BoolArray, Float64Array
from pipeline.tolerance import tolerant_pydicom

CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
"""Contours that enclose something; points and open lines do not (PS3.3 C.8.8.6.3)."""

OFF_SLICE = 0.3
"""Slices that a contour may lie beside the nearest one: planning systems round positions."""

OFF_EDGE = 1.5
"""Pixels that a contour may reach beyond the centre of the outermost one of its slice."""

_NO_CT = "The CT that it was drawn on is not here."
_OFF = "A contour lies between the slices of its CT, or is not parallel to them."
_OUTSIDE = (
    "A contour of the region `{name}` lies outside of its CT: not all slices of the series are here, or it was drawn on another "
    "one. Export the whole series."
)
_MEANS_NOTHING = "None of its regions is a lung or a lesion by name; say `--map NAME=lesion`."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """A region of interest."""

    name: str
    contours: tuple[Float64Array, ...]
    """(n, 3), LPS in mm, closed."""
    source_frames: NamedFrames = frozenset()
    """Of a multi-frame CT, which they were drawn on."""


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """Every structure set whose CT is there."""
    files = dicom_files(source)
    sets = [file for file in files if file.sop_class_uid == RTStructureSetStorage]
    if not sets:
        reason = f"{source} holds no RT Structure Set."
        raise NothingToImportError(reason)
    series = grouped([file for file in files if file.is_ct], lambda file: file.series_uid)
    drawn_on: dict[str, list[DicomFile]] = defaultdict(list)
    refused = []
    for file in sets:
        uid = referenced_series(file.path)
        if uid in series:
            drawn_on[uid].append(file)
        else:
            refused.append(Refusal(where=str(file.path.relative_to(source)), reason=_NO_CT))
    studies = studies_drawn_on(source, series, drawn_on, partial(_read_study, options))
    return FoundStudies(studies=studies, refused=tuple(refused))


def referenced_series(path: Path) -> str:
    """Series Instance UID of the CT; empty where the structure set does not say."""
    with tolerant_pydicom():
        try:
            dataset = pydicom.dcmread(path)
            frame = dataset.ReferencedFrameOfReferenceSequence[0]
            study = frame.RTReferencedStudySequence[0]
            return str(study.RTReferencedSeriesSequence[0].SeriesInstanceUID)
        except FOREIGN_READ_ERRORS:
            return ""


def read_regions(path: Path) -> tuple[Region, ...]:
    """All regions that have closed contours.

    Raises:
        StudyNotImportedError: The file is damaged.
    """
    with tolerant_pydicom():
        try:
            return _regions(pydicom.dcmread(path))
        except FOREIGN_READ_ERRORS as exc:
            reason = f"The structure set {path.name} is damaged."
            raise StudyNotImportedError(reason) from exc


def region_mask(region: Region, ct: DicomCt) -> BoolArray:
    """Voxels (k, j, i) of the acquisition within the contours.

    Raises:
        StudyNotImportedError: A contour lies on no slice, or beside it.
    """
    grid = ct.source.grid
    last_j, last_i = grid.shape[1] - 1, grid.shape[2] - 1
    kji_from_lps = np.linalg.inv(grid.affine_lps_from_kji)
    by_slice: dict[int, list[Float64Array]] = defaultdict(list)
    for contour in region.contours:
        kji = contour @ kji_from_lps[:3, :3].T + kji_from_lps[:3, 3]
        k = round(float(kji[:, 0].mean()))
        if np.abs(kji[:, 0] - k).max() > OFF_SLICE:
            raise StudyNotImportedError(_OFF)
        beyond = max(-kji[:, 1:].min(), kji[:, 1].max() - last_j, kji[:, 2].max() - last_i)
        if not 0 <= k < grid.shape[0] or beyond > OFF_EDGE:
            raise StudyNotImportedError(_OUTSIDE.format(name=region.name))
        by_slice[k].append(kji[:, [2, 1]])
    mask = np.zeros(grid.shape, np.bool_)
    for k, polygons in by_slice.items():
        mask[k] = nested_mask(polygons, grid.shape[1:])
    return mask


def _read_study(options: ImportOptions, images: Sequence[DicomFile], paths: Sequence[Path]) -> ImportedStudy:
    ct = read_dicom_ct(images)
    canvas = TruthCanvas(ct.lps.grid.shape)
    left_out = set()
    for region in (region for path in paths for region in read_regions(path)):
        structure = structure_named(region.name, options.structures)
        if structure is Structure.NOTHING:
            left_out.add(region.name)
        else:
            check_drawn_on(ct, region.source_frames)
            canvas.paint(structure, ct.in_patient_order(region_mask(region, ct).astype(np.uint8)) > 0)
    truth = canvas.truth(ct.lps.volume_hu, ct.lps.spacing_mm)
    if truth.lesion is None and truth.lung_mask is None:
        raise StudyNotImportedError(_MEANS_NOTHING)
    label = StudyLabel.UNKNOWN if truth.lesion is None else StudyLabel.LESION
    return replace(study_of_ct(ct), truth=truth, label=label, left_out=tuple(sorted(left_out)))


def _regions(dataset: Dataset) -> tuple[Region, ...]:
    names = {int(item.ROINumber): str(item.get("ROIName") or "") for item in dataset.StructureSetROISequence}
    regions = [_region(item, names) for item in dataset.get("ROIContourSequence") or []]
    return tuple(region for region in regions if region.contours)


def _region(item: Dataset, names: Mapping[int, str]) -> Region:
    closed = [one for one in item.get("ContourSequence") or [] if str(one.ContourGeometricType) in CLOSED]
    return Region(
        name=names[int(item.ReferencedROINumber)],
        contours=tuple(np.array(one.ContourData, dtype=np.float64).reshape(-1, 3) for one in closed),
        source_frames=named_frames(image for one in closed for image in one.get("ContourImageSequence") or []),
    )


IMPORTER = Importer(
    name="dicom-rtstruct",
    source=SOURCE,
    summary="DICOM CT with contours (RT Structure Set)",
    licence=OWN,
    find=find,
)
