"""What patients of the training set lack and a crop can be given: lungs hazy throughout, and lungs that the field of view cuts."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.phantom.lesions import GROUND_GLASS
from pipeline.phantom.paint import FAINT_HU, NOT_KNOWN, SEEN_HU
from pipeline.study import LEFT_LUNG, RIGHT_LUNG
from pipeline.training import augment

HAZY_SHARE = 0.1
"""Of the patients: ground glass that fills a lung evenly has no edge to be known by, only its density."""

BOTH_LUNGS_SHARE, PART_SHARE = 0.35, 0.5
"""Of the hazy patients: both lungs, and not all of a lung but one side of a border."""

DENSITY_HU = (-620.0, -360.0)
"""Of hazy lung between its vessels."""

BORDER_PIXELS = (6.0, 60.0)
"""Width of the border of haze that fills a part."""

PIXELS_PER_SLICE = 3.0
"""About what lies between two slices, for the slope of that border."""

SOLID_HU = 40.0
"""What is as dense holds no air to be filled."""

NOISE_PIXELS = 3
"""Means over so many tell noise from what is really denser."""

FIRST_HAZE_NUMBER = 252
"""Of the lesion in the right lung; the next is in the left one. Lesions of phantoms have lower numbers."""

CUT_SHARE = 0.12
"""Of the patients: a field of view that is made for the heart or the spine cuts the lungs."""

CUT_RADIUS_PIXELS = (60.0, 115.0)
"""A field of 180 to 345 mm."""

ALL_STUDIES_CUT = 0.6
"""Of these patients; in the others one study is cut."""

AIR_HU = -1000.0
"""What is shown where nothing was reconstructed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Haze:
    """Even ground glass, at the same place in all studies of a patient."""

    sides: tuple[int, ...]
    density_hu: float
    direction: tuple[float, float, float] | None
    """Across the border, along z, y, x; None fills the lungs whole."""
    offset_pixels: float
    """Of the border from the middle of the crop."""
    border_pixels: float
    amounts: tuple[float, ...]
    """Of each study, oldest first, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """The round edge of what was reconstructed, in pixels of the crop without its margin."""

    row: float
    column: float
    radius: float


def draw_haze(generator: torch.Generator, studies: int) -> Haze | None:
    """Of one patient with so many studies in view; None of most.

    It comes, stays as it is, grows or goes: that it was there before does not make it harmless.
    """
    if not augment.chance(generator, HAZY_SHARE):
        return None
    both = augment.chance(generator, BOTH_LUNGS_SHARE)
    side = RIGHT_LUNG if augment.chance(generator, 0.5) else LEFT_LUNG
    newest = 0.0 if studies > 1 and augment.chance(generator, 0.15) else 1.0
    earlier = tuple((0.0, 1.0, 0.5, 1.0)[augment.whole_number(generator, 0, 4)] for _ in range(studies - 1))
    return Haze(
        sides=(RIGHT_LUNG, LEFT_LUNG) if both else (side,),
        density_hu=augment.uniform(generator, *DENSITY_HU),
        direction=_direction(generator) if augment.chance(generator, PART_SHARE) else None,
        offset_pixels=augment.uniform(generator, -25.0, 25.0),
        border_pixels=augment.uniform(generator, *BORDER_PIXELS),
        amounts=(*earlier, newest),
    )


def _direction(generator: torch.Generator) -> tuple[float, float, float]:
    z, y, x = functional.normalize(torch.randn(3, generator=generator), dim=0).tolist()
    return (z, y, x)


def hazed(volume_hu: Tensor, truth: Tensor, haze: Haze, amount: float) -> tuple[Tensor, Tensor]:
    """A crop with the haze of one study in it.

    Args:
        volume_hu: (Z, H, W).
        truth: (Z, 3, H, W): lung side, lesion number, lesion kind.
        haze: Of the patient.
        amount: Of the haze in this study, 0..1.

    Returns:
        Both, changed: vessels and the noise stay, the air between them is filled; lesions that are there keep number and kind.
    """
    hazy = torch.isin(truth[:, 0], torch.tensor(haze.sides, dtype=truth.dtype))
    if not amount or not bool(hazy.any()):
        return volume_hu, truth
    typical_hu = float(volume_hu[hazy].median())
    filled = (haze.density_hu - typical_hu) / (SOLID_HU - typical_hu) if typical_hu < haze.density_hu else 0.0
    share = _extent(haze, volume_hu.shape) * (amount * filled)
    smooth_hu = _mean_of_lung(volume_hu, truth[:, 0] > 0)
    air_hu = (SOLID_HU - torch.maximum(volume_hu, smooth_hu)).clamp(min=0.0)
    rise_hu = share * (SOLID_HU - typical_hu)
    number, kind = truth[:, 1], truth[:, 2]
    free = hazy & (kind == 0)
    seen, faint = free & (rise_hu >= SEEN_HU), free & (rise_hu >= FAINT_HU) & (rise_hu < SEEN_HU)
    kind = torch.where(seen, float(GROUND_GLASS), torch.where(faint, float(NOT_KNOWN), kind))
    number = torch.where(seen & (number == 0), FIRST_HAZE_NUMBER - RIGHT_LUNG + truth[:, 0], number)
    return volume_hu + hazy * share * air_hu, torch.stack([truth[:, 0], number, kind], dim=1)


def _mean_of_lung(volume_hu: Tensor, lungs: Tensor) -> Tensor:
    """(Z, H, W): means of the lung about each voxel, so that nothing beside it counts."""
    shares = lungs.float()
    parts = torch.stack([volume_hu * shares, shares])
    sums = functional.avg_pool2d(parts, NOISE_PIXELS, stride=1, padding=NOISE_PIXELS // 2)
    return sums[0] / sums[1].clamp(min=1e-6)


def _extent(haze: Haze, shape: torch.Size) -> Tensor:
    """How far each voxel is filled, 0..1, (Z, H, W) or what spreads to it."""
    if haze.direction is None:
        return torch.ones((1, 1, 1))
    z, y, x = (torch.arange(size, dtype=torch.float32) - (size - 1) / 2.0 for size in shape)
    along = haze.direction[0] * PIXELS_PER_SLICE * z[:, None, None]
    along = along + haze.direction[1] * y[:, None] + haze.direction[2] * x
    return ((along + haze.offset_pixels) / haze.border_pixels + 0.5).clamp(0.0, 1.0)


def draw_circles(
    generator: torch.Generator, studies: int, crop: tuple[int, int], middle: tuple[float, float]
) -> list[Circle | None]:
    """What cuts each study of one patient; nothing in most.

    Args:
        generator: Of the step.
        studies: How many are in view.
        crop: Rows and columns.
        middle: Row and column of the middle of the chest, counted in the crop and perhaps beside it.
    """
    if not augment.chance(generator, CUT_SHARE):
        return [None] * studies
    on_edge = [augment.uniform(generator, 0.15, 0.85) * side for side in crop]
    aim = [part + augment.uniform(generator, -25.0, 25.0) for part in middle]
    radius = augment.uniform(generator, *CUT_RADIUS_PIXELS)
    angle = math.atan2(aim[0] - on_edge[0], aim[1] - on_edge[1])
    only = None if augment.chance(generator, ALL_STUDIES_CUT) else augment.whole_number(generator, 0, studies)
    return [
        Circle(
            row=on_edge[0] + radius * math.sin(angle) + augment.uniform(generator, -3.0, 3.0),
            column=on_edge[1] + radius * math.cos(angle) + augment.uniform(generator, -3.0, 3.0),
            radius=radius,
        )
        if only in {None, study}
        else None
        for study in range(studies)
    ]


def cut(volume_hu: Tensor, truth: Tensor, circle: Circle) -> tuple[Tensor, Tensor, Tensor]:
    """A crop without what lies outside a circle.

    Args:
        volume_hu: (Z, H, W).
        truth: (Z, 3, H, W).
        circle: In pixels of these arrays.

    Returns:
        Both, changed, and (H, W) 1 where something is shown.
    """
    rows, columns = (torch.arange(size, dtype=torch.float32) for size in volume_hu.shape[1:])
    inside = circle.radius - torch.hypot(rows[:, None] - circle.row, columns - circle.column)
    share = (inside + 0.5).clamp(0.0, 1.0)
    shown = (inside >= 0.0).float()
    return AIR_HU + (volume_hu - AIR_HU) * share, truth * shown, shown
