"""Solids as implicit functions: millimetres outside the surface, negative inside, about true near it."""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import numpy as np

from pipeline.phantom.axes import Axes
from pipeline.study import Float32Array

Point = tuple[float, float, float]
"""z, y, x in mm."""


def ellipsoid(axes: Axes, centre: Point, radii: Point) -> Float32Array:
    """An ellipsoid along the axes of the patient."""
    z, y, x = axes.broadcast()
    scaled = ((z - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((x - centre[2]) / radii[2]) ** 2
    return np.asarray((np.sqrt(scaled) - 1.0) * np.float32(min(radii)), dtype=np.float32)


def capsule(axes: Axes, start: Point, end: Point, radius: float) -> Float32Array:
    """A straight tube with round ends."""
    z, y, x = axes.broadcast()
    along = np.subtract(end, start).astype(np.float32)
    length_squared = np.float32(max(float(along @ along), 1e-6))
    offset = (z - start[0], y - start[1], x - start[2])
    share = np.clip((offset[0] * along[0] + offset[1] * along[1] + offset[2] * along[2]) / length_squared, 0.0, 1.0)
    squared = sum((part - share * step) ** 2 for part, step in zip(offset, along, strict=True))
    return np.asarray(np.sqrt(squared) - np.float32(radius), dtype=np.float32)


def path_tube(axes: Axes, points: Sequence[Point], radius: float) -> Float32Array:
    """A tube along a chain of points."""
    pieces = [capsule(axes, start, end, radius) for start, end in pairwise(points)]
    return reduce(np.minimum, pieces)


def smooth_union(first: Float32Array, second: Float32Array, blend_mm: float) -> Float32Array:
    """Union with a fillet of about blend_mm (polynomial smooth minimum, Quilez)."""
    share = np.maximum(blend_mm - np.abs(first - second), 0.0) / blend_mm
    return np.asarray(np.minimum(first, second) - share * share * np.float32(blend_mm / 4), dtype=np.float32)


def smooth_cut(first: Float32Array, second: Float32Array, blend_mm: float) -> Float32Array:
    """Intersection with a rounded edge of about blend_mm."""
    return -smooth_union(-first, -second, blend_mm)


def true_distance(implicit: Float32Array, step_mm: float) -> Float32Array:
    """The function divided by its slope: distances in mm near the surface whatever its scale was."""
    slopes = np.gradient(implicit, step_mm)
    slope = np.sqrt(sum(part * part for part in slopes))
    return np.asarray(implicit / np.maximum(slope, 0.3), dtype=np.float32)


def cover(depth_mm: Float32Array, edge_mm: float) -> Float32Array:
    """Share of a voxel inside the solid, 0..1, from its depth below the surface; the edge is edge_mm wide."""
    share = depth_mm * np.float32(1.0 / edge_mm)
    share += np.float32(0.5)
    return np.clip(share, 0.0, 1.0, out=share)
