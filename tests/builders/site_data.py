"""Data sets made in the layouts that `dicom-node import` reads: one chest of plain shapes, a few slices of 8 mm."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from builders.ct_series import (
    LEFT_LUNG_CENTRE,
    LESION_CENTRE,
    LESION_RADIUS_MM,
    RIGHT_LUNG_CENTRE,
    CtSeries,
    chest_hu,
    ct_images,
    write_images,
)
from pipeline.study import Float64Array

SHAPE = (20, 40, 44)
"""Slices, rows, columns."""
SPACING_MM = 8.0

LPS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
RAS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
OBLIQUE = (0.96, -0.28, 0.0, 0.28, 0.96, 0.0, 0.0, 0.0, -1.0)
"""Turned about the body's length, slices from superior to inferior."""

Drawing = Callable[[Float64Array], NDArray[Any]]
"""Values at points (..., 3), LPS in mm."""


def within(points: Float64Array, centre: Float64Array, radius_mm: float) -> NDArray[np.bool_]:
    """Where points lie in a ball."""
    inside: NDArray[np.bool_] = np.linalg.norm(points - centre, axis=-1) <= radius_mm
    return inside


def lesion_at(points: Float64Array) -> NDArray[np.uint8]:
    """1 in the lesion of `chest_hu`, low in the left lung."""
    return within(points, LESION_CENTRE, LESION_RADIUS_MM).astype(np.uint8)


def left_is_one_at(points: Float64Array) -> NDArray[np.uint8]:
    """Balls in both lungs: 1 in the left, 2 in the right, as COVID-19-CT-Seg has it."""
    left, right = within(points, LEFT_LUNG_CENTRE, 40.0), within(points, RIGHT_LUNG_CENTRE, 40.0)
    return (left + 2 * right).astype(np.uint8)


def right_is_one_at(points: Float64Array) -> NDArray[np.uint8]:
    """Balls in both lungs: 1 in the right, 2 in the left."""
    labels = left_is_one_at(points)
    return np.where(labels > 0, 3 - labels, 0).astype(np.uint8)


def nothing_at(points: Float64Array) -> NDArray[np.uint8]:
    """0 everywhere."""
    return np.zeros(points.shape[:-1], np.uint8)


def windowed_at(points: Float64Array) -> NDArray[np.uint8]:
    """The chest as a picture: -1250..250 HU shown as 0..255."""
    return np.clip((chest_hu(points) + 1250.0) / 1500.0 * 255.0, 0, 255).astype(np.uint8)


