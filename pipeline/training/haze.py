"""Ground glass that fills large parts of the lungs without an edge, as in the severest disease: set into crops as they are cut.

Lesions of phantoms and paintings have edges. A network that saw no others looks for edges, and misses a lung that is hazy all over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.training import augment
from pipeline.training.losses import UNKNOWN_KIND

HAZE_SHARE = 0.07
"""Of the patients."""

AERATED_HU = -850.0
"""Of healthy lung, roughly: haze is counted by what it adds to this."""

SURE_HU, FAINT_HU = 160.0, 60.0
"""Added density from which haze is lesion, and up to which it is none; in between nobody knows."""

HAZE_NUMBER = 254
"""Of the lesion, beside those that are there."""

GROUND_GLASS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Haze:
    """One patient's haze in one study."""

    seed: int
    """Of where it lies: the same in all studies of the patient."""
    reach: float
    """Where it begins in a random field of mean 0 and standard deviation 1: -2.5 fills everything, 0 half."""
    sharpness: float
    density_hu: float
    strength: float
    """0 is none, 1 the full density."""


def draw_hazes(studies: int, generator: torch.Generator) -> Sequence[Haze | None]:
    """One for each study of a patient, oldest first, or none at all; the newest is not faint."""
    if not augment.chance(generator, HAZE_SHARE):
        return [None] * studies
    seed = int(torch.randint(1 << 31, (), generator=generator))
    reach, sharpness = augment.uniform(generator, -2.5, 0.3), augment.uniform(generator, 1.5, 8.0)
    density_hu = augment.uniform(generator, -640.0, -380.0)
    earlier = [max(0.0, augment.uniform(generator, -0.8, 1.0)) for _ in range(studies - 1)]
    strengths = [*earlier, augment.uniform(generator, 0.8, 1.0)]
    return [
        Haze(seed=seed, reach=reach, sharpness=sharpness, density_hu=density_hu, strength=strength)
        for strength in strengths
    ]


def with_haze(volume_hu: Tensor, truth: Tensor, haze: Haze) -> tuple[Tensor, Tensor]:
    """Hazy slices and their truth; what is denser than the haze, and what was lesion, stays.

    Args:
        volume_hu: (Z, H, W).
        truth: (Z, 3, H, W), see `CaseStudy.truth`.
        haze: See there.
    """
    generator = torch.Generator().manual_seed(haze.seed)
    shape = (len(volume_hu), volume_hu.shape[1], volume_hu.shape[2])
    through = augment.smooth_noise(generator, (1, *shape[1:]), 2)
    share = torch.sigmoid((through - haze.reach) * haze.sharpness) * haze.strength * (truth[:, 0] > 0)
    texture_hu = 30.0 * augment.smooth_noise(generator, shape, 16)
    hazy = torch.lerp(volume_hu, torch.maximum(volume_hu, haze.density_hu + texture_hu), share)
    added_hu = share * (haze.density_hu - AERATED_HU)
    number, kind = truth[:, 1].clone(), truth[:, 2].clone()
    free = kind == 0
    number[free & (added_hu >= SURE_HU)] = HAZE_NUMBER
    kind[free & (added_hu >= SURE_HU)] = GROUND_GLASS
    kind[free & (added_hu < SURE_HU) & (added_hu > FAINT_HU)] = UNKNOWN_KIND
    return hazy, torch.stack([truth[:, 0], number, kind], dim=1)
