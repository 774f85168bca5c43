"""Trachea and main bronchi, which lie between the lungs and are no part of them."""

import numpy as np
from scipy import ndimage

from pipeline.study import BoolArray, Float32Array

AIR_HU = -920.0
"""Emptier than lung tissue: it has -860 on average, air in the trachea -980."""

WALL_HU = -800.0
"""Between the air of an airway and its wall, on the coarse grid of the lung network."""

NARROWEST_MM = 2.5
"""Half the width of what counts: main bronchi have 10 to 16 mm, noise and small bronchi less than 5."""

WIDEST_CM2 = 9.0
"""Area on a slice; the widest tracheas have 5."""

LARGEST_ML = 120.0
"""Trachea and main bronchi together have 50 to 100."""

OFF_MIDDLE_MM = 45.0
"""Main bronchi reach about this far to each side."""

RING_HU = -600.0
"""Mean around an airway: in the mediastinum -200 to 0, at voxels of 4 mm still -540; inside the lung -700 to -890."""

REACH_MM = 3.0
"""Around the pure air: what is mixed with the wall."""


def airway_mask(volume_hu: Float32Array, lungs: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """Thick tubes of pure air near the middle, up to their walls.

    Args:
        volume_hu: (z, y, x) in patient order.
        lungs: Both, airways perhaps among them.
        spacing_mm: Along z, y, x.
    """
    air = _tubes(volume_hu < AIR_HU, spacing_mm)
    labels, count = ndimage.label(air, np.ones((3, 3, 3)))
    if not count or not lungs.any():
        return np.zeros_like(lungs)
    middle_mm = float(np.flatnonzero(lungs.any(axis=(0, 1))).mean()) * spacing_mm[2]
    airways = np.zeros_like(lungs)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[box] == number
        centre_mm = (box[2].start + float(np.nonzero(part)[2].mean())) * spacing_mm[2]
        if abs(centre_mm - middle_mm) < OFF_MIDDLE_MM and _is_airway_size(part, spacing_mm):
            airways[box] |= _has_wall(labels == number, volume_hu, spacing_mm) & part
    near: BoolArray = ndimage.distance_transform_edt(~airways, sampling=spacing_mm) <= REACH_MM
    return airways | (near & (volume_hu < WALL_HU))


def _has_wall(part: BoolArray, volume_hu: Float32Array, spacing_mm: tuple[float, float, float]) -> bool:
    """Whether the mediastinum is around it, and not the lung, as around a bulla or an empty part of the lung."""
    planes = np.flatnonzero(part.any(axis=(1, 2)))
    rings = [_ring_hu(part[z], volume_hu[z], spacing_mm) for z in planes]
    return float(np.mean(np.concatenate(rings))) > RING_HU


def _ring_hu(plane: BoolArray, plane_hu: Float32Array, spacing_mm: tuple[float, float, float]) -> Float32Array:
    """HU around an area of one slice, past the wall."""
    away_mm = ndimage.distance_transform_edt(~plane, sampling=spacing_mm[1:])
    ring: Float32Array = plane_hu[(away_mm > REACH_MM) & (away_mm <= 2 * REACH_MM)]
    return ring


def _is_airway_size(part: BoolArray, spacing_mm: tuple[float, float, float]) -> bool:
    """No larger than airways get: room air and bullae are."""
    z_mm, y_mm, x_mm = spacing_mm
    area_cm2 = float(np.count_nonzero(part, axis=(1, 2)).max()) * y_mm * x_mm / 100.0
    volume_ml = float(np.count_nonzero(part)) * z_mm * y_mm * x_mm / 1000.0
    return area_cm2 < WIDEST_CM2 and volume_ml < LARGEST_ML


def _tubes(air: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """What is wide enough on its slice; thin strips and single voxels vanish."""
    tubes = np.zeros_like(air)
    for plane, opened in zip(air, tubes, strict=True):
        if plane.any() and not plane.all():
            core = ndimage.distance_transform_edt(plane, sampling=spacing_mm[1:]) > NARROWEST_MM
            opened[:] = (
                ndimage.distance_transform_edt(~core, sampling=spacing_mm[1:]) <= NARROWEST_MM if core.any() else 0
            )
    return tubes
