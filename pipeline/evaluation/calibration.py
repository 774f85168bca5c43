"""How far a score means what it says."""

from dataclasses import dataclass

import numpy as np

from pipeline.study import BoolArray, Float64Array

BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Patients of about the same score."""

    mean_score: float
    diseased_share: float
    patients: int


def reliability(scores: Float64Array, diseased: BoolArray) -> tuple[ReliabilityBin, ...]:
    """The bins of equal width over 0..1 that hold anybody."""
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    return tuple(
        ReliabilityBin(
            mean_score=float(scores[places == place].mean()),
            diseased_share=float(diseased[places == place].mean()),
            patients=int((places == place).sum()),
        )
        for place in np.unique(places)
    )


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Expected calibration error: mean distance of score and share, weighted by patients (Naeini et al. 2015)."""
    total = sum(each.patients for each in bins)
    return sum(each.patients * abs(each.mean_score - each.diseased_share) for each in bins) / max(1, total)


def brier_score(scores: Float64Array, diseased: BoolArray) -> float:
    """Mean squared distance of score and truth (Brier 1950)."""
    return float(np.mean((scores - diseased) ** 2))
