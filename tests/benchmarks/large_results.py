"""A study of full size with what a pipeline would say about it: many slices, lungs in most, dozens of lesions."""

import json
import pickle
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.results.context import ResultContext
from dicom_node.results.plan import ResultPlan
from pipeline.findings import Algorithm, Analysis, Change, Findings, Lesion, LesionKind, LungFigures, Side, Stage
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, Grid, SliceHeader, UInt8Array, UInt16Array, Volume

STUDY_UID: Final = "2.25.8101"
SERIES_UID: Final = "2.25.8102"
LUNGS: Final = ((Side.RIGHT, RIGHT_LUNG, -75.0), (Side.LEFT, LEFT_LUNG, 75.0))
LUNG_RADII_MM: Final = (55.0, 85.0, 0.0)
"""Across and front to back; along the body it is `StudyShape.lung_share` of the slices."""
LESION_PLACES_MM: Final = ((-18.0, 35.0), (15.0, 20.0), (-5.0, -30.0), (20.0, -10.0))
"""Centres from the middle of a lung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyShape:
    """How large the study is."""

    slices: int = 400
    matrix: int = 512
    lung_share: float = 0.82
    """Of the slices, those that each lung is on."""
    lesions: int = 36
    lesion_slices: int = 5
    """Slices that a lesion is on, one more for some of them."""
    pixel_mm: float = 0.7
    slice_mm: float = 0.8


def write_study(folder: Path, shape: StudyShape) -> None:
    """The series as DICOM files, and the analysis without its images beside it."""
    (folder / "ct").mkdir(parents=True)
    grid = _grid(shape)
    lung_mask = _lung_mask(shape, grid)
    labels = _lesion_labels(shape, lung_mask)
    noise = np.random.default_rng(5).integers(-40, 40, (shape.matrix, shape.matrix), dtype=np.int16)
    volume_hu = np.empty(grid.shape, np.int16)
    for k in range(shape.slices):
        volume_hu[k] = np.where(labels[k] > 0, -520, np.where(lung_mask[k] > 0, -850, 30)) + noise
    headers = tuple(_write_image(folder / "ct", k, grid, volume_hu[k]) for k in range(shape.slices))
    volume = Volume(volume_hu=volume_hu, grid=grid, slice_headers=headers)
    for name, array in (("volume_hu", volume_hu), ("lung_mask", lung_mask), ("lesion_labels", labels)):
        np.save(folder / f"{name}.npy", array)
    findings = _findings(volume, lung_mask, labels)
    (folder / "about.pickle").write_bytes(pickle.dumps((findings, headers, grid)))
    frames = _frames(lung_mask, labels)
    (folder / "about.json").write_text(json.dumps({"frames": frames, "lesions": len(findings.lesions)}))


def read_analysis(folder: Path) -> Analysis:
    """What `write_study` left, as the pipeline hands it over: every array whole in memory."""
    findings, headers, grid = pickle.loads((folder / "about.pickle").read_bytes())
    arrays = {name: np.load(folder / f"{name}.npy") for name in ("volume_hu", "lung_mask", "lesion_labels")}
    volume = Volume(volume_hu=arrays["volume_hu"], grid=grid, slice_headers=headers)
    return Analysis(
        findings=findings, volume=volume, lung_mask=arrays["lung_mask"], lesion_labels=arrays["lesion_labels"]
    )


def large_context(plan: ResultPlan | None = None) -> ResultContext:
    """A context at a fixed moment; unless told otherwise, of report and segmentations alone."""
    return ResultContext(
        software_version="0.1.0",
        device_serial_number="7",
        created_at=datetime(2024, 3, 5, 12, 30, 15, tzinfo=UTC),
        revision=1,
        plan=plan or ResultPlan(pdf=False),
    )


def _grid(shape: StudyShape) -> Grid:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = shape.slice_mm, shape.pixel_mm, shape.pixel_mm, 1.0
    middle = (np.array([shape.slices, shape.matrix, shape.matrix]) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ middle
    return Grid(shape=(shape.slices, shape.matrix, shape.matrix), affine_lps_from_kji=affine)


def _lung_mask(shape: StudyShape, grid: Grid) -> UInt8Array:
    mask = np.zeros(grid.shape, np.uint8)
    y, x = _plane(shape)
    half = shape.slices * shape.lung_share / 2
    for k in range(shape.slices):
        height = (k - (shape.slices - 1) / 2) / half
        for _, value, centre in LUNGS:
            inside = ((x - centre) / LUNG_RADII_MM[0]) ** 2 + (y / LUNG_RADII_MM[1]) ** 2 + height**2
            mask[k][inside < 1.0] = value
    return mask


def _lesion_labels(shape: StudyShape, lung_mask: UInt8Array) -> UInt16Array:
    """Discs stacked into lesions, in both lungs in turn, spread along the body."""
    labels = np.zeros(lung_mask.shape, np.uint16)
    y, x = _plane(shape)
    first, last = int(shape.slices * 0.25), int(shape.slices * 0.75)
    for number in range(1, shape.lesions + 1):
        (_, value, centre), place = LUNGS[number % 2], LESION_PLACES_MM[number // 2 % len(LESION_PLACES_MM)]
        start = first + (last - first - shape.lesion_slices) * (number - 1) // shape.lesions
        disc = (x - centre - place[0]) ** 2 + (y - place[1]) ** 2 < (6.0 + number % 7) ** 2
        for k in range(start, start + shape.lesion_slices + number % 2):
            labels[k][disc & (lung_mask[k] == value) & (labels[k] == 0)] = number
    return labels


def _plane(shape: StudyShape) -> tuple[np.ndarray, np.ndarray]:
    """y and x in mm of each pixel of a slice."""
    places = (np.arange(shape.matrix) - (shape.matrix - 1) / 2) * shape.pixel_mm
    return places[:, None], places[None, :]


def _write_image(folder: Path, k: int, grid: Grid, slice_hu: np.ndarray) -> SliceHeader:
    position = tuple(round(float(value), 4) for value in (grid.affine_lps_from_kji @ (k, 0, 0, 1))[:3])
    dataset = _identified(k)
    dataset.SliceThickness, dataset.KVP = "0.8", "120"
    dataset.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[2]]
    dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], list(position)
    dataset.Rows, dataset.Columns = slice_hu.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    dataset.PixelData = (slice_hu.astype(np.int32) + 1024).astype(np.uint16).tobytes()
    path = folder / f"{k:03d}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return SliceHeader(
        path=path,
        sop_instance_uid=str(dataset.SOPInstanceUID),
        instance_number=k + 1,
        rows=slice_hu.shape[0],
        columns=slice_hu.shape[1],
        pixel_spacing_mm=(grid.spacing_mm[1], grid.spacing_mm[2]),
        image_orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        image_position_mm=position,  # type: ignore[arg-type]
    )


def _identified(k: int) -> Dataset:
    """Patient, study, series and equipment."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"{SERIES_UID}.{k + 1}"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = "Muster^Jana", "T-1", "SITE"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19600101", "F", "064Y"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY_UID, SERIES_UID
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = "2.25.8103", ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20240305"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101500"
    dataset.AccessionNumber, dataset.StudyID, dataset.StudyDescription = "ACC1", "S1", "CT chest"
    dataset.ReferringPhysicianName, dataset.InstitutionName = "Ref^Doctor", "Hospital"
    dataset.Modality, dataset.SeriesNumber, dataset.SeriesDescription = "CT", "2", "Lung 1.0"
    dataset.Manufacturer, dataset.ManufacturerModelName = "TEST", "Model"
    dataset.SoftwareVersions, dataset.BodyPartExamined, dataset.PatientPosition = "1.0", "CHEST", "HFS"
    dataset.ImageType, dataset.InstanceNumber, dataset.AcquisitionNumber = ["ORIGINAL", "PRIMARY"], str(k + 1), "1"
    return dataset


