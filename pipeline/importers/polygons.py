"""Outlines that readers drew, as masks."""

from collections.abc import Sequence

import numpy as np

from pipeline.study import BoolArray, Float64Array

FEWEST_POINTS = 3


def polygon_mask(points: Float64Array, shape: tuple[int, int]) -> BoolArray:
    """Pixels whose centre lies within a closed polygon, by the even-odd rule.

    Args:
        points: (n, 2), x (column) and y (row); whole numbers are centres of pixels.
        shape: Rows, columns.
    """
    mask = np.zeros(shape, np.bool_)
    if len(points) < FEWEST_POINTS:
        return mask
    start, stop = points, np.roll(points, -1, axis=0)
    low = max(0, int(np.ceil(points[:, 1].min())))
    high = min(shape[0] - 1, int(np.floor(points[:, 1].max())))
    columns = np.arange(shape[1])
    for row in range(low, high + 1):
        crosses = (start[:, 1] <= row) != (stop[:, 1] <= row)
        first, last = start[crosses], stop[crosses]
        share = (row - first[:, 1]) / (last[:, 1] - first[:, 1])
        crossings = np.sort(first[:, 0] + share * (last[:, 0] - first[:, 0]))
        mask[row] = np.searchsorted(crossings, columns, side="right") % 2 == 1
    return mask


def nested_mask(polygons: Sequence[Float64Array], shape: tuple[int, int]) -> BoolArray:
    """All polygons of one slice together: one that lies wholly within others is a hole, else it is added."""
    masks = sorted((polygon_mask(points, shape) for points in polygons), key=lambda mask: -int(mask.sum()))
    whole = np.zeros(shape, np.bool_)
    for mask in masks:
        whole = whole & ~mask if mask.any() and bool(whole[mask].all()) else whole | mask
    return whole
