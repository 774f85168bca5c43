"""Figures of answers, with and without intervals, and their differences."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TypeAlias

import numpy as np

from pipeline.evaluation.agreement import agreement
from pipeline.evaluation.answers import Answers
from pipeline.evaluation.calibration import brier_score, calibration_error, reliability
from pipeline.evaluation.lesion_matching import (
    average_precision,
    froc_curve,
    froc_sensitivities,
    target_accuracy,
)
from pipeline.evaluation.resampling import Estimate, Statistic, bootstrapped, share
from pipeline.evaluation.results import (
    LITTLE_INVOLVEMENT_PERCENT,
    SPECIFICITY,
    Curve,
    Difference,
    PlainFigures,
    StageFigures,
)
from pipeline.evaluation.roc import area_under, delong_area, roc_curve, sensitivity_at
from pipeline.study import BoolArray, Float64Array

Figure: TypeAlias = Callable[[Answers, Float64Array], float]
"""Of answers, given how often each case counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals are drawn."""

    samples: int
    seed: int

    def estimate(self, statistic: Statistic, answers: Answers) -> Estimate:
        """A figure of these patients with its interval."""
        return bootstrapped(
            statistic, answers.diseased, samples=self.samples, seed=self.seed, patients=answers.patients
        )


def area(answers: Answers, weights: Float64Array | None = None) -> float:
    """Under the receiver operating characteristic."""
    return area_under(roc_curve(answers.scores, answers.diseased, weights))


def sensitivity_at_specificity(answers: Answers, weights: Float64Array | None = None) -> float:
    """At `SPECIFICITY`."""
    return sensitivity_at(roc_curve(answers.scores, answers.diseased, weights), SPECIFICITY)


def competition_metric(answers: Answers, weights: Float64Array | None = None) -> float:
    """Mean sensitivity to lesions at the seven rates of false positives."""
    return float(np.mean(froc_sensitivities(froc_curve(answers.claims, weights))))


def lesion_precision(answers: Answers, weights: Float64Array | None = None) -> float:
    """Average precision of the claims."""
    return average_precision(answers.claims, weights)


def share_found_by_mask(answers: Answers, weights: Float64Array | None = None) -> float:
    """Of the lesions that count; nan without a mask."""
    weights = np.ones(len(answers.lesions)) if weights is None else weights
    return float(weights @ answers.found_by_mask / ((weights @ answers.lesions) or math.nan))


FIGURES: dict[str, Figure] = {
    "AUC": area,
    "sensitivity at 95 % specificity": sensitivity_at_specificity,
    "CPM": competition_metric,
}
"""Compared between stages and detectors."""


def plain_figures(answers: Answers, *, threshold: float, box_score: float) -> PlainFigures:
    """Figures of one checkpoint."""
    positive = answers.scores >= threshold
    return PlainFigures(
        area=area(answers),
        sensitivity_at_specificity=sensitivity_at_specificity(answers),
        sensitivity=float(positive[answers.diseased].mean()),
        specificity=float((~positive[~answers.diseased]).mean()),
        target_accuracy=target_accuracy(answers.claims, box_score),
        competition_metric=competition_metric(answers),
        average_precision=lesion_precision(answers),
        dice=_mean(answers.dice[~np.isnan(answers.dice)]),
    )


def mean_and_sd(figures: list[PlainFigures]) -> tuple[PlainFigures, PlainFigures]:
    """Over checkpoints."""
    columns = {item.name: np.array([getattr(each, item.name) for each in figures]) for item in fields(PlainFigures)}
    means = {name: float(values.mean()) for name, values in columns.items()}
    sds = {name: float(values.std(ddof=1)) if len(values) > 1 else math.nan for name, values in columns.items()}
    return PlainFigures(**means), PlainFigures(**sds)


def stage_figures(
    stage: str, answers: Answers, resampling: Resampling, *, threshold: float, box_score: float
) -> StageFigures:
    """All figures of the best checkpoint in one stage."""
    positive, ill = answers.scores >= threshold, answers.diseased
    roc, froc = roc_curve(answers.scores, ill), froc_curve(answers.claims)
    bins = reliability(answers.scores, ill)
    little = answers.involvement_percent < LITTLE_INVOLVEMENT_PERCENT
    accuracy = partial(target_accuracy, answers.claims, box_score)
    return StageFigures(
        stage=stage,
        threshold=threshold,
        area=_area(answers, resampling),
        sensitivity_at_specificity=resampling.estimate(partial(sensitivity_at_specificity, answers), answers),
        sensitivity=_share(positive, ill, answers, resampling),
        specificity=_share(~positive, ~ill, answers, resampling),
        target_accuracy=resampling.estimate(accuracy, answers),
        competition_metric=resampling.estimate(partial(competition_metric, answers), answers),
        froc_sensitivities=froc_sensitivities(froc),
        average_precision=resampling.estimate(partial(lesion_precision, answers), answers),
        dice=_dice(answers, resampling),
        found_by_mask=resampling.estimate(partial(share_found_by_mask, answers), answers),
        false_pieces=float(answers.false_pieces.mean()),
        involvement=agreement(answers.involvement_percent, answers.true_involvement_percent),
        little_involvement=_share(little, ~ill, answers, resampling),
        calibration_error=calibration_error(bins),
        brier=brier_score(answers.scores, ill),
        roc=_curve(roc.false_positive_share, roc.sensitivity),
        froc=_curve(froc.false_positives, froc.sensitivity),
        reliability=bins,
    )


def differences(first: tuple[str, Answers], second: tuple[str, Answers], resampling: Resampling) -> list[Difference]:
    """Of two named answers about the same patients, in the figures that the claim rests on."""
    found: list[Difference] = []
    for figure, statistic in FIGURES.items():
        estimate = resampling.estimate(partial(_difference, statistic, first[1], second[1]), first[1])
        found.append(Difference(first=first[0], second=second[0], figure=figure, difference=estimate))
    return found


def _difference(statistic: Figure, first: Answers, second: Answers, weights: Float64Array) -> float:
    return statistic(first, weights) - statistic(second, weights)


def _area(answers: Answers, resampling: Resampling) -> Estimate:
    """With DeLong's interval, which is for patients with one case each; else over patients drawn anew."""
    if _has_one_case_each(answers):
        return delong_area(answers.scores, answers.diseased)
    return resampling.estimate(partial(area, answers), answers)


