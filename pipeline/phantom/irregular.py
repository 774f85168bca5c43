"""Lesions as irregular as real ones: frayed outlines, borders that fade, patches, lines."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from pipeline.phantom.axes import Axes
from pipeline.phantom.lesions import LesionBody, lay_lesions
from pipeline.phantom.textures import fractal_noise
from pipeline.study import BoolArray, Float32Array, UInt8Array, UInt16Array

Box = tuple[slice, slice, slice]

_SOFT_BELOW_HU = -450.0
"""Ground glass is less dense, consolidation is denser."""

_GLASSY_BELOW_HU = -300.0
_SOLID_HU = 10.0
"""Density at which lesions are drawn solid."""

_FARTHEST = 2.6
"""Of what is pulled out of shape, in multiples of fray_mm."""

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
    strength: float = 1.0
    """Rise of the density of ground glass as a multiple of what its plan says."""


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
        mottle=float(rng.uniform(0.05, 0.35)),
        lines=float(rng.uniform(0.0, 1.1)),
        haze_mm=float(rng.uniform(0.0, 3.5)),
        fray_mm=float(rng.uniform(2.0, 7.0)),
        solid_hu=float(rng.uniform(-300.0, 20.0)),
        strength=float(rng.uniform(0.8, 1.8)),
    )


def draw_rise(healthy_hu: Float32Array, axes: Axes, disease: LungDisease, *, day: float) -> DrawnRise:
    """The disease of one day in lungs without vessels."""
    static_hu = lay_lesions(healthy_hu.copy(), axes, disease.look_alikes, day=day).parenchyma_hu
    layer = lay_lesions(static_hu.copy(), axes, disease.lesions, day=day)
    drawn = DrawnRise(
        rise_hu=np.zeros_like(healthy_hu),
        lesion_rise_hu=np.zeros_like(healthy_hu),
        labels=np.zeros_like(layer.labels),
        kind=np.zeros_like(layer.kind),
    )
    box = _diseased_box(layer.parenchyma_hu != healthy_hu, axes, disease.grain)
    if box is not None:
        rises = static_hu[box] - healthy_hu[box], layer.parenchyma_hu[box] - static_hu[box]
        images = np.stack([*rises, layer.labels[box], layer.kind[box]]).astype(np.float32)
        _make_irregular(drawn, box, images, healthy_hu[box], axes, disease.grain)
    return drawn


def _diseased_box(changed: BoolArray, axes: Axes, grain: Grain) -> Box | None:
    """What holds all disease, however it is moved and blurred; even starts, None where there is none."""
    sides = []
    reach_mm = 2.5 * grain.haze_mm + _FARTHEST * grain.fray_mm
    for axis, step in enumerate(axes.step_mm):
        filled = np.flatnonzero(changed.any(axis=tuple(other for other in range(3) if other != axis)))
        if not filled.size:
            return None
        margin = 1 + int(reach_mm / float(step))
        sides.append(
            slice(max(0, int(filled[0]) - margin) // 2 * 2, min(changed.shape[axis], int(filled[-1]) + margin + 1))
        )
    return sides[0], sides[1], sides[2]


def _make_irregular(
    drawn: DrawnRise, box: Box, images: Float32Array, healthy_hu: Float32Array, axes: Axes, grain: Grain
) -> None:
    """Puts smooth disease (images: rise of look-alikes, of lesions, labels, kind) into a box of `drawn`, made irregular."""
    rng = np.random.default_rng(grain.seed)
    sigma = [grain.haze_mm / float(step) for step in axes.step_mm]
    glassy = np.clip((_GLASSY_BELOW_HU - healthy_hu - images[0] - images[1]) / 300.0, 0.0, 1.0)
    images[1] *= 1.0 + np.float32(grain.strength - 1.0) * glassy
    images[1] = ndimage.gaussian_filter(images[1], sigma, truncate=2.5)
    static_rise, lesion_rise, labels, kind = _frayed(images, box, axes, grain, rng)
    total_hu = _softened(healthy_hu + static_rise + lesion_rise, grain)
    drawn.rise_hu[box] = (total_hu - healthy_hu) * _unevenness(total_hu, box, grain, rng)
    drawn.lesion_rise_hu[box] = lesion_rise
    drawn.labels[box] = labels
    drawn.kind[box] = kind


def _frayed(images: Float32Array, box: Box, axes: Axes, grain: Grain, rng: np.random.Generator) -> Float32Array:
    """Images (C, z, y, x) pulled out of shape in the plane: the first two smoothly, the others kept whole."""
    shifts = []
    sizes = images.shape[2:]
    for step, size in zip(axes.step_mm[1:], sizes, strict=True):
        wide = _cut_noise(fractal_noise(2.0), box, 2, rng)
        narrow = _cut_noise(fractal_noise(1.6), box, 1, rng)
        moved_mm = grain.fray_mm * (np.clip(wide, -2.0, 2.0) + 0.3 * np.clip(narrow, -2.0, 2.0))
        shifts.append(torch.from_numpy(moved_mm) * (2.0 / (float(step) * size)))
    rows, columns = (torch.arange(size) * (2.0 / size) + (1.0 / size - 1.0) for size in sizes)
    grid = torch.stack([columns + shifts[1], rows[:, None] + shifts[0]], dim=-1).float()
    stacked = torch.from_numpy(images).transpose(0, 1)
    smooth = functional.grid_sample(stacked[:, :2], grid, align_corners=False)
    whole = functional.grid_sample(stacked[:, 2:], grid, mode="nearest", align_corners=False)
    return np.asarray(torch.cat([smooth, whole], dim=1).transpose(0, 1).numpy())


def _softened(diseased_hu: Float32Array, grain: Grain) -> Float32Array:
    """Solid lung of this patient's density."""
    factor = np.float32((grain.solid_hu - _SOFT_BELOW_HU) / (_SOLID_HU - _SOFT_BELOW_HU))
    solid_hu = np.maximum(diseased_hu - np.float32(_SOFT_BELOW_HU), np.float32(0.0))
    return np.asarray(diseased_hu + (factor - np.float32(1.0)) * solid_hu, dtype=np.float32)


