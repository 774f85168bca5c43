"""Slices of a tilted gantry: straightened into a box of voxels, masks leant back, each slice within its own plane."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.study import AIR_HU, Grid, Int16Array

VoxelType = TypeVar("VoxelType", bound=np.generic)

LEAST_LEAN = 0.01
"""Voxels between the first and the last slice, below which nothing leans; rounding of positions gives less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shear:
    """How the slices of a leaning grid lie in a straight one with room for all of them."""

    source_shape: tuple[int, int, int]
    grid: Grid
    """The straight one: the same slice planes, rows and columns."""
    lean: tuple[float, float]
    """How many rows and columns each slice lies further along than the one before."""
    start: tuple[int, int]
    """Row and column of the straight grid's first voxel, counted as those of slice 0."""

    def straighten(self, volume_hu: Int16Array) -> Int16Array:
        """The volume on the straight grid, interpolated linearly within each slice; air where nothing was imaged."""
        straight_hu = np.empty(self.grid.shape, np.int16)
        for k, slice_hu in enumerate(volume_hu):
            offset = [self.start[axis] - self.lean[axis] * k for axis in (0, 1)]
            moved = ndimage.affine_transform(
                slice_hu.astype(np.float32), np.ones(2), offset, self.grid.shape[1:], order=1, cval=AIR_HU
            )
            straight_hu[k] = np.rint(moved)
        return straight_hu

    def straighten_mask(self, mask: NDArray[VoxelType]) -> NDArray[VoxelType]:
        """A mask of the leaning grid on the straight one, moved by whole voxels."""
        straight = np.zeros(self.grid.shape, mask.dtype)
        for k, part in self._parts():
            straight[k][part] = mask[k]
        return straight

    def lean_back(self, mask: NDArray[VoxelType]) -> NDArray[VoxelType]:
        """The way back of `straighten` for a mask, moved by whole voxels, so by half a voxel at most beside its place."""
        return np.stack([mask[k][part] for k, part in self._parts()])

    def _parts(self) -> Iterator[tuple[int, tuple[slice, slice]]]:
        """Where each slice lies within that of the straight grid, to the nearest voxel."""
        for k in range(self.source_shape[0]):
            row, column = (round(self.lean[axis] * k) - self.start[axis] for axis in (0, 1))
            yield k, (slice(row, row + self.source_shape[1]), slice(column, column + self.source_shape[2]))


def shear_of(grid: Grid) -> Shear | None:
    """How a grid leans; None for one that does not: its slices lie straight above one another."""
    step, down, across = grid.affine_lps_from_kji[:3, :3].T
    lean = (float(step @ down / (down @ down)), float(step @ across / (across @ across)))
    ends = [one * (grid.shape[0] - 1) for one in lean]
    if max(map(abs, ends)) < LEAST_LEAN:
        return None
    start = (math.floor(min(0.0, ends[0])), math.floor(min(0.0, ends[1])))
    room = [math.ceil(max(0.0, end)) - first for end, first in zip(ends, start, strict=True)]
    affine = grid.affine_lps_from_kji.copy()
    affine[:3, 0] = step - lean[0] * down - lean[1] * across
    affine[:3, 3] += start[0] * down + start[1] * across
    straight = Grid(shape=(grid.shape[0], grid.shape[1] + room[0], grid.shape[2] + room[1]), affine_lps_from_kji=affine)
    return Shear(source_shape=grid.shape, grid=straight, lean=lean, start=start)
