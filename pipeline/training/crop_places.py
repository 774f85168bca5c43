"""Where crops are cut out of cases: about lesions, about what may be taken for one, or anywhere in the lungs."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from pipeline.study import BoolArray
from pipeline.training import augment
from pipeline.training.cases import CaseStudy
from pipeline.training.config import SpaceTimeTraining

BLOCK = 4
"""Pixels along a side of the blocks from which crops are chosen."""

LESION_SHARE, LOOK_ALIKE_SHARE = 0.5, 0.25
"""Of the crops: about a lesion where there is one, and about something dense that is none; the rest lie anywhere."""

SMALL_LESION_SHARE = 0.5
"""Of the crops about lesions: one about each lesion alike; the others about each voxel alike, most of which large lesions have."""

DENSE_HU = -600.0
"""Mean of a block from which it may be taken for a lesion: large vessels, scars, atelectasis, oedema."""

KEPT_STUDIES = 4096
"""Whose dense blocks are remembered, some 80 KB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is cut out of a case: first slice, row and column without the margin."""

    first_slice: int
    row: int
    column: int


def draw_place(study: CaseStudy, settings: SpaceTimeTraining, generator: torch.Generator) -> Place:
    """About a lesion, about what may be taken for one, or anywhere in the lungs."""
    inside = worth_seeing(study, augment.uniform(generator, 0.0, 1.0))
    z, y, x = inside[augment.whole_number(generator, 0, len(inside))]
    middle = (int(z), int(y) * BLOCK, int(x) * BLOCK)
    jitter = [augment.whole_number(generator, -side // 4, side // 4) for side in (settings.slices, *settings.crop)]
    wanted = (settings.slices, *settings.crop)
    first = [
        max(0, min(centre + off - want // 2, have - want)) if have > want else (have - want) // 2
        for centre, off, want, have in zip(middle, jitter, wanted, study.volume_hu.shape, strict=True)
    ]
    return Place(first_slice=first[0], row=first[1], column=first[2])


def worth_seeing(study: CaseStudy, draw: float) -> np.ndarray:
    """Blocks (n, 3) of z, y / BLOCK, x / BLOCK from which the middle of a crop is taken."""
    lungs = study.truth[0, :, ::BLOCK, ::BLOCK] > 0
    lesions = study.truth[1, :, ::BLOCK, ::BLOCK] > 0
    if draw < LESION_SHARE and lesions.any():
        return np.argwhere(lesions if draw >= SMALL_LESION_SHARE * LESION_SHARE else _one_lesion(study, draw))
    if draw < LESION_SHARE + LOOK_ALIKE_SHARE:
        dense = lungs & ~lesions & _dense_blocks(study)
        if dense.any():
            return np.argwhere(dense)
    return np.argwhere(lungs)


def _one_lesion(study: CaseStudy, draw: float) -> BoolArray:
    """Blocks of one of the lesions, which `draw` chooses."""
    numbers = study.truth[1, :, ::BLOCK, ::BLOCK]
    there = np.unique(numbers[numbers > 0])
    return np.asarray(numbers == there[int(draw / (SMALL_LESION_SHARE * LESION_SHARE) * len(there))])


@lru_cache(maxsize=KEPT_STUDIES)
def _dense_blocks(study: CaseStudy) -> BoolArray:
    """(Z, ceil(Y / BLOCK), ceil(X / BLOCK)); kept, since a study is drawn again and again."""
    return _block_means(study.volume_hu) > DENSE_HU


def _block_means(volume_hu: np.ndarray) -> np.ndarray:
    """(Z, ceil(Y / BLOCK), ceil(X / BLOCK)): means of blocks in the plane, of which those at the edges are repeated."""
    rows, columns = (-side % BLOCK for side in volume_hu.shape[1:])
    padded = np.pad(volume_hu, ((0, 0), (0, rows), (0, columns)), mode="edge")
    blocks = padded.reshape(len(padded), padded.shape[1] // BLOCK, BLOCK, padded.shape[2] // BLOCK, BLOCK)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))


def shifted(place: Place, generator: torch.Generator) -> Place:
    """Misaligned by up to a slice and a few pixels, as registration leaves it."""
    step = [augment.whole_number(generator, -4, 5) if augment.chance(generator, 0.7) else 0 for _ in range(2)]
    return Place(
        first_slice=place.first_slice
        + (augment.whole_number(generator, -1, 2) if augment.chance(generator, 0.3) else 0),
        row=place.row + step[0],
        column=place.column + step[1],
    )
