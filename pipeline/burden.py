"""How much of the lungs is diseased, in the current study and in earlier ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.compare import WHOLE_SHARE, PriorLesions
from pipeline.findings import KnownLesions, LungFigures, Side
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, UInt8Array, UInt16Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Burden:
    """The disease of one study in three numbers."""

    lesion_count: int
    lesion_volume_ml: float
    involvement_percent: float
    """Of both lungs, or of the one that was found."""


def lung_figures(lung_mask: UInt8Array, lesion_labels: UInt16Array, voxel_ml: float) -> tuple[LungFigures, ...]:
    """Right, then left; of a lung that is not in the mask no share is known."""
    diseased = np.bincount(lung_mask[lesion_labels > 0], minlength=LEFT_LUNG + 1)
    whole = {value: int(np.count_nonzero(lung_mask == value)) for value in (RIGHT_LUNG, LEFT_LUNG)}
    return tuple(
        LungFigures(
            side=side,
            volume_ml=whole[value] * voxel_ml,
            lesion_volume_ml=float(diseased[value]) * voxel_ml,
            involvement_percent=100.0 * float(diseased[value]) / whole[value] if whole[value] else None,
        )
        for side, value in ((Side.RIGHT, RIGHT_LUNG), (Side.LEFT, LEFT_LUNG))
    )


def involvement_percent(lungs: Sequence[LungFigures]) -> float:
    """Of both lungs, or of the one that was found."""
    volume_ml = sum(lung.volume_ml for lung in lungs)
    return 100.0 * sum(lung.lesion_volume_ml for lung in lungs) / volume_ml if volume_ml else 0.0


def known_burden(known: KnownLesions) -> Burden:
    """Of an earlier study, as its own result says it."""
    lungs = lung_figures(known.lung_mask, known.lesion_labels, known.grid.voxel_volume_ml)
    return Burden(
        lesion_count=len(known.lesions),
        lesion_volume_ml=sum(lung.lesion_volume_ml for lung in lungs),
        involvement_percent=involvement_percent(lungs),
    )


def found_burden(prior: PriorLesions, lung_volume_ml: float, *, shown_share: float) -> Burden | None:
    """Of an earlier study whose lesions were found in this run; None where they were looked for in a part of it only.

    Args:
        prior: Its lesions, with their volumes in that study.
        lung_volume_ml: Of both its lungs, in that study.
        shown_share: Of these lungs, on the grid of the current study: no lesion is found beyond.
    """
    if shown_share < WHOLE_SHARE:
        return None
    lesion_ml = sum(lesion.volume_ml for lesion in prior.lesions)
    return Burden(
        lesion_count=len(prior.lesions),
        lesion_volume_ml=lesion_ml,
        involvement_percent=min(100.0, 100.0 * lesion_ml / lung_volume_ml),
    )
