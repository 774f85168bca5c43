"""CT series made of plain shapes, as DICOM files in any orientation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from pipeline.study import Float64Array, Int16Array

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)

AIR_HU, BODY_HU, LUNG_HU, LESION_HU = -1000, 40, -850, -500
RIGHT_LUNG_CENTRE = np.array([-70.0, 0.0, 0.0])
LEFT_LUNG_CENTRE = np.array([70.0, 0.0, 10.0])
LESION_CENTRE = np.array([80.0, 25.0, -30.0])
LESION_RADIUS_MM = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CtSeries:
    """What a series of `ct_images` is like; the volume is centred on the LPS origin."""

    study_uid: str = "1.2.3"
    uid: str = "1.2.3.1"
    number: int = 1
    description: str = "Chest"
    kernel: str = "LUNG"
    orientation: Sequence[float] = AXIAL
    shape: tuple[int, int, int] = (40, 64, 64)
    """Slices, rows, columns."""
    spacing_mm: tuple[float, float, float] = (5.0, 5.0, 5.0)
    """Between slices, rows, columns."""


def chest_hu(points: Float64Array) -> Int16Array:
    """A body, a larger right and a smaller left lung, one lesion low in the left lung; points (..., 3) LPS in mm."""
    hu = np.full(points.shape[:-1], AIR_HU, np.int16)
    hu[_inside(points * [1, 1, 0], np.zeros(3), (150.0, 110.0, 1.0))] = BODY_HU
    hu[_inside(points, RIGHT_LUNG_CENTRE, (55.0, 80.0, 85.0))] = LUNG_HU
    hu[_inside(points, LEFT_LUNG_CENTRE, (48.0, 75.0, 75.0))] = LUNG_HU
    hu[_inside(points, LESION_CENTRE, (LESION_RADIUS_MM,) * 3)] = LESION_HU
    return hu


def ct_images(series: CtSeries, hu: Callable[[Float64Array], NDArray[Any]] = chest_hu) -> list[FileDataset]:
    """The images of a series, slice k to lie k steps along the normal; change them at will before `write_images`."""
    return [_image(series, k, hu) for k in range(series.shape[0])]


def write_images(folder: Path, images: Sequence[FileDataset], *, prefix: str = "image") -> list[Path]:
    """One file per image, numbered in the order given."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{prefix}-{number:04d}.dcm" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save_as(path, enforce_file_format=True)
    return paths


def slice_positions(series: CtSeries) -> Float64Array:
    """(k, 3): LPS of the first voxel of each slice."""
    row, column, normal = _directions(series)
    slices, rows, columns = (np.array(series.shape) - 1) * np.array(series.spacing_mm) / 2
    corner = -slices * normal - rows * column - columns * row
    return corner + np.arange(series.shape[0])[:, None] * series.spacing_mm[0] * normal


def _inside(points: Float64Array, centre: Float64Array, radii: tuple[float, float, float]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (((points - centre) / np.array(radii)) ** 2).sum(axis=-1) <= 1.0
    return inside


def _directions(series: CtSeries) -> tuple[Float64Array, Float64Array, Float64Array]:
    row, column = np.array(series.orientation[:3]), np.array(series.orientation[3:])
    return row, column, np.cross(row, column)


def _image(series: CtSeries, k: int, hu: Callable[[Float64Array], NDArray[Any]]) -> FileDataset:
    position = slice_positions(series)[k]
    row, column, _ = _directions(series)
    _, rows, columns = series.shape
    down = np.arange(rows)[:, None, None] * series.spacing_mm[1] * column
    across = np.arange(columns)[None, :, None] * series.spacing_mm[2] * row
    image = _header(series, k)
    image.ImagePositionPatient = [round(float(value), 6) for value in position]
    image.PixelData = (hu(position + down + across) + 1024).astype("<u2").tobytes()
    return image


def _header(series: CtSeries, k: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{series.uid}.{k + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID = series.study_uid, series.uid
    image.Modality, image.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.SeriesNumber, image.InstanceNumber, image.AcquisitionNumber = series.number, k + 1, 1
    image.SeriesDescription, image.ConvolutionKernel = series.description, series.kernel
    image.SliceThickness = series.spacing_mm[0]
    image.PixelSpacing = list(series.spacing_mm[1:])
    image.ImageOrientationPatient = list(series.orientation)
    image.Rows, image.Columns = series.shape[1:]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, -1024, "HU"
    return image
