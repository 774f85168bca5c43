"""Receiver operating characteristic of patient scores."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.evaluation.resampling import NORMAL_95, Estimate
from pipeline.study import BoolArray, Float64Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RocCurve:
    """One point per score, from "nobody is ill" to "everybody is"."""

    false_positive_share: Float64Array
    sensitivity: Float64Array


def roc_curve(scores: Float64Array, diseased: BoolArray, weights: Float64Array | None = None) -> RocCurve:
    """Curve of (patients,) scores; a patient of weight 2 counts as two."""
    weights = np.ones(len(scores)) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    last_of_its_score = np.append(np.diff(scores[order]) != 0, [True])
    hits = np.cumsum((weights * diseased)[order])[last_of_its_score]
    alarms = np.cumsum((weights * ~diseased)[order])[last_of_its_score]
    return RocCurve(
        false_positive_share=np.concatenate([[0.0], alarms / _or_nan(alarms[-1])]),
        sensitivity=np.concatenate([[0.0], hits / _or_nan(hits[-1])]),
    )


def area_under(curve: RocCurve) -> float:
    """Chance that a diseased patient scores above a healthy one; ties count half."""
    return float(np.trapezoid(curve.sensitivity, curve.false_positive_share))


def sensitivity_at(curve: RocCurve, specificity: float) -> float:
    """The highest that a threshold gives whose specificity is at least this."""
    if np.isnan(curve.sensitivity[-1]) or np.isnan(curve.false_positive_share[-1]):
        return math.nan
    return float(curve.sensitivity[curve.false_positive_share <= 1.0 - specificity + 1e-9].max())


def delong_area(scores: Float64Array, diseased: BoolArray) -> Estimate:
    """Area with the 95 % interval of DeLong, DeLong and Clarke-Pearson (1988), by midranks (Sun and Xu 2014)."""
    ill, healthy = scores[diseased], scores[~diseased]
    area = area_under(roc_curve(scores, diseased))
    if len(ill) < 2 or len(healthy) < 2:
        return Estimate(value=area, n=len(scores))
    together = stats.rankdata(np.concatenate([ill, healthy]))
    above = (together[: len(ill)] - stats.rankdata(ill)) / len(healthy)
    below = 1.0 - (together[len(ill) :] - stats.rankdata(healthy)) / len(ill)
    error = math.sqrt(above.var(ddof=1) / len(ill) + below.var(ddof=1) / len(healthy))
    low, high = max(0.0, area - NORMAL_95 * error), min(1.0, area + NORMAL_95 * error)
    return Estimate(value=area, low=low, high=high, n=len(scores))


def _or_nan(total: float) -> float:
    return total or math.nan
