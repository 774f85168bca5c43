"""Outlines of masks as closed polygons in image coordinates."""

from typing import Final

import contourpy
import numpy as np

from pipeline.study import BoolArray, Float64Array

TOLERANCE_PIXELS: Final = 0.25
"""A simplified outline stays this close to the exact one; below what a viewer shows."""

LEAST_POINTS: Final = 8
"""Without the closing one. Viewers take closed polygons of up to 5 points for editable rectangles."""


def outer_contour(mask: BoolArray) -> Float64Array:
    """Outline of the largest connected part of `mask`.

    Args:
        mask: (rows, columns), at least one pixel set.

    Returns:
        (n, 2) column and row, n > `LEAST_POINTS`, first point repeated as the last. Corners are those of PS3.3 C.18.6:
        (0, 0) is the corner of the first pixel, (0.5, 0.5) its centre.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    padded = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64), 1)
    lines = contourpy.contour_generator(z=padded, name="serial").lines(0.5)
    rings = [np.asarray(line, dtype=np.float64) for line in lines]
    ring = max(rings, key=enclosed_area)
    # The generator counts from the centre of the first pixel of the padded part.
    corner = np.array([columns[0], rows[0]], dtype=np.float64)
    return _with_enough_points(_simplified(ring)) - 0.5 + corner


def convex_outline(mask: BoolArray) -> Float64Array:
    """Convex outline around everything set in `mask`; the same form as of `outer_contour`."""
    corners = [(column + dx, row + dy) for dx in (0.0, 1.0) for dy in (0.0, 1.0) for column, row in _extremes(mask)]
    hull = _convex_hull(sorted(set(corners)))
    return _with_enough_points(np.asarray([*hull, hull[0]], dtype=np.float64))


def enclosed_area(ring: Float64Array) -> float:
    """Area inside a closed polygon in pixels."""
    x, y = ring[:, 0], ring[:, 1]
    return float(abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2.0


def _extremes(mask: BoolArray) -> list[tuple[float, float]]:
    """First and last set column of each row: the hull needs no others."""
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = mask[rows].argmax(axis=1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    return [(float(column), float(row)) for columns in (first, last) for column, row in zip(columns, rows, strict=True)]


def _convex_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Andrew's monotone chain over sorted points."""
    lower, upper = _half_hull(points), _half_hull(points[::-1])
    return lower[:-1] + upper[:-1]


def _half_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    chain: list[tuple[float, float]] = []
    for point in points:
        while len(chain) >= 2 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _simplified(ring: Float64Array) -> Float64Array:
    """Ramer-Douglas-Peucker on the two halves of a closed ring."""
    far = int(np.argmax(np.hypot(*(ring - ring[0]).T)))
    keep = np.zeros(len(ring), dtype=bool)
    keep[[0, far, len(ring) - 1]] = True
    pending = [(0, far), (far, len(ring) - 1)]
    while pending:
        first, last = pending.pop()
        middle = _farthest(ring, first, last)
        if middle is not None:
            keep[middle] = True
            pending += [(first, middle), (middle, last)]
    return ring[keep]


def _farthest(ring: Float64Array, first: int, last: int) -> int | None:
    """Index of the point between that is farthest from the chord, if farther than the tolerance."""
    if last - first < 2:
        return None
    chord = ring[last] - ring[first]
    offsets = ring[first + 1 : last] - ring[first]
    length = float(np.hypot(*chord))
    if length:
        distances = np.abs(chord[0] * offsets[:, 1] - chord[1] * offsets[:, 0]) / length
    else:
        distances = np.hypot(offsets[:, 0], offsets[:, 1])
    middle = int(np.argmax(distances))
    return first + 1 + middle if distances[middle] > TOLERANCE_PIXELS else None


def _with_enough_points(ring: Float64Array) -> Float64Array:
    """Halve the edges of a small ring until it has enough points; its shape stays."""
    while len(ring) - 1 < LEAST_POINTS:
        halved = np.empty((2 * len(ring) - 1, 2))
        halved[0::2] = ring
        halved[1::2] = (ring[:-1] + ring[1:]) / 2.0
        ring = halved
    return ring