def _frames(lung_mask: UInt8Array, labels: UInt16Array) -> int:
    """Slices of each lung and of each lesion: the frames of both segmentations together."""
    lungs = sum(int((lung_mask == value).any(axis=(1, 2)).sum()) for _, value, _ in LUNGS)
    return lungs + sum(len(set(np.unique(slice_labels).tolist()) - {0}) for slice_labels in labels)


def _findings(volume: Volume, lung_mask: UInt8Array, labels: UInt16Array) -> Findings:
    voxel_ml = volume.grid.voxel_volume_ml
    counts = np.bincount(labels.reshape(-1))
    lungs = tuple(_lung(side, value, lung_mask, labels, voxel_ml) for side, value, _ in LUNGS)
    return Findings(
        study_instance_uid=STUDY_UID,
        series_instance_uid=SERIES_UID,
        series_description="Lung 1.0",
        series_reason="Thinnest axial series with a lung kernel.",
        passed_over=(),
        input_sop_instance_uids=tuple(header.sop_instance_uid for header in volume.slice_headers),
        patient_score=0.91,
        stage=Stage.ADVANCED,
        lungs=lungs,
        involvement_percent=100 * sum(lung.lesion_volume_ml for lung in lungs) / sum(lung.volume_ml for lung in lungs),
        lesions=tuple(_lesion(number, volume, labels, int(counts[number])) for number in range(1, len(counts))),
        gone_lesions=(),
        priors_used=(),
        priors_dropped=(),
        qualifications=(),
        algorithm=Algorithm(
            name="Space-Time-Net",
            version="0.1-demo",
            weights_sha256="ab" * 32,
            thresholds={"lesion": 0.5, "box": 0.3},
            synthetic_training_only=True,
        ),
    )


def _lung(side: Side, value: int, lung_mask: UInt8Array, labels: UInt16Array, voxel_ml: float) -> LungFigures:
    lung = lung_mask == value
    voxels, diseased = int(lung.sum()), int((lung & (labels > 0)).sum())
    return LungFigures(
        side=side,
        volume_ml=voxels * voxel_ml,
        lesion_volume_ml=diseased * voxel_ml,
        involvement_percent=100 * diseased / voxels,
    )


def _lesion(number: int, volume: Volume, labels: UInt16Array, voxels: int) -> Lesion:
    planes, rows, columns = np.nonzero(labels == number)
    inside = volume.volume_hu[planes, rows, columns]
    corners = [(places.min(), places.max()) for places in (planes, rows, columns)]
    low, high = (volume.grid.affine_lps_from_kji @ (*(pair[end] for pair in corners), 1) for end in (0, 1))
    return Lesion(
        number=number,
        tracking_uid=f"2.25.820{number}",
        tracking_id=f"Lesion {number:04X}",
        kind=LesionKind.CONSOLIDATION if number % 3 == 0 else LesionKind.GROUND_GLASS,
        side=LUNGS[number % 2][0],
        score=0.9,
        volume_ml=voxels * volume.grid.voxel_volume_ml,
        mean_hu=float(inside.mean()),
        sd_hu=float(inside.std()),
        share_of_lung_percent=1.0,
        box_lps_mm=(*low[:3].tolist(), *high[:3].tolist()),
        key_slice=int(np.bincount(planes).argmax()),
        change=Change.NOT_COMPARED,
        prior_volume_ml=None,
    )
