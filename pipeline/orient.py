"""The way between the grid a series was acquired on and arrays in patient order."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from pipeline.shear import shear_of
from pipeline.study import Grid, Int16Array, Volume

VoxelType = TypeVar("VoxelType", bound=np.generic)

PATIENT_ORDER = "LPS"
"""Column index grows to the patient's left, row index to posterior, slice index to superior."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LpsVolume:
    """A volume in patient order: z from inferior to superior, y from anterior to posterior, x from right to left."""

    volume_hu: Int16Array
    """HU, (z, y, x)."""
    grid: Grid
    """Its k, j, i are z, y, x; oblique acquisitions stay oblique, by less than 45 degrees per axis."""
    source_grid: Grid

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along z, y, x in mm."""
        return self.grid.spacing_mm


def lps_from_source(volume: Volume) -> LpsVolume:
    """The volume in patient order; voxels are moved, none is interpolated, and where none moves none is copied.

    Only slices that lean, of a tilted gantry, are straightened first.
    """
    shear = shear_of(volume.grid)
    straight = shear.grid if shear else volume.grid
    axes, turned = _placement(straight)
    affine = straight.affine_lps_from_kji.copy()
    for axis in turned:
        affine[:3, 3] += affine[:3, axis] * (straight.shape[axis] - 1)
        affine[:3, axis] *= -1.0
    affine[:3, :3] = affine[:3, axes]
    moved = _moved(shear.straighten(volume.volume_hu) if shear else volume.volume_hu, axes, turned)
    grid = Grid(shape=(moved.shape[0], moved.shape[1], moved.shape[2]), affine_lps_from_kji=affine)
    return LpsVolume(volume_hu=moved, grid=grid, source_grid=volume.grid)


def lps_mask_from_source(mask: NDArray[VoxelType], lps: LpsVolume) -> NDArray[VoxelType]:
    """A mask on the grid of acquisition (k, j, i) in the patient order of its volume (z, y, x).

    Exact, but for leaning slices, which are moved by whole voxels.
    """
    shear = shear_of(lps.source_grid)
    if shear is None:
        return _moved(mask, *_placement(lps.source_grid))
    return _moved(shear.straighten_mask(mask), *_placement(shear.grid))


def source_from_lps(array: NDArray[VoxelType], lps: LpsVolume) -> NDArray[VoxelType]:
    """The way back of `lps_from_source` for a mask or a map: (z, y, x) to (k, j, i).

    Exact, but for leaning slices, which are moved by whole voxels.
    """
    shear = shear_of(lps.source_grid)
    axes, turned = _placement(shear.grid if shear else lps.source_grid)
    back = np.flip(np.transpose(array, np.argsort(axes).tolist()), turned)
    return np.ascontiguousarray(shear.lean_back(back) if shear else back)


def _placement(grid: Grid) -> tuple[list[int], tuple[int, ...]]:
    """Which of k, j, i becomes z, y, x; which of k, j, i run against patient order."""
    letters = orientation_code(grid)[::-1]
    along = [next(axis for axis, letter in enumerate(letters) if letter in pair) for pair in ("SI", "PA", "LR")]
    return along, tuple(axis for axis, letter in enumerate(letters) if letter in "IAR")


def _moved(array: NDArray[VoxelType], axes: list[int], turned: tuple[int, ...]) -> NDArray[VoxelType]:
    flipped = np.flip(array, turned)
    return np.ascontiguousarray(np.transpose(flipped, axes))


def slice_axis(volume: LpsVolume) -> int:
    """Which of z, y, x runs through the slices as they were acquired: 0, z, for axial ones."""
    shear = shear_of(volume.source_grid)
    axes, _ = _placement(shear.grid if shear else volume.source_grid)
    return axes.index(0)


def orientation_code(grid: Grid) -> str:
    """Three letters for where i, j and k grow to, nearest axis of the patient, for instance `LPS` or `RAS`."""
    image = image_from_array(np.zeros((1, 1, 1), np.uint8), grid)
    code: str = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    return code


def image_from_array(array: NDArray[Any], grid: Grid) -> SimpleITK.Image:
    """The array (k, j, i) as an image that knows where it lies; it may have another shape than the grid."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array))
    columns = grid.affine_lps_from_kji[:3, [2, 1, 0]]
    steps = np.linalg.norm(columns, axis=0)
    image.SetSpacing([float(step) for step in steps])
    image.SetDirection([float(cosine) for cosine in (columns / steps).ravel()])
    image.SetOrigin([float(value) for value in grid.affine_lps_from_kji[:3, 3]])
    return image


def grid_of_image(image: SimpleITK.Image) -> Grid:
    """Where the voxels of an image lie."""
    directions = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = directions[:, [2, 1, 0]]
    affine[:3, 3] = image.GetOrigin()
    columns, rows, slices = image.GetSize()
    return Grid(shape=(slices, rows, columns), affine_lps_from_kji=affine)


def sub_grid(grid: Grid, box: tuple[slice, ...]) -> Grid:
    """Of a part that is cut out of an array."""
    affine = grid.affine_lps_from_kji.copy()
    affine[:3, 3] = grid.affine_lps_from_kji[:3] @ [*(part.start for part in box), 1.0]
    slices, rows, columns = (part.stop - part.start for part in box)
    return Grid(shape=(slices, rows, columns), affine_lps_from_kji=affine)