def write_nifti(path: Path, drawing: Drawing, *, direction: Sequence[float] = LPS) -> None:
    """A volume centred on the origin, whichever way its axes run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.Image([SHAPE[2], SHAPE[1], SHAPE[0]], SimpleITK.sitkUInt8)
    image.SetSpacing([SPACING_MM] * 3)
    image.SetDirection(direction)
    half = (np.array(image.GetSize()) - 1) * SPACING_MM / 2
    image.SetOrigin([float(value) for value in -np.array(direction).reshape(3, 3) @ half])
    values = SimpleITK.GetImageFromArray(drawing(voxel_points(image)))
    values.CopyInformation(image)
    SimpleITK.WriteImage(values, str(path))


def voxel_points(image: SimpleITK.Image) -> Float64Array:
    """(z, y, x, 3): LPS of each voxel, from the header alone."""
    columns, rows, slices = image.GetSize()
    z, y, x = np.meshgrid(np.arange(slices), np.arange(rows), np.arange(columns), indexing="ij")
    steps = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    points: Float64Array = np.stack([x, y, z], axis=-1) @ steps.T + np.array(image.GetOrigin())
    return points


def ct_of(
    patient: str, *, study: str = "1", date: str = "20200301", drawing: Drawing = chest_hu, flipped: bool = False
) -> list[FileDataset]:
    """A CT series of a patient; `flipped` has its rows from left to right and its slices downwards."""
    orientation = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0) if flipped else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    uid = generate_uid(entropy_srcs=[patient, study])[:48].rstrip(".")
    series = CtSeries(
        study_uid=f"{uid}.1",
        uid=f"{uid}.2",
        orientation=orientation,
        shape=SHAPE,
        spacing_mm=(SPACING_MM, SPACING_MM, SPACING_MM),
    )
    images = ct_images(series, drawing)
    for image in images:
        image.PatientID, image.PatientName, image.PatientBirthDate, image.PatientSex = patient, "Doe^Jane", "", "F"
        image.StudyDate = image.AcquisitionDate = date
        image.StudyTime, image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "", "", "", ""
        image.FrameOfReferenceUID = f"{uid}.3"
    return images


def write_dicom(folder: Path, images: Sequence[FileDataset], *, prefix: str = "image") -> list[Path]:
    """One file per image."""
    return write_images(folder, images, prefix=prefix)


def lesion_square(image: FileDataset) -> list[list[float]] | None:
    """Corners x, y in pixels of a square around the lesion on a slice; None where the slice shows none of it."""
    origin, row = np.array(image.ImagePositionPatient, float), np.array(image.ImageOrientationPatient[:3], float)
    if abs(origin[2] - LESION_CENTRE[2]) > LESION_RADIUS_MM:
        return None
    x = float((LESION_CENTRE - origin) @ row) / SPACING_MM
    y = float(LESION_CENTRE[1] - origin[1]) / SPACING_MM
    return [[x - 1.2, y - 1.2], [x + 1.2, y - 1.2], [x + 1.2, y + 1.2], [x - 1.2, y + 1.2]]


def write_ricord_json(path: Path, annotations: Sequence[dict[str, Any]]) -> None:
    """An export of MD.ai with the labels of RICORD-1A."""
    names = ("Infectious opacity", "Atelectasis", "Infectious cavity", "Typical Appearance")
    labels = [{"id": f"L_{number}", "name": name} for number, name in enumerate(names)]
    export = {
        "datasets": [{"id": "D_1", "name": "1a", "studies": [], "annotations": list(annotations)}],
        "labelGroups": [{"id": "G_1", "name": "group", "labels": labels}],
    }
    path.write_text(json.dumps(export))


def annotation(label: int, image: FileDataset, points: list[list[float]] | None) -> dict[str, Any]:
    """One annotation of an instance; no points, no data, as some of the set are."""
    return {
        "scope": "INSTANCE",
        "labelId": f"L_{label}",
        "SOPInstanceUID": str(image.SOPInstanceUID),
        "SeriesInstanceUID": str(image.SeriesInstanceUID),
        "StudyInstanceUID": str(image.StudyInstanceUID),
        "data": None if points is None else {"vertices": points},
    }


def lidc_xml(images: Sequence[FileDataset]) -> str:
    """Two readers who outlined the lesion as a nodule; one of them marked a small one by a point."""
    rois = []
    for image in images:
        square = lesion_square(image)
        if square is not None:
            edges = "".join(
                f"<edgeMap><xCoord>{round(x)}</xCoord><yCoord>{round(y)}</yCoord></edgeMap>" for x, y in square
            )
            rois.append(
                f"<roi><imageZposition>{image.ImagePositionPatient[2]}</imageZposition>"
                f"<imageSOP_UID>{image.SOPInstanceUID}</imageSOP_UID><inclusion>TRUE</inclusion>{edges}</roi>"
            )
    nodule = f"<unblindedReadNodule><noduleID>1</noduleID>{''.join(rois)}</unblindedReadNodule>"
    sessions = f"<readingSession>{nodule}</readingSession>" * 2
    header = f"<ResponseHeader><SeriesInstanceUid>{images[0].SeriesInstanceUID}</SeriesInstanceUid></ResponseHeader>"
    return f'<?xml version="1.0"?><LidcReadMessage xmlns="http://www.nih.gov">{header}{sessions}</LidcReadMessage>'