def _share(hits: BoolArray, of: BoolArray, answers: Answers, resampling: Resampling) -> Estimate:
    """Share of hits among some cases, with Wilson's interval, which is for patients with one case each; else over patients."""
    if _has_one_case_each(answers):
        return share(int((hits & of).sum()), int(of.sum()))

    def weighted(weights: Float64Array) -> float:
        return float(weights @ (hits & of)) / (float(weights @ of) or math.nan)

    return replace(resampling.estimate(weighted, answers), n=int(of.sum()))


def _has_one_case_each(answers: Answers) -> bool:
    return len(np.unique(answers.patients)) == len(answers.patients)


def _dice(answers: Answers, resampling: Resampling) -> Estimate:
    """Mean over the studies that have one."""
    has_dice = ~np.isnan(answers.dice)
    values = answers.dice[has_dice]
    if not len(values):
        return Estimate(value=math.nan, n=0)

    def mean(weights: Float64Array) -> float:
        return float(np.average(values, weights=weights))

    return bootstrapped(
        mean,
        np.ones(len(values), np.bool_),
        samples=resampling.samples,
        seed=resampling.seed,
        patients=answers.patients[has_dice],
    )


def _mean(values: Float64Array) -> float:
    return float(values.mean()) if len(values) else math.nan


def _curve(x: Float64Array, y: Float64Array) -> Curve:
    """Without the points in the middle of straight runs."""
    bends = np.ones(len(x), np.bool_)
    bends[1:-1] = np.diff(x)[:-1] * np.diff(y)[1:] != np.diff(x)[1:] * np.diff(y)[:-1]
    return Curve(x=tuple(x[bends].round(6).tolist()), y=tuple(y[bends].round(6).tolist()))
