"""Builds a small CT series on disk with the analysis that a pipeline would hand over, in any orientation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.enhanced_ct import merge_files
from dicom_node.results.context import ResultContext
from pipeline.findings import (
    Algorithm,
    Analysis,
    Change,
    DroppedPrior,
    Findings,
    GoneLesion,
    Lesion,
    LesionKind,
    LungFigures,
    ScoreCalibration,
    ScorePoint,
    Side,
    Stage,
    UsedPrior,
)
from pipeline.study import (
    LEFT_LUNG,
    RIGHT_LUNG,
    Float64Array,
    Grid,
    PassedOverSeries,
    SliceHeader,
    UInt8Array,
    UInt16Array,
    Volume,
)

STUDY_UID = "2.25.1001"
SERIES_UID = "2.25.1002"
CREATED_AT = datetime(2024, 3, 5, 12, 30, 15, tzinfo=UTC)

ROWS, COLUMNS, SLICES = 60, 64, 20
ROW_SPACING_MM, COLUMN_SPACING_MM, SLICE_SPACING_MM = 5.0, 4.5, 9.0

RIGHT_CENTRE = (-62.0, 0.0, 5.0)
LEFT_CENTRE = (66.0, 4.0, 8.0)
GROUND_GLASS_CENTRE = (-65.0, 20.0, -30.0)
"""Right lung, posterior, inferior (LPS)."""
CONSOLIDATION_CENTRE = (60.0, -12.0, 35.0)
"""Left lung, anterior, superior (LPS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the slices lie in the patient."""

    row: tuple[float, float, float] = (1.0, 0.0, 0.0)
    column: tuple[float, float, float] = (0.0, 1.0, 0.0)
    position: str = "HFS"
    numbers_descend: bool = False
    """Instance numbers run against the slice normal."""


HEAD_FIRST = Layout()
REVERSED = Layout(numbers_descend=True)
FEET_FIRST = Layout(row=(-1.0, 0.0, 0.0), column=(0.0, 1.0, 0.0), position="FFS")
PRONE = Layout(row=(-1.0, 0.0, 0.0), column=(0.0, -1.0, 0.0), position="HFP")
TILTED = Layout(column=(0.0, float(np.cos(0.2)), float(np.sin(0.2))))
ALL_LAYOUTS = {
    "head first": HEAD_FIRST,
    "reversed order": REVERSED,
    "feet first": FEET_FIRST,
    "prone": PRONE,
    "tilted": TILTED,
}


PHANTOM_CALIBRATION = ScoreCalibration(
    population="synthetic phantoms", calibrated_on="validation readings of phantoms, 5-fold", studies=120
)
DEFAULT_POINT = ScorePoint(name="default", threshold=0.4, sensitivity=0.9, specificity=0.81, diseased=60, healthy=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """What the built study is like; the defaults are a new patient with two lesions and one dot."""

    layout: Layout = HEAD_FIRST
    with_lesions: bool = True
    priors_used: tuple[UsedPrior, ...] = ()
    priors_dropped: tuple[DroppedPrior, ...] = ()
    priors_were_searched: bool = True
    gone_lesions: tuple[GoneLesion, ...] = ()
    qualifications: tuple[str, ...] = ("Slices are 9 mm apart; lesions below that size can be missed.",)
    calibration: ScoreCalibration | None = PHANTOM_CALIBRATION
    operating_points: tuple[ScorePoint, ...] = (DEFAULT_POINT,)
    multi_frame: bool = False
    """The series is one Enhanced CT image whose frames run from the last slice to the first."""
    change_header: Callable[[Dataset], object] = field(default=lambda _: None)


def build_context(**changes: object) -> ResultContext:
    """A context at a fixed moment."""
    values: dict[str, object] = {
        "software_version": "0.1.0",
        "device_serial_number": "7",
        "created_at": CREATED_AT,
        "revision": 1,
    }
    return ResultContext(**(values | changes))  # type: ignore[arg-type]


def build_analysis(folder: Path, plan: StudyPlan | None = None) -> Analysis:
    """Write the series below `folder`, and return what a pipeline would say about it."""
    plan = plan or StudyPlan()
    grid = _grid(plan.layout)
    points = _voxel_centres(grid)
    lung_mask = _lung_mask(points)
    labels = _lesion_labels(points, lung_mask) if plan.with_lesions else np.zeros(grid.shape, np.uint16)
    volume_hu = _hounsfield(lung_mask, labels)
    headers = _write_series(folder, volume_hu, grid, plan)
    headers = merge_files(headers) if plan.multi_frame else headers
    volume = Volume(volume_hu=volume_hu, grid=grid, slice_headers=headers, qualifications=plan.qualifications)
    return Analysis(
        findings=_findings(volume, lung_mask, labels, plan), volume=volume, lung_mask=lung_mask, lesion_labels=labels
    )


def used_prior(number: int = 1) -> UsedPrior:
    """An earlier study that was compared."""
    return UsedPrior(
        study_instance_uid=f"2.25.50{number}",
        series_instance_uid=f"2.25.60{number}",
        acquired_at=datetime(2024, 2, 20, 8, 0, tzinfo=UTC),
        interval_days=14.125,
        lung_overlap_dice=0.953,
    )


def _grid(layout: Layout) -> Grid:
    row, column = np.asarray(layout.row), np.asarray(layout.column)
    normal = np.cross(row, column)
    affine = np.eye(4)
    affine[:3, 0] = normal * SLICE_SPACING_MM
    affine[:3, 1] = column * ROW_SPACING_MM
    affine[:3, 2] = row * COLUMN_SPACING_MM
    middle = np.array([(SLICES - 1) / 2, (ROWS - 1) / 2, (COLUMNS - 1) / 2])
    affine[:3, 3] = -affine[:3, :3] @ middle
    return Grid(shape=(SLICES, ROWS, COLUMNS), affine_lps_from_kji=affine)


def _voxel_centres(grid: Grid) -> Float64Array:
    """(k, j, i, 3) LPS in mm."""
    kji = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return kji @ grid.affine_lps_from_kji[:3, :3].T + grid.affine_lps_from_kji[:3, 3]


def _ellipsoid(points: Float64Array, centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    return (((points - np.asarray(centre)) / np.asarray(radii)) ** 2).sum(axis=-1) <= 1.0


def _lung_mask(points: Float64Array) -> UInt8Array:
    mask = np.zeros(points.shape[:3], np.uint8)
    mask[_ellipsoid(points, RIGHT_CENTRE, (48, 70, 80))] = RIGHT_LUNG
    mask[_ellipsoid(points, LEFT_CENTRE, (40, 62, 72))] = LEFT_LUNG
    return mask


def _lesion_labels(points: Float64Array, lung_mask: UInt8Array) -> UInt16Array:
    labels = np.zeros(points.shape[:3], np.uint16)
    labels[_ellipsoid(points, GROUND_GLASS_CENTRE, (24, 22, 28)) & (lung_mask == RIGHT_LUNG)] = 1
    labels[_ellipsoid(points, CONSOLIDATION_CENTRE, (16, 18, 20)) & (lung_mask == LEFT_LUNG)] = 2
    dot = ((points - np.asarray((-50.0, -40.0, 30.0))) ** 2).sum(axis=-1).argmin()
    labels.reshape(-1)[dot] = 3
    return labels


def _hounsfield(lung_mask: UInt8Array, labels: UInt16Array) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, 12, lung_mask.shape)
    volume = np.where(lung_mask > 0, -850, 40) + noise
    for number, value in ((1, -550), (2, -20), (3, -500)):
        volume = np.where(labels == number, value + noise, volume)
    return volume.astype(np.int16)


def _write_series(folder: Path, volume_hu: np.ndarray, grid: Grid, plan: StudyPlan) -> tuple[SliceHeader, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    headers = []
    for k in range(SLICES):
        dataset = _ct_image(k, grid, plan)
        dataset.PixelData = (volume_hu[k].astype(np.int32) + 1024).astype(np.uint16).tobytes()
        plan.change_header(dataset)
        path = folder / f"{k:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        headers.append(_header(dataset, path))
    return tuple(headers)


def _header(dataset: Dataset, path: Path) -> SliceHeader:
    return SliceHeader(
        path=path,
        sop_instance_uid=str(dataset.SOPInstanceUID),
        instance_number=int(dataset.InstanceNumber),
        rows=ROWS,
        columns=COLUMNS,
        pixel_spacing_mm=(ROW_SPACING_MM, COLUMN_SPACING_MM),
        image_orientation=tuple(float(value) for value in dataset.ImageOrientationPatient),
        image_position_mm=tuple(float(value) for value in dataset.ImagePositionPatient),  # type: ignore[arg-type]
    )


def _ct_image(k: int, grid: Grid, plan: StudyPlan) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"{SERIES_UID}.{k + 1}"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID = "Muster^Jana", "T-1"
    dataset.IssuerOfPatientID = "SITE"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19600101", "F", "064Y"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY_UID, SERIES_UID
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = "2.25.1003", ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20240305"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101500"
    dataset.AccessionNumber, dataset.StudyID, dataset.StudyDescription = "ACC1", "S1", "CT chest"
    dataset.ReferringPhysicianName = "Ref^Doctor"
    dataset.Modality, dataset.SeriesNumber, dataset.SeriesDescription = "CT", "2", "Lung 1.0"
    dataset.Manufacturer, dataset.BodyPartExamined = "TEST", "CHEST"
    dataset.PatientPosition = plan.layout.position
    _add_image(dataset, k, grid, plan.layout)
    return dataset


def _add_image(dataset: Dataset, k: int, grid: Grid, layout: Layout) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = str(SLICES - k if layout.numbers_descend else k + 1)
    dataset.AcquisitionNumber, dataset.KVP = "1", "120"
    dataset.SliceThickness = str(SLICE_SPACING_MM)
    dataset.PixelSpacing = [ROW_SPACING_MM, COLUMN_SPACING_MM]
    dataset.ImageOrientationPatient = [round(value, 10) for value in (*layout.row, *layout.column)]
    position = grid.affine_lps_from_kji @ (k, 0, 0, 1)
    dataset.ImagePositionPatient = [round(float(value), 6) for value in position[:3]]
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"


def _findings(volume: Volume, lung_mask: UInt8Array, labels: UInt16Array, plan: StudyPlan) -> Findings:
    lungs = tuple(_lung_figures(side, value, volume.grid, lung_mask, labels) for side, value in _LUNGS)
    lesions = tuple(_lesion(n, volume, lung_mask, labels, plan) for n in range(1, int(labels.max()) + 1))
    total_ml = sum(lung.volume_ml for lung in lungs)
    return Findings(
        study_instance_uid=STUDY_UID,
        series_instance_uid=SERIES_UID,
        series_description="Lung 1.0",
        series_reason="Thinnest axial series with a lung kernel.",
        passed_over=(PassedOverSeries(series_instance_uid="2.25.1009", description="Scout", reason="It is a scout."),),
        input_sop_instance_uids=tuple(header.sop_instance_uid for header in volume.slice_headers),
        input_frame_numbers=tuple(header.frame_number for header in volume.slice_headers if header.frame_number),
        patient_score=0.8123 if lesions else 0.0312,
        stage=Stage.ADVANCED if lesions else Stage.NO_LESION,
        lungs=lungs,
        involvement_percent=100 * sum(lung.lesion_volume_ml for lung in lungs) / total_ml,
        lesions=lesions,
        gone_lesions=plan.gone_lesions,
        priors_used=plan.priors_used,
        priors_dropped=plan.priors_dropped,
        priors_were_searched=plan.priors_were_searched,
        qualifications=plan.qualifications,
        algorithm=Algorithm(
            name="Space-Time-Net",
            version="0.1-demo",
            weights_sha256="ab" * 32,
            thresholds={"lesion_probability": 0.5, "box_score": 0.3, "smallest_lesion_ml": 0.1},
            synthetic_training_only=True,
            calibration=plan.calibration,
            operating_points=plan.operating_points,
        ),
    )


_LUNGS = ((Side.RIGHT, RIGHT_LUNG), (Side.LEFT, LEFT_LUNG))


def _lung_figures(side: Side, value: int, grid: Grid, lung_mask: UInt8Array, labels: UInt16Array) -> LungFigures:
    lung, lesion = lung_mask == value, (lung_mask == value) & (labels > 0)
    return LungFigures(
        side=side,
        volume_ml=float(lung.sum()) * grid.voxel_volume_ml,
        lesion_volume_ml=float(lesion.sum()) * grid.voxel_volume_ml,
        involvement_percent=100.0 * float(lesion.sum()) / float(lung.sum()),
    )


def _lesion(number: int, volume: Volume, lung_mask: UInt8Array, labels: UInt16Array, plan: StudyPlan) -> Lesion:
    mask = labels == number
    side, value = _LUNGS[0] if (lung_mask[mask] == RIGHT_LUNG).mean() > 0.5 else _LUNGS[1]
    volume_ml = float(mask.sum()) * volume.grid.voxel_volume_ml
    inside = volume.volume_hu[mask]
    compared = bool(plan.priors_used) and number == 1
    centres = _voxel_centres(volume.grid)[mask]
    return Lesion(
        number=number,
        tracking_uid=f"2.25.70{number}",
        tracking_id=f"Lesion {number:04X}",
        kind=LesionKind.CONSOLIDATION if number == 2 else LesionKind.GROUND_GLASS,
        side=side,
        score=0.9 / number,
        volume_ml=volume_ml,
        mean_hu=float(inside.mean()),
        sd_hu=float(inside.std()),
        share_of_lung_percent=100.0 * float(mask.sum()) / float((lung_mask == value).sum()),
        box_lps_mm=(*centres.min(axis=0).tolist(), *centres.max(axis=0).tolist()),
        key_slice=int(mask.sum(axis=(1, 2)).argmax()),
        change=_change(compared=compared, has_prior=bool(plan.priors_used)),
        prior_volume_ml=volume_ml / 2 if compared else None,
    )


def _change(*, compared: bool, has_prior: bool) -> Change:
    if compared:
        return Change.GROWN
    return Change.NEW if has_prior else Change.NOT_COMPARED
