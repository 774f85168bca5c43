"""Real CT for training: series read plainly, with lung masks made by threshold and morphology.

The masks are teachers only: inference never uses a threshold for its lungs.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage
from scipy import ndimage

from pipeline.choose import choose_series
from pipeline.errors import PipelineError
from pipeline.lung_holes import holes_filled
from pipeline.read import FOREIGN_READ_ERRORS
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Float32Array, Int16Array, UInt8Array
from pipeline.tolerance import tolerant_pydicom
from pipeline.training.marked_boxes import Box, marked_region, read_marked_boxes
from pipeline.volume import read_volume

logger = logging.getLogger(__name__)

LUNG_BELOW_HU = -400.0
"""Between lung and soft tissue; the threshold of most classical methods."""

AIRWAY_BELOW_HU = -930.0
"""Air in trachea and main bronchi, after smoothing."""

GAS_BELOW_HU = -960.0
LARGEST_GAS_MM2 = 1500.0
"""Bowel gas in a slice: smaller than this, with a purer core than lung has."""

SMALLEST_LUNG_ML = 20.0

CLOSING_MM = 6.0
"""Vessels and small lesions up to twice this wide become lung."""

FOLDER_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
"""Patient IDs that a folder may be called; others hold blanks, slashes or nothing."""


_TAGS = ["ImageOrientationPatient", "PatientID", "PixelData", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID"]

_LATER_BYTES = 1024
"""Longer values, the pixels, stay in the file when headers are looked through."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealStudy:
    """One axial series of a real patient."""

    name: str
    """Patient, then a number for the series."""
    volume_hu: Int16Array
    """(Z, Y, X): inferior to superior, anterior to posterior, right to left."""
    spacing_mm: tuple[float, float, float]
    lung_mask: UInt8Array
    not_known: BoolArray | None = None
    """True where somebody marked other disease; None: nobody marked any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """One axial CT image."""

    path: Path
    series_uid: str
    patient: str
    """What to call the patient."""


def read_real_studies(folder: Path) -> list[RealStudy]:
    """Every axial CT series of at least ten slices below `folder` that shows lungs, with its pseudo lung mask.

    A series that shows none, or that the node would not read (uneven, of several passes, damaged), is left out, with a line
    in the log that names it.

    PASCAL-VOC boxes below `folder`, named by SOP Instance UID, mark what is neither lesion nor healthy.
    """
    series: dict[str, list[_Image]] = defaultdict(list)
    with tolerant_pydicom():
        for path in sorted(folder.rglob("*")):
            image = _read_ct(path) if path.is_file() else None
            if image is not None:
                series[image.series_uid].append(image)
    whole = [images for _, images in sorted(series.items()) if len(images) >= 10]
    boxes = read_marked_boxes(folder)
    studies = [_study_or_none(images, number, boxes, folder) for number, images in enumerate(whole)]
    return [study for study in studies if study is not None]


def pseudo_lung_mask(volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
    """Right and left lung of a chest whose lungs are mostly aerated."""
    smooth = ndimage.gaussian_filter(volume_hu.astype(np.float32), [1.0 / mm for mm in spacing_mm])
    aerated = _inside_body(smooth < LUNG_BELOW_HU)
    lungs = _without_gas(aerated & ~_airways(smooth, aerated, spacing_mm), smooth, spacing_mm)
    lungs = ndimage.binary_opening(lungs, _disc(2.0, spacing_mm))
    sides = _sides(lungs, spacing_mm)
    closed = [_closed(sides == side, spacing_mm) for side in (RIGHT_LUNG, LEFT_LUNG)]
    mask = np.zeros(volume_hu.shape, np.uint8)
    mask[closed[0]] = RIGHT_LUNG
    mask[closed[1] & ~closed[0]] = LEFT_LUNG
    return mask


def _read_ct(path: Path) -> _Image | None:
    """An axial CT image as most patients lie; None of anything else, and of what cannot be read."""
    try:
        image = pydicom.dcmread(path, defer_size=_LATER_BYTES, specific_tags=_TAGS)
        oriented = [round(float(value)) for value in image.get("ImageOrientationPatient") or ()]
        if image.get("SOPClassUID") != CTImageStorage or oriented != [1, 0, 0, 0, 1, 0] or "PixelData" not in image:
            return None
        return _Image(path=path, series_uid=str(image.SeriesInstanceUID), patient=_patient_name(image))
    except FOREIGN_READ_ERRORS:
        return None


def _study_or_none(
    images: Sequence[_Image], number: int, boxes: Mapping[str, tuple[Box, ...]], folder: Path
) -> RealStudy | None:
    name = f"series {images[0].series_uid} in {folder}"
    try:
        study = _study(images, number, boxes)
    except PipelineError as exc:
        logger.warning("%s makes no volume, it is left out: %s", name, exc.reason)
        return None
    if not study.lung_mask.any():
        logger.warning("%s shows no lungs, it is left out", name)
        return None
    return study


def _study(images: Sequence[_Image], number: int, boxes: Mapping[str, tuple[Box, ...]]) -> RealStudy:
    read = read_volume(choose_series([image.path for image in images]))
    volume = np.clip(read.volume_hu, -1024, 3071).astype(np.int16)
    spacing = read.grid.spacing_mm
    uids = [header.sop_instance_uid for header in read.slice_headers]
    marked = (
        marked_region(uids, boxes, shape=volume.shape, spacing_mm=spacing)
        if any(uid in boxes for uid in uids)
        else None
    )
    return RealStudy(
        name=f"{images[0].patient}-{number}",
        volume_hu=volume,
        spacing_mm=spacing,
        lung_mask=pseudo_lung_mask(volume, spacing),
        not_known=marked,
    )


def _patient_name(image: pydicom.FileDataset) -> str:
    """What to call the patient, also as a folder: their ID, or the study's UID where there is none or it does not do."""
    patient_id = str(image.get("PatientID") or "")
    if FOLDER_NAME.fullmatch(patient_id):
        return patient_id
    return str(image.get("StudyInstanceUID") or image.SeriesInstanceUID)


