"""One painted chest as scanned on another day: another breath, contrast, place, kernel, dose."""

from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from pipeline.phantom.paint import ScannedLungs, with_parenchyma
from pipeline.phantom.textures import cut_texture, fractal_noise
from pipeline.study import BoolArray, Float32Array, Int16Array, UInt8Array
from pipeline.training.cases import CaseStudy
from pipeline.training.chest_shapes import CONTROL_POINTS, smooth_field

AIR_HU = -1000.0

DENSEST_LUNG_HU, EMPTIEST_LUNG_HU = -740.0, -910.0
"""Between full expiration and full inspiration (median of the lungs)."""

BLOOD_FROM_HU, BLOOD_FULL_HU, BLOOD_TO_HU = -35.0, 25.0, 115.0
"""Contrast medium brightens what is between the last two, and begins at the first; what is denser is bone."""

RESIDUAL_SHIFT_MM = 1.3
RESIDUAL_BEND_MM = 1.0
"""Standard deviations of what registration leaves, along each axis."""


def breathed(lungs: ScannedLungs, level_hu: float, rng: np.random.Generator) -> ScannedLungs:
    """The lungs with as much air as gives them this median density, a little uneven."""
    inside = lungs.lung_mask > 0
    typical_hu = float(np.median(lungs.parenchyma_hu[inside])) if inside.any() else level_hu
    factor = np.clip((level_hu - AIR_HU) / (typical_hu - AIR_HU), 0.6, 2.4)
    uneven = 1.0 + rng.uniform(0.0, 0.08) * cut_texture(fractal_noise(1.9), lungs.volume_hu.shape, rng)
    parenchyma_hu = AIR_HU + (lungs.parenchyma_hu - AIR_HU) * np.float32(factor) * np.clip(uneven, 0.6, 1.4)
    return with_parenchyma(lungs, np.clip(parenchyma_hu, -985.0, -500.0).astype(np.float32))


def with_dependent_band(lungs: ScannedLungs, rng: np.random.Generator) -> ScannedLungs:
    """Lungs that have collapsed a little where the patient lies on them: thinly, or disease there would pass for it."""
    inside = lungs.lung_mask > 0
    slices, rows, columns = inside.shape
    row = np.arange(rows, dtype=np.float32)[None, :, None]
    back = np.where(inside, row, -1.0).max(axis=1, keepdims=True)
    depth_mm = (back - row) * np.float32(lungs.axes.step_mm[1])
    low = np.linspace(1.0, rng.uniform(-0.6, 0.7), slices, dtype=np.float32)[:, None, None]
    wave = ndimage.gaussian_filter(cut_texture(fractal_noise(2.0), (slices, 1, columns), rng), (0.0, 0.0, 4.0))
    thickness_mm = rng.uniform(3.0, 8.0) * np.clip(low + 0.4 * wave, 0.0, 1.5)
    share = np.clip((thickness_mm - depth_mm) / 4.0, 0.0, 1.0) * inside
    denser_hu = rng.uniform(60.0, 280.0) * share * np.clip(1.0 - depth_mm / 30.0, 0.2, 1.0)
    return with_parenchyma(lungs, np.minimum(lungs.parenchyma_hu + denser_hu, 0.0).astype(np.float32))


def with_contrast(volume_hu: Float32Array, lung_mask: BoolArray, contrast_hu: float) -> Float32Array:
    """Brighter blood in vessels and heart: soft tissue in and between the lungs."""
    columns = np.arange(lung_mask.shape[2])
    first = np.where(lung_mask, columns, lung_mask.shape[2]).min(axis=2, keepdims=True)
    last = np.where(lung_mask, columns, -1).max(axis=2, keepdims=True)
    between = (columns >= first) & (columns <= last)
    smooth = ndimage.gaussian_filter(volume_hu, (0.0, 0.7, 0.7))
    share = np.clip((smooth - BLOOD_FROM_HU) / (BLOOD_FULL_HU - BLOOD_FROM_HU), 0.0, 1.0)
    blood = (share * (smooth < BLOOD_TO_HU) * between).astype(np.float32)
    return np.asarray(volume_hu + contrast_hu * ndimage.gaussian_filter(blood, (0.0, 0.6, 0.6)), dtype=np.float32)


def misplaced(study: CaseStudy, spacing_mm: tuple[float, float, float], rng: np.random.Generator) -> CaseStudy:
    """An earlier study as registration brings it onto the newest: nearly there."""
    sizes = study.volume_hu.shape
    bends_mm = rng.normal(0.0, RESIDUAL_BEND_MM, (3, *CONTROL_POINTS))
    bends_mm += rng.normal(0.0, RESIDUAL_SHIFT_MM, (3, 1, 1, 1))
    moves = smooth_field(bends_mm.astype(np.float32), (sizes[0], sizes[1], sizes[2]))
    plain = torch.meshgrid(*[torch.arange(size, dtype=torch.float32) + 0.5 for size in sizes], indexing="ij")
    places = zip(plain, moves, spacing_mm, sizes, strict=True)
    read = [(index + move / mm) * (2.0 / size) - 1.0 for index, move, mm, size in places]
    grid = torch.stack(read[::-1], dim=-1)[None]
    volume_hu = _read(study.volume_hu[None], grid, "bilinear")[0]
    return replace(
        study,
        volume_hu=np.rint(volume_hu).astype(np.int16),
        truth=_read(study.truth, grid, "nearest").astype(np.uint8),
    )


def _read(images: Int16Array | UInt8Array, grid: torch.Tensor, mode: str) -> Float32Array:
    """Images (C, Z, Y, X) read at a grid (1, Z, Y, X, 3)."""
    stacked = torch.from_numpy(images.astype(np.float32))[None]
    moved = functional.grid_sample(stacked, grid, mode=mode, padding_mode="border", align_corners=False)
    return np.asarray(moved[0].numpy(), dtype=np.float32)
