"""Holes of a lung mask: vessels and lesions belong to the lung, the domes of the diaphragm do not."""

import numpy as np
from scipy import ndimage

from pipeline.study import BoolArray

LARGEST_SURE_MM2 = 60.0
"""A smaller hole of a slice is a vessel or a lesion, whatever lies below it."""

DOME_SHARE = 0.5
"""Of a larger hole, that lies on what is no lung one slice further down: liver, spleen, heart."""


def holes_filled(lung: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """A lung without holes in its slices, but for those that the body reaches into from below.

    Near its base the lung lies around the dome of the diaphragm, which is a hole of the slice as consolidation would be. Nothing is
    known below the first slice: a large hole there stays one, and so does what stands on it.

    Args:
        lung: (z, y, x), from inferior to superior.
        spacing_mm: Along z, y, x.
    """
    filled = np.empty_like(lung)
    below = np.zeros_like(lung[0])
    for plane, result in zip(lung, filled, strict=True):
        holes = ndimage.binary_fill_holes(plane) & ~plane
        result[:] = plane | _without_domes(holes, below, spacing_mm[1] * spacing_mm[2])
        below = result
    return filled


def _without_domes(holes: BoolArray, lung_below: BoolArray, pixel_mm2: float) -> BoolArray:
    labels, count = ndimage.label(holes)
    if not count:
        return holes
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    on_lung = np.bincount(labels[lung_below], minlength=count + 1)
    keep = (sizes * pixel_mm2 <= LARGEST_SURE_MM2) | (sizes - on_lung < DOME_SHARE * sizes)
    keep[0] = False
    kept: BoolArray = keep[labels]
    return kept
