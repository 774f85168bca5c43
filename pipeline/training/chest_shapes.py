"""One real chest as many: mirrored, of another size, bent, cut into other slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from pipeline.model_input import InputContract
from pipeline.study import BoolArray, Float32Array, Int16Array

ScanArray: TypeAlias = Int16Array | BoolArray

SPACING_FACTORS = (0.5, 0.6, 0.8, 1.0, 1.0, 1.0, 1.3, 1.6)
"""New slice spacing as a multiple of the scan's own."""

THICKEST_SPACING_MM = 8.0
FEWEST_SLICES = 5

SMALLEST_SCALE, LARGEST_SCALE = 0.85, 1.18
LARGEST_BEND_MM = 6.0
"""Standard deviation of the displacement of the control points."""

CONTROL_POINTS = (4, 5, 5)
SLICE_SAMPLES = 5
"""Points over the thickness of a slice, whose mean it is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChestShape:
    """How a chest is changed; the same for all its series and masks."""

    mirrored: bool
    """Right and left change places."""
    scale: tuple[float, float, float]
    """Along z, y, x."""
    bends_mm: Float32Array
    """(2, *CONTROL_POINTS): displacement along y and x."""
    slice_spacing_mm: float
    slice_thickness_mm: float
    first_slice: float
    """Where the first slice lies, as a share of the spacing, -0.5 to 0.5."""
    pixel_mm: float


def draw_shape(rng: np.random.Generator, contract: InputContract, *, native_mm: float, slices: int) -> ChestShape:
    """A random shape for a chest of so many slices with so much between them."""
    scale = rng.uniform(SMALLEST_SCALE, LARGEST_SCALE, 3)
    widest = min(THICKEST_SPACING_MM, native_mm * slices * scale[0] / FEWEST_SLICES)
    wanted = native_mm * float(rng.choice(SPACING_FACTORS))
    spacing = max(min(wanted, widest), contract.slice_spacing_mm, native_mm / 2.0)
    return ChestShape(
        mirrored=bool(rng.random() < 0.5),
        scale=(float(scale[0]), float(scale[1]), float(scale[2])),
        bends_mm=(rng.uniform(0.0, LARGEST_BEND_MM) * rng.standard_normal((2, *CONTROL_POINTS))).astype(np.float32),
        slice_spacing_mm=float(spacing),
        slice_thickness_mm=float(max(native_mm, spacing * rng.uniform(0.6, 1.2))),
        first_slice=float(rng.uniform(-0.5, 0.5)),
        pixel_mm=contract.pixel_mm,
    )


def shaped(arrays: Sequence[ScanArray], spacing_mm: tuple[float, float, float], shape: ChestShape) -> Float32Array:
    """Arrays (Z, Y, X) of one scan on the grid of a changed chest (C, Z, H, W), averaged where that is coarser."""
    slices = np.stack([resliced(array.astype(np.float32), spacing_mm[0], shape) for array in arrays])
    # A triangle as wide as two new pixels, as the model grid's resampling has, less what linear reading blurs.
    blur_mm = [np.sqrt(max(shape.pixel_mm**2 - mm**2, 0.0) / 6.0) for mm in spacing_mm[1:]]
    sigma = (0.0, 0.0, *(blur / mm for blur, mm in zip(blur_mm, spacing_mm[1:], strict=True)))
    smooth = torch.from_numpy(ndimage.gaussian_filter(slices, sigma)).transpose(0, 1)
    grid = _grid((len(smooth), *smooth.shape[2:]), spacing_mm, shape)
    read = functional.grid_sample(smooth, grid, padding_mode="border", align_corners=False)
    return np.asarray(read.transpose(0, 1).contiguous().numpy(), dtype=np.float32)


def resliced(array: Float32Array, native_mm: float, shape: ChestShape) -> Float32Array:
    """New slices out of old ones: each the mean over its thickness, linear between the old."""
    step_mm = native_mm * shape.scale[0]
    count = max(1, int(len(array) * step_mm / shape.slice_spacing_mm))
    middle_mm = (np.arange(count) + 0.5 + shape.first_slice) * shape.slice_spacing_mm
    wider_mm = np.sqrt(max(shape.slice_thickness_mm**2 - native_mm**2, 0.0))
    offsets_mm = (np.arange(SLICE_SAMPLES) - (SLICE_SAMPLES - 1) / 2.0) / SLICE_SAMPLES * wider_mm
    weights = np.zeros((count, len(array)), np.float32)
    for offset_mm in offsets_mm:
        place = np.clip((middle_mm + offset_mm) / step_mm - 0.5, 0.0, len(array) - 1.0)
        below = np.minimum(place.astype(int), len(array) - 2) if len(array) > 1 else np.zeros(count, int)
        share = (place - below).astype(np.float32) / SLICE_SAMPLES
        np.add.at(weights, (np.arange(count), below), 1.0 / SLICE_SAMPLES - share)
        np.add.at(weights, (np.arange(count), np.minimum(below + 1, len(array) - 1)), share)
    return np.asarray(np.tensordot(weights, array, axes=1), dtype=np.float32)


def _grid(sizes: tuple[int, ...], spacing_mm: tuple[float, float, float], shape: ChestShape) -> Tensor:
    """Where each new pixel reads, for `functional.grid_sample`: (Z, H, W, 2)."""
    extent_mm = [size * mm for size, mm in zip(sizes[1:], spacing_mm[1:], strict=True)]
    rows, columns = (round(mm * scale / shape.pixel_mm) for mm, scale in zip(extent_mm, shape.scale[1:], strict=True))
    bends = smooth_field(shape.bends_mm, (sizes[0], rows, columns))
    y, x = (
        ((np.arange(count) + 0.5) * shape.pixel_mm / scale).astype(np.float32)
        for count, scale in zip((rows, columns), shape.scale[1:], strict=True)
    )
    from_x = extent_mm[1] - x if shape.mirrored else x
    grid = torch.empty((sizes[0], rows, columns, 2))
    grid[..., 0] = (torch.from_numpy(from_x) + bends[1]) * (2.0 / extent_mm[1]) - 1.0
    grid[..., 1] = (torch.from_numpy(y)[:, None] + bends[0]) * (2.0 / extent_mm[0]) - 1.0
    return grid


def smooth_field(controls: Float32Array, sizes: tuple[int, int, int]) -> Tensor:
    """Control points (C, z, y, x) interpolated smoothly to (C, Z, H, W)."""
    coarse = (sizes[0], max(2, sizes[1] // 8), max(2, sizes[2] // 8))
    zoom = [size / have for size, have in zip(coarse, controls.shape[1:], strict=True)]
    fields = np.stack([ndimage.zoom(part, zoom, order=3, mode="nearest", grid_mode=True) for part in controls])
    return functional.interpolate(torch.from_numpy(fields.astype(np.float32)), sizes[1:], mode="bilinear")
