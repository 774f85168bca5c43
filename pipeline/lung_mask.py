"""From a network's first idea of the lungs to a mask that looks like lungs: morphology in millimetres."""

import numpy as np
from scipy import ndimage

from pipeline.airways import airway_mask
from pipeline.lung_holes import holes_filled
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Float32Array, UInt8Array

CORE_DEPTH_MM = 4.0
"""Erosion by this parts what only touches: lungs at the front, trachea and bowel from the lung (Liu et al.: erosion and
dilation after the network)."""

CLOSING_MM = 6.0
"""Bays narrower than twice this are vessels or subpleural consolidation, which belong to the lung. In the plane only:
along the body it would take in the hilum (overlap with a hand-made mask of a whole chest 0.996 so, 0.986 in space)."""

SMALLEST_CORE_ML = 30.0
"""A smaller core is no part of a lung: the trachea's has 8 to 20 ml."""

SMALLEST_PIECE_ML = 5.0
"""Of what the network calls one side."""

SMALLEST_LUNG_ML = 100.0
"""A whole lung is larger; scaled down for series that show less than `WHOLE_CHEST_MM`."""

WHOLE_CHEST_MM = 200.0
"""Height of an adult's lungs is more than this."""

AIRWAY_HU = -900
"""Air in trachea and bronchi, which closing must not take in."""

ROOM_AIR_HU = -960
"""Emptier on average than any lung with emphysema."""

AERATED_HU = -350
"""Half air, half tissue, roughly."""

AERATED_SHARE = 0.25
LARGEST_END_CM2 = 12.0
"""A lung ends in small slices of air. Where its last ones are small and dense they are muscle above the apex, or diaphragm; a
lung that is dense throughout does not lose its large slices."""

LONGEST_DENSE_END_MM = 20.0
AIR_IN_SLICE_SHARE = 0.05
"""Consolidated bases reach a little below the last slice that shows air on either side; where the lungs seem to go on for
longer, they are the abdomen, which strong noise makes look like them."""

SIDES = (RIGHT_LUNG, LEFT_LUNG)


