"""Many thin tubes drawn into a voxel grid."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes, IntpArray
from pipeline.study import BoolArray, Float32Array, Float64Array, UInt8Array

FULL = 255
"""Value of a voxel that lies wholly inside a tube."""
_VOXELS_AT_ONCE = 200_000
"""Keeps the arrays of a step within the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tubes:
    """Straight pieces of tube."""

    start_mm: Float64Array
    """(n, 3): z, y, x."""
    end_mm: Float64Array
    radius_mm: Float64Array
    """(n,)."""
    flatness: float = 1.0
    """The cross-section is this much taller along z than across."""

    def widened(self, extra_mm: float) -> "Tubes":
        """The same tubes with another radius, never below 0.1 mm."""
        radius_mm = np.maximum(self.radius_mm + extra_mm, 0.1)
        return Tubes(start_mm=self.start_mm, end_mm=self.end_mm, radius_mm=radius_mm, flatness=self.flatness)

    def keep(self, chosen: BoolArray | IntpArray) -> "Tubes":
        """Some of the tubes."""
        return Tubes(
            start_mm=self.start_mm[chosen],
            end_mm=self.end_mm[chosen],
            radius_mm=self.radius_mm[chosen],
            flatness=self.flatness,
        )

    def thicker_than(self, radius_mm: float) -> "Tubes":
        """The tubes of at least a radius."""
        return self.keep(self.radius_mm >= radius_mm)


def join_tubes(groups: list[Tubes]) -> Tubes:
    """All tubes of groups of one flatness."""
    return Tubes(
        start_mm=np.concatenate([group.start_mm for group in groups]),
        end_mm=np.concatenate([group.end_mm for group in groups]),
        radius_mm=np.concatenate([group.radius_mm for group in groups]),
        flatness=groups[0].flatness,
    )


def tubes_along(points_mm: Float64Array, radius_mm: float, flatness: float = 1.0) -> Tubes:
    """One tube along a chain of points (n, 3)."""
    radii = np.full(len(points_mm) - 1, radius_mm)
    return Tubes(start_mm=points_mm[:-1], end_mm=points_mm[1:], radius_mm=radii, flatness=flatness)


def draw_tubes(tubes: Tubes, axes: Axes) -> UInt8Array:
    """Share of each voxel that tubes cover, 0..255; a tube thinner than a voxel stays faint."""
    canvas = np.zeros(axes.shape, dtype=np.uint8)
    first, count = _boxes(tubes, axes)
    reached = np.flatnonzero(np.all(count > 0, axis=1))
    shapes, shape_of = np.unique(count[reached], axis=0, return_inverse=True)
    for number, shape in enumerate(shapes):
        alike = reached[shape_of.ravel() == number]
        for part in np.array_split(alike, -(-len(alike) * int(np.prod(shape)) // _VOXELS_AT_ONCE)):
            places, share = _cover(tubes.keep(part), axes, first[part], shape)
            np.maximum.at(canvas.reshape(-1), places, share)
    return canvas


def _boxes(tubes: Tubes, axes: Axes) -> tuple[IntpArray, IntpArray]:
    """First voxel and number of voxels, along z, y, x, of the box each piece can reach."""
    margin_mm = tubes.radius_mm[:, None] * (tubes.flatness, 1.0, 1.0) + axes.step_mm / 2
    low = (np.minimum(tubes.start_mm, tubes.end_mm) - margin_mm - axes.origin_mm) / axes.step_mm
    high = (np.maximum(tubes.start_mm, tubes.end_mm) + margin_mm - axes.origin_mm) / axes.step_mm
    first = np.maximum(np.ceil(low), 0).astype(np.intp)
    last = np.minimum(np.floor(high) + 1, axes.shape).astype(np.intp)
    return first, last - first


def _cover(tubes: Tubes, axes: Axes, first: IntpArray, shape: IntpArray) -> tuple[IntpArray, UInt8Array]:
    """Flat places and cover of the voxels that pieces with boxes of one shape cover."""
    index = [first[:, axis, None] + np.arange(shape[axis]) for axis in range(3)]
    along = [values.reshape(len(first), *_along_axis(axis)) for axis, values in enumerate(index)]
    centres = (axes.z_mm[along[0]], axes.y_mm[along[1]], axes.x_mm[along[2]])
    share = _piece_share(tubes, centres, axes.step_mm)
    places = (along[0] * axes.shape[1] + along[1]) * axes.shape[2] + along[2]
    drawn = share > 0
    return places[drawn], share[drawn]


def _piece_share(tubes: Tubes, centres: tuple[Float32Array, ...], step_mm: Float64Array) -> UInt8Array:
    """Cover by each piece of its own box (piece, z, y, x).

    The soft edge is as wide as the voxel in the direction of the nearest point of the axis.
    """
    squeeze = np.array([1.0 / tubes.flatness, 1.0, 1.0])
    direction = tubes.end_mm - tubes.start_mm
    starts, ways = _per_piece(tubes.start_mm), _per_piece(direction * squeeze)
    z, y, x = (centre - start for centre, start in zip(centres, starts, strict=True))
    z = z * np.float32(squeeze[0])
    length_squared = np.maximum(ways[0] ** 2 + ways[1] ** 2 + ways[2] ** 2, np.float32(1e-6))
    walked = np.clip((z * ways[0] + y * ways[1] + x * ways[2]) / length_squared, 0.0, 1.0)
    upward = (z - walked * ways[0]) ** 2
    distance_squared = upward + (y - walked * ways[1]) ** 2 + (x - walked * ways[2]) ** 2
    flat_mm, tall_mm = np.float32(step_mm[2]), np.float32(step_mm[0] * squeeze[0])
    edge = flat_mm + (tall_mm - flat_mm) * upward / (distance_squared + np.float32(0.01))
    (radius,) = _per_piece(tubes.radius_mm[:, None])
    depth = (radius - np.sqrt(distance_squared)) / edge + np.float32(0.5)
    (full,) = _per_piece(FULL * _thin_tube_share(tubes.radius_mm, direction, step_mm)[:, None])
    return np.asarray(np.clip(depth, 0.0, 1.0) * full, dtype=np.uint8)


def _thin_tube_share(radius_mm: Float64Array, direction: Float64Array, step_mm: Float64Array) -> Float64Array:
    """Largest share of a voxel that a tube of each radius and direction can cover."""
    upright = np.abs(direction[:, 0]) / np.maximum(np.linalg.norm(direction, axis=1), 1e-6)
    crosswise_mm = upright * step_mm[2] + (1.0 - upright) * step_mm[0]
    shares = np.minimum(1.0, 2 * radius_mm / step_mm[2]) * np.minimum(1.0, 2 * radius_mm / crosswise_mm)
    return np.asarray(shares, dtype=np.float64)


def _per_piece(columns: Float64Array) -> list[Float32Array]:
    """The columns of an array (n, m), each shaped (n, 1, 1, 1)."""
    return [column.astype(np.float32).reshape(-1, 1, 1, 1) for column in columns.T]


def _along_axis(axis: int) -> tuple[int, int, int]:
    return (-1 if axis == 0 else 1, -1 if axis == 1 else 1, -1 if axis == 2 else 1)
