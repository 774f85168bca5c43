"""Straight grids in millimetres, and smooth fields that can be read on any of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.study import Float32Array, Float64Array

IntpArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Axes:
    """Voxel centres of a grid whose axes lie along z, y, x of the patient; each axis ascends evenly."""

    z_mm: Float32Array
    y_mm: Float32Array
    x_mm: Float32Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        return (self.z_mm.size, self.y_mm.size, self.x_mm.size)

    @property
    def origin_mm(self) -> Float64Array:
        """First voxel centre, z, y, x."""
        return np.array([self.z_mm[0], self.y_mm[0], self.x_mm[0]], dtype=np.float64)

    @property
    def step_mm(self) -> Float64Array:
        """Distance between neighbours along z, y, x; 1 along an axis of a single voxel."""
        steps = [axis[1] - axis[0] if axis.size > 1 else 1.0 for axis in (self.z_mm, self.y_mm, self.x_mm)]
        return np.array(steps, dtype=np.float64)

    def broadcast(self) -> tuple[Float32Array, Float32Array, Float32Array]:
        """The three axes shaped (z,1,1), (1,y,1), (1,1,x)."""
        return self.z_mm[:, None, None], self.y_mm[None, :, None], self.x_mm[None, None, :]

    def crop(self, box: tuple[slice, slice, slice]) -> "Axes":
        """The part of the grid inside an index box."""
        return Axes(z_mm=self.z_mm[box[0]], y_mm=self.y_mm[box[1]], x_mm=self.x_mm[box[2]])

    def box_around(self, low_mm: Float64Array, high_mm: Float64Array) -> tuple[slice, slice, slice] | None:
        """Index box of the voxels between two corners (z, y, x); None when there are none."""
        first = np.ceil((low_mm - self.origin_mm) / self.step_mm).astype(int)
        last = np.floor((high_mm - self.origin_mm) / self.step_mm).astype(int) + 1
        first, last = np.maximum(first, 0), np.minimum(last, self.shape)
        if np.any(first >= last):
            return None
        return (slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2]))


def build_axes(low_mm: Float64Array, high_mm: Float64Array, step_mm: float) -> Axes:
    """An even grid from one corner (z, y, x) to at least the other."""
    z_mm, y_mm, x_mm = (
        np.arange(low, high + step_mm, step_mm, dtype=np.float32) for low, high in zip(low_mm, high_mm, strict=True)
    )
    return Axes(z_mm=z_mm, y_mm=y_mm, x_mm=x_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """A smooth quantity known on a coarse grid."""

    values: Float32Array
    """(z, y, x)."""
    axes: Axes

    def sample(self, target: Axes) -> Float32Array:
        """Read the field on another grid: linear between voxels, the edge value outside."""
        values = self.values
        pairs = ((self.axes.z_mm, target.z_mm), (self.axes.x_mm, target.x_mm), (self.axes.y_mm, target.y_mm))
        for axis, (known_mm, wanted_mm) in zip((0, 2, 1), pairs, strict=True):
            values = _interpolate_axis(values, axis, known_mm, wanted_mm)
        return values


def _interpolate_axis(values: Float32Array, axis: int, known_mm: Float32Array, wanted_mm: Float32Array) -> Float32Array:
    lower, weight = _neighbours(known_mm, wanted_mm)
    shape = [1, 1, 1]
    shape[axis] = weight.size
    below = np.take(values, lower, axis=axis)
    above = np.take(values, np.minimum(lower + 1, known_mm.size - 1), axis=axis)
    above -= below
    above *= weight.reshape(shape)
    above += below
    return above


def _neighbours(known_mm: Float32Array, wanted_mm: Float32Array) -> tuple[IntpArray, Float32Array]:
    step = float(known_mm[1] - known_mm[0]) if known_mm.size > 1 else 1.0
    position = np.clip((wanted_mm - known_mm[0]) / step, 0.0, known_mm.size - 1.0)
    lower = np.floor(position).astype(np.intp)
    return lower, (position - lower).astype(np.float32)