def refined_lungs(raw: UInt8Array, volume_hu: Float32Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
    """At most one piece per lung, without holes, bays, specks and airways.

    Args:
        raw: The network's classes, (z, y, x) in patient order.
        volume_hu: HU on the same grid.
        spacing_mm: Along z, y, x.
    """
    box = _box(raw > 0, margin=_voxels(2 * CLOSING_MM, spacing_mm))
    if box is None:
        return np.zeros_like(raw)
    refined = np.zeros_like(raw)
    refined[box] = _refined_box(raw[box], volume_hu[box], spacing_mm)
    return refined


def _refined_box(raw: UInt8Array, volume_hu: Float32Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
    airways = airway_mask(volume_hu, raw > 0, spacing_mm)
    lungs = _around_cores((raw > 0) & ~airways, volume_hu, spacing_mm)
    sides = _sides(raw, lungs, spacing_mm)
    airways |= (volume_hu < AIRWAY_HU) & ~lungs
    smallest_ml = SMALLEST_LUNG_ML * min(1.0, raw.shape[0] * spacing_mm[0] / WHOLE_CHEST_MM)
    refined = np.zeros_like(raw)
    for side in SIDES:
        lung = sides == side
        others = (sides != side) & (sides > 0)
        closed = _closed(lung, spacing_mm) & ~others & ~airways
        piece = _largest(lung | closed, smallest_ml, spacing_mm)
        refined[_without_dense_ends(piece, volume_hu, spacing_mm) & (refined == 0)] = side
    refined[~_near_air(refined > 0, volume_hu, spacing_mm[0])] = 0
    return refined


def _around_cores(lungs: BoolArray, volume_hu: Float32Array, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """What lies nearest to a core that is large and no room air; the rest hung on by a bridge, or not at all."""
    core = _distance_mm(lungs, spacing_mm) > CORE_DEPTH_MM
    labels, count = ndimage.label(core)
    if not count:
        return np.zeros_like(lungs)
    index = np.arange(1, count + 1)
    smallest_ml = SMALLEST_CORE_ML * min(1.0, len(lungs) * spacing_mm[0] / WHOLE_CHEST_MM)
    volumes_ml = ndimage.sum_labels(core, labels, index) * _voxel_ml(spacing_mm)
    mean_hu = ndimage.mean(volume_hu, labels, index)
    keep = np.concatenate([[False], (volumes_ml > smallest_ml) & (np.asarray(mean_hu) > ROOM_AIR_HU)])
    nearest = ndimage.distance_transform_edt(~core, sampling=spacing_mm, return_distances=False, return_indices=True)
    around: BoolArray = lungs & keep[labels[tuple(nearest)]]
    return around


def _without_dense_ends(lung: BoolArray, volume_hu: Float32Array, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """The lung without small slices at its top and its bottom that hold hardly any air."""
    areas = lung.sum(axis=(1, 2))
    aerated = (lung & (volume_hu < AERATED_HU)).sum(axis=(1, 2))
    small = areas * spacing_mm[1] * spacing_mm[2] / 100.0 < LARGEST_END_CM2
    sure = np.flatnonzero((areas > 0) & ~(small & (aerated < AERATED_SHARE * areas)))
    trimmed = np.zeros_like(lung)
    if len(sure):
        within = slice(int(sure[0]), int(sure[-1]) + 1)
        trimmed[within] = lung[within]
    return trimmed


def _near_air(lungs: BoolArray, volume_hu: Float32Array, slice_mm: float) -> BoolArray:
    """(z,): the slices from a little below the lowest to a little above the highest that shows air in the lungs; all, where none
    does."""
    air = (lungs & (volume_hu < AERATED_HU)).sum(axis=(1, 2))
    shows_air = np.flatnonzero(air > AIR_IN_SLICE_SHARE * lungs.sum(axis=(1, 2)))
    if not len(shows_air):
        return np.ones(len(lungs), dtype=bool)
    more = round(LONGEST_DENSE_END_MM / slice_mm)
    index = np.arange(len(lungs))
    near: BoolArray = (index >= shows_air[0] - more) & (index <= shows_air[-1] + more)
    return near


def _sides(raw: UInt8Array, lungs: BoolArray, spacing_mm: tuple[float, float, float]) -> UInt8Array:
    """Every lung voxel on the side of the larger pieces that the network named; islands of the other side vanish."""
    seeds = np.zeros_like(raw)
    for side in SIDES:
        seeds[_largest(lungs & (raw == side), SMALLEST_PIECE_ML, spacing_mm)] = side
    if not seeds.any():
        return seeds
    nearest = ndimage.distance_transform_edt(
        seeds == 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    sided: UInt8Array = np.where(lungs, seeds[tuple(nearest)], 0).astype(np.uint8)
    return sided


def _closed(lung: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """Bays and then holes filled, slice by slice; the domes of the diaphragm stay out."""
    closed = np.zeros_like(lung)
    box = _box(lung, margin=(0, *_voxels(2 * CLOSING_MM, spacing_mm)[1:]))
    if box is None:
        return closed
    margins = [(count, count) for count in _voxels(2 * CLOSING_MM, spacing_mm)[1:]]
    for plane, joined in zip(lung[box], closed[box], strict=True):
        padded = np.pad(plane, margins, mode="edge")
        grown = _plane_distance_mm(~padded, spacing_mm) <= CLOSING_MM
        shrunk = _plane_distance_mm(grown, spacing_mm) > CLOSING_MM
        inner = shrunk[margins[0][0] : -margins[0][0], margins[1][0] : -margins[1][0]]
        joined[:] = inner | plane
    closed[box] = holes_filled(closed[box], spacing_mm)
    return closed


def _plane_distance_mm(mask: BoolArray, spacing_mm: tuple[float, float, float]) -> Float32Array:
    return _distance_mm(mask, spacing_mm[1:])


def _largest(mask: BoolArray, smallest_ml: float, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """The largest piece, if it reaches the volume."""
    labels, count = ndimage.label(mask)
    if not count:
        return np.zeros_like(mask)
    voxels = np.bincount(labels.ravel())[1:]
    if voxels.max() * _voxel_ml(spacing_mm) < smallest_ml:
        return np.zeros_like(mask)
    largest: BoolArray = labels == int(voxels.argmax()) + 1
    return largest


def _distance_mm(mask: BoolArray, spacing_mm: tuple[float, ...]) -> Float32Array:
    """Of every voxel of the mask to the nearest voxel outside; 0 outside, everything is inside of an endless mask."""
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    distance: Float32Array = ndimage.distance_transform_edt(mask, sampling=spacing_mm).astype(np.float32)
    return distance


def _voxels(millimetres: float, spacing_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    z, y, x = (int(np.ceil(millimetres / mm)) for mm in spacing_mm)
    return z, y, x


def _voxel_ml(spacing_mm: tuple[float, float, float]) -> float:
    return float(np.prod(spacing_mm)) / 1000.0


def _box(mask: BoolArray, *, margin: tuple[int, int, int]) -> tuple[slice, ...] | None:
    """Slices around the mask with a margin, within the array; None for an empty mask."""
    found = ndimage.find_objects(mask.view(np.uint8))
    if not found:
        return None
    return tuple(
        slice(max(0, part.start - more), min(size, part.stop + more))
        for part, more, size in zip(found[0], margin, mask.shape, strict=True)
    )