def _inside_body(air: BoolArray) -> BoolArray:
    """Air that does not reach the left, right, front or back of its slice."""
    kept = np.zeros_like(air)
    for index, plane in enumerate(air):
        labels, _ = ndimage.label(plane)
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        kept[index] = plane & ~np.isin(labels, edge)
    return kept


def _airways(smooth_hu: Float32Array, aerated: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """Trachea and main bronchi: thick tubes of pure air near the middle, with their walls."""
    air = ndimage.binary_opening(aerated & (smooth_hu < AIRWAY_BELOW_HU), _disc(2.5, spacing_mm))
    labels, count = ndimage.label(air, np.ones((3, 3, 3)))
    airways = np.zeros_like(air)
    middle = float(np.mean(np.nonzero(aerated)[2])) if aerated.any() else 0.0
    for label in range(1, count + 1):
        part = labels == label
        area_mm2 = part.sum(axis=(1, 2)).max() * spacing_mm[1] * spacing_mm[2]
        off_middle_mm = abs(float(np.mean(np.nonzero(part)[2])) - middle) * spacing_mm[2]
        if area_mm2 < 900.0 and off_middle_mm < 45.0:
            airways |= part
    walls = ndimage.binary_dilation(airways, _disc(3.0, spacing_mm)) & (smooth_hu < -800.0)
    return np.asarray(walls | airways)


def _without_gas(lungs: BoolArray, smooth_hu: Float32Array, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """Without bowel gas and pieces of airway: small regions of a slice with a core of pure air."""
    kept = np.zeros_like(lungs)
    for index, plane in enumerate(lungs):
        labels, count = ndimage.label(plane)
        area_mm2 = np.bincount(labels.ravel()) * spacing_mm[1] * spacing_mm[2]
        purest_hu = np.asarray(ndimage.minimum(smooth_hu[index], labels, np.arange(count + 1)))
        keep = (area_mm2 > LARGEST_GAS_MM2) | (purest_hu > GAS_BELOW_HU)
        keep[0] = False
        kept[index] = keep[labels]
    return kept


def _sides(lungs: BoolArray, spacing_mm: tuple[float, float, float]) -> UInt8Array:
    """Right and left, parted by eroding until no bridge is left, then grown back by nearness."""
    for radius_mm in (0.0, 2.0, 3.0, 4.0, 6.0, 8.0):
        eroded = ndimage.binary_erosion(lungs, _disc(radius_mm, spacing_mm)) if radius_mm else lungs
        seeds = _two_sides(eroded, spacing_mm)
        if seeds is not None:
            break
    else:
        seeds = np.where(lungs, RIGHT_LUNG, 0).astype(np.uint8)
    nearest = ndimage.distance_transform_edt(
        seeds == 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    return np.where(_large(lungs, spacing_mm), seeds[tuple(nearest)], 0).astype(np.uint8)


def _two_sides(lungs: BoolArray, spacing_mm: tuple[float, float, float]) -> UInt8Array | None:
    """Components marked by the side they lie on, or None while one lies on both."""
    labels, _ = ndimage.label(lungs)
    sizes = np.bincount(labels.ravel()) * np.prod(spacing_mm) / 1000.0
    large = [label for label in np.argsort(sizes[1:])[::-1] + 1 if sizes[label] > SMALLEST_LUNG_ML]
    if len(large) < 2 or sizes[large[1]] < 0.25 * sizes[large[0]]:
        return None
    centres = {label: float(np.mean(np.nonzero(labels == label)[2])) for label in large}
    middle = (centres[large[0]] + centres[large[1]]) / 2
    seeds = np.zeros(lungs.shape, np.uint8)
    for label, centre in centres.items():
        seeds[labels == label] = RIGHT_LUNG if centre < middle else LEFT_LUNG
    return seeds


def _large(lungs: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    labels, _ = ndimage.label(lungs)
    sizes = np.bincount(labels.ravel()) * np.prod(spacing_mm) / 1000.0
    keep = sizes > SMALLEST_LUNG_ML / 4
    keep[0] = False
    return np.asarray(keep[labels])


def _closed(lung: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """Vessels and small lesions filled, slice by slice; the domes of the diaphragm stay out."""
    return holes_filled(np.stack([_closed_plane(plane, spacing_mm[1:]) for plane in lung]), spacing_mm)


def _closed_plane(plane: BoolArray, spacing_mm: tuple[float, float]) -> BoolArray:
    margin = [round(2 * CLOSING_MM / mm) for mm in spacing_mm]
    padded = np.pad(plane, [(pixels, pixels) for pixels in margin])
    if not padded.any():
        return plane
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing_mm) <= CLOSING_MM
    closed = ndimage.distance_transform_edt(grown, sampling=spacing_mm) > CLOSING_MM
    inner = closed[margin[0] : -margin[0], margin[1] : -margin[1]]
    return np.asarray(inner | plane)


def _disc(radius_mm: float, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """In-plane disc as a structuring element of one slice."""
    rows, columns = (max(1, round(radius_mm / mm)) for mm in spacing_mm[1:])
    y, x = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    return ((y / rows) ** 2 + (x / columns) ** 2 <= 1.0)[None]
