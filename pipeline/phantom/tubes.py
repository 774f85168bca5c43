"""Many thin tubes drawn into a voxel grid."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes
from pipeline.study import BoolArray, Float64Array, UInt8Array

FULL = 255
"""Value of a voxel that lies wholly inside a tube."""


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

    def keep(self, chosen: BoolArray) -> "Tubes":
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
    margin_mm = tubes.radius_mm[:, None] * (tubes.flatness, 1.0, 1.0) + axes.step_mm / 2
    low = np.minimum(tubes.start_mm, tubes.end_mm) - margin_mm
    high = np.maximum(tubes.start_mm, tubes.end_mm) + margin_mm
    last_mm = np.array([axes.z_mm[-1], axes.y_mm[-1], axes.x_mm[-1]])
    for index in np.flatnonzero(np.all((high >= axes.origin_mm) & (low <= last_mm), axis=1)):
        box = axes.box_around(low[index], high[index])
        if box is not None:
            share = _segment_cover(tubes, int(index), axes.crop(box))
            np.maximum(canvas[box], share, out=canvas[box])
    return canvas


def _segment_cover(tubes: Tubes, index: int, axes: Axes) -> UInt8Array:
    """Cover by one piece; the soft edge is as wide as the voxel in the direction of the nearest point."""
    squeeze = 1.0 / tubes.flatness
    start, along = tubes.start_mm[index], tubes.end_mm[index] - tubes.start_mm[index]
    z, y, x = (axis - np.float32(at) for axis, at in zip(axes.broadcast(), start, strict=True))
    z = z * np.float32(squeeze)
    step = (along * (squeeze, 1.0, 1.0)).astype(np.float32)
    share = (z * step[0] + y * step[1] + x * step[2]) / np.float32(max(float(step @ step), 1e-6))
    np.clip(share, 0.0, 1.0, out=share)
    upward = (z - share * step[0]) ** 2
    distance_squared = upward + (y - share * step[1]) ** 2 + (x - share * step[2]) ** 2
    flat_mm, tall_mm = float(axes.step_mm[2]), float(axes.step_mm[0]) * squeeze
    edge = flat_mm + (tall_mm - flat_mm) * upward / (distance_squared + np.float32(0.01))
    radius = float(tubes.radius_mm[index])
    depth = (np.float32(radius) - np.sqrt(distance_squared)) / edge + np.float32(0.5)
    full = FULL * _thin_tube_share(radius, along, flat_mm, float(axes.step_mm[0]))
    cover: UInt8Array = (np.clip(depth, 0.0, 1.0) * np.float32(full)).astype(np.uint8)
    return cover


def _thin_tube_share(radius_mm: float, along: Float64Array, flat_mm: float, tall_mm: float) -> float:
    """Largest share of a voxel that a tube of this radius and direction can cover."""
    upright = abs(float(along[0])) / max(float(np.linalg.norm(along)), 1e-6)
    crosswise_mm = upright * flat_mm + (1.0 - upright) * tall_mm
    return min(1.0, 2 * radius_mm / flat_mm) * min(1.0, 2 * radius_mm / crosswise_mm)
