"""Lesions as irregular as real ones: frayed outlines, borders that fade, patches, lines."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from pipeline.phantom.axes import Axes
from pipeline.phantom.lesions import LesionBody, lay_lesions
from pipeline.phantom.textures import cut_texture, fractal_noise
from pipeline.study import Float32Array, UInt8Array, UInt16Array

_SOFT_BELOW_HU = -450.0
"""Ground glass is less dense, consolidation is denser."""

_SOLID_HU = 10.0
"""Density at which lesions are drawn solid."""

_LINE_WIDTH = 0.3
"""Of septa, in standard deviations of the noise whose zero crossings they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grain:
    """What makes the lesions of a patient irregular, the same on all days."""

    seed: int
    patchy: float
    """Standard deviation of the rise in density over 8 to 20 mm, as a share of it: lobules that are spared."""
    mottle: float
    """The same over 3 to 6 mm."""
    lines: float
    """By how much thickened septa are denser, as a share of the rise."""
    haze_mm: float
    """Standard deviation of a blur that leaves lesions without a border."""
    fray_mm: float
    """How far outlines are pulled out of shape."""
    solid_hu: float
    """Density of what consolidates."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungDisease:
    """What is painted into the lungs of one patient."""

    lesions: tuple[LesionBody, ...]
    look_alikes: tuple[LesionBody, ...] = ()
    """Painted like lesions, but no truth shows them."""
    grain: Grain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnRise:
    """By how much disease makes the lung denser; arrays of one shape (z, y, x)."""

    rise_hu: Float32Array
    """Of everything."""
    lesion_rise_hu: Float32Array
    """Of the lesions alone."""
    labels: UInt16Array
    kind: UInt8Array


def draw_grain(rng: np.random.Generator) -> Grain:
    """A random irregularity."""
    return Grain(
        seed=int(rng.integers(1 << 31)),
        patchy=float(rng.uniform(0.15, 0.55)),
        mottle=float(rng.uniform(0.05, 0.25)),
        lines=float(rng.uniform(0.0, 0.8)),
        haze_mm=float(rng.uniform(0.0, 3.5)),
        fray_mm=float(rng.uniform(2.0, 7.0)),
        solid_hu=float(rng.uniform(-300.0, 20.0)),
    )


def draw_rise(healthy_hu: Float32Array, axes: Axes, disease: LungDisease, *, day: float) -> DrawnRise:
    """The disease of one day in lungs without vessels."""
    grain = disease.grain
    static_hu = lay_lesions(healthy_hu.copy(), axes, disease.look_alikes, day=day).parenchyma_hu
    layer = lay_lesions(static_hu.copy(), axes, disease.lesions, day=day)
    lesion_rise = _hazy(layer.parenchyma_hu - static_hu, axes, grain)
    static_rise = static_hu - healthy_hu
    rng = np.random.default_rng(grain.seed)
    images = np.stack([static_rise, lesion_rise, layer.labels, layer.kind]).astype(np.float32)
    static_rise, lesion_rise, labels, kind = _frayed(images, axes, grain, rng)
    total_hu = healthy_hu + static_rise + lesion_rise
    softened = _softened(total_hu, grain) - healthy_hu
    return DrawnRise(
        rise_hu=softened * _unevenness(softened + healthy_hu, axes, grain, rng),
        lesion_rise_hu=lesion_rise,
        labels=labels.astype(np.uint16),
        kind=kind.astype(np.uint8),
    )


def _hazy(rise_hu: Float32Array, axes: Axes, grain: Grain) -> Float32Array:
    sigma = [grain.haze_mm / float(step) for step in axes.step_mm]
    return np.asarray(ndimage.gaussian_filter(rise_hu, sigma, truncate=2.5), dtype=np.float32)


def _frayed(images: Float32Array, axes: Axes, grain: Grain, rng: np.random.Generator) -> Float32Array:
    """Images (C, z, y, x) pulled out of shape in the plane: the first two smoothly, the others kept whole."""
    reads = []
    for step, size in zip(axes.step_mm[1:], axes.shape[1:], strict=True):
        wide = _grown_noise(fractal_noise(2.0), axes.shape, 2, rng)
        narrow = _grown_noise(fractal_noise(1.6), axes.shape, 1, rng)
        moved = grain.fray_mm * (np.clip(wide, -2.0, 2.0) + 0.3 * np.clip(narrow, -2.0, 2.0))
        reads.append(torch.from_numpy(moved) * (2.0 / (float(step) * size)))
    rows, columns = (torch.arange(size) * (2.0 / size) + (1.0 / size - 1.0) for size in axes.shape[1:])
    grid = torch.stack([columns + reads[1], rows[:, None] + reads[0]], dim=-1).float()
    stacked = torch.from_numpy(images).transpose(0, 1)
    smooth = functional.grid_sample(stacked[:, :2], grid, align_corners=False)
    whole = functional.grid_sample(stacked[:, 2:], grid, mode="nearest", align_corners=False)
    return np.asarray(torch.cat([smooth, whole], dim=1).transpose(0, 1).numpy())


def _softened(diseased_hu: Float32Array, grain: Grain) -> Float32Array:
    """Solid lung of this patient's density."""
    factor = np.float32((grain.solid_hu - _SOFT_BELOW_HU) / (_SOLID_HU - _SOFT_BELOW_HU))
    solid_hu = np.maximum(diseased_hu - np.float32(_SOFT_BELOW_HU), np.float32(0.0))
    return np.asarray(diseased_hu + (factor - np.float32(1.0)) * solid_hu, dtype=np.float32)


def _unevenness(diseased_hu: Float32Array, axes: Axes, grain: Grain, rng: np.random.Generator) -> Float32Array:
    """Factor of the rise in density; solid lung is more even."""
    patchy = _grown_noise(fractal_noise(1.7), axes.shape, 2, rng)
    mottle = _grown_noise(fractal_noise(1.0), axes.shape, 2, rng)
    septa = np.exp(-((_grown_noise(fractal_noise(1.6), axes.shape, 2, rng) / _LINE_WIDTH) ** 2))
    softness = np.clip((-150.0 - diseased_hu) / 300.0, 0.3, 1.0)
    deviation = grain.patchy * patchy + grain.mottle * mottle + grain.lines * (septa - 0.2)
    return np.asarray(1.0 + softness * np.clip(deviation, -0.9, 1.2), dtype=np.float32)


def _grown_noise(
    noise: Float32Array, shape: tuple[int, int, int], factor: int, rng: np.random.Generator
) -> Float32Array:
    """A piece of a periodic noise, in the plane as many times larger."""
    small = (shape[0], -(-shape[1] // factor) + 1, -(-shape[2] // factor) + 1)
    piece = torch.from_numpy(np.ascontiguousarray(cut_texture(noise, small, rng)))[:, None]
    if factor > 1:
        piece = functional.interpolate(piece, scale_factor=factor, mode="bilinear", align_corners=False)
    return np.asarray(piece[:, 0, : shape[1], : shape[2]].numpy())