def _unevenness(diseased_hu: Float32Array, box: Box, grain: Grain, rng: np.random.Generator) -> Float32Array:
    """Factor of the rise in density; solid lung is more even."""
    patchy = _cut_noise(fractal_noise(1.7), box, 2, rng)
    mottle = _cut_noise(fractal_noise(1.0), box, 2, rng)
    septa = np.exp(-((_cut_noise(fractal_noise(1.6), box, 2, rng) / np.float32(_LINE_WIDTH)) ** 2))
    softness = np.clip((-150.0 - diseased_hu) / 300.0, 0.3, 1.0)
    deviation = grain.patchy * patchy + grain.mottle * mottle + grain.lines * (septa - 0.2)
    return np.asarray(1.0 + softness * np.clip(deviation, -0.9, 1.2), dtype=np.float32)


def _cut_noise(noise: Float32Array, box: Box, factor: int, rng: np.random.Generator) -> Float32Array:
    """The piece of an endless noise that lies in a box, the same wherever the box begins; in the plane `factor` times larger."""
    piece = noise
    for axis, (side, scale) in enumerate(zip(box, (1, factor, factor), strict=True)):
        first = int(rng.integers(noise.shape[axis])) + side.start // scale
        count = -(-(side.stop - side.start) // scale) + (scale > 1)
        piece = np.take(piece, np.arange(first, first + count), axis=axis, mode="wrap")
    if factor == 1:
        return piece
    grown = functional.interpolate(torch.from_numpy(piece)[:, None], scale_factor=factor, mode="bilinear")
    return np.asarray(grown[:, 0, : box[1].stop - box[1].start, : box[2].stop - box[2].start].numpy())
