"""Figures of patients agree with known values, or with the slowest way to compute them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from builders.evaluation import RESAMPLING, random_answers
from pipeline.evaluation.agreement import agreement
from pipeline.evaluation.calibration import brier_score, calibration_error, reliability
from pipeline.evaluation.measure import area, stage_figures
from pipeline.evaluation.resampling import bootstrapped, share
from pipeline.evaluation.roc import area_under, delong_area, roc_curve, sensitivity_at
from pipeline.study import BoolArray, Float64Array


def tied_scores(seed: int, patients: int = 40) -> tuple[Float64Array, BoolArray]:
    """Scores on a coarse scale, so that many are the same."""
    rng = np.random.default_rng(seed)
    diseased = rng.random(patients) < 0.4
    return np.round(rng.normal(size=patients) + diseased, 1), diseased


def pair_wins(scores: Float64Array, diseased: BoolArray) -> Float64Array:
    """(diseased, healthy): 1 where the diseased one scores higher, a half for the same score."""
    above = scores[diseased][:, None] - scores[~diseased][None, :]
    wins: Float64Array = (above > 0) + 0.5 * (above == 0)
    return wins


@pytest.mark.parametrize("seed", range(4))
def test_area_is_the_share_of_pairs_in_the_right_order(seed: int) -> None:
    """Ties count half."""
    scores, diseased = tied_scores(seed)
    assert area_under(roc_curve(scores, diseased)) == pytest.approx(pair_wins(scores, diseased).mean())


def test_a_patient_of_weight_two_counts_as_two() -> None:
    """The weighted curve is the curve of the repeated patients."""
    scores, diseased = tied_scores(5)
    weights = np.random.default_rng(1).integers(0, 3, len(scores)).astype(np.float64)
    repeated = np.repeat(np.arange(len(scores)), weights.astype(int))
    expected = area_under(roc_curve(scores[repeated], diseased[repeated]))
    assert area_under(roc_curve(scores, diseased, weights)) == pytest.approx(expected)


def test_delong_interval_is_that_of_the_pairwise_components() -> None:
    """By all pairs instead of by midranks."""
    scores, diseased = tied_scores(7)
    wins = pair_wins(scores, diseased)
    variance = wins.mean(axis=1).var(ddof=1) / wins.shape[0] + wins.mean(axis=0).var(ddof=1) / wins.shape[1]
    found = delong_area(scores, diseased)
    assert found.value - found.low == pytest.approx(1.959964 * math.sqrt(variance), abs=1e-6)


def test_delong_interval_is_about_that_of_the_bootstrap() -> None:
    """Two ways to the same width."""
    scores, diseased = tied_scores(8, patients=300)
    drawn = bootstrapped(
        lambda weights: area_under(roc_curve(scores, diseased, weights)), diseased, samples=400, seed=1
    )
    found = delong_area(scores, diseased)
    assert found.high - found.low == pytest.approx(drawn.high - drawn.low, rel=0.15)


def test_sensitivity_at_a_specificity_takes_no_threshold_below_it() -> None:
    """One false positive of four healthy is too many for 95 %, not for 75 %."""
    scores = np.array([0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.1])
    diseased = np.array([True, True, True, False, False, False, False])
    curve = roc_curve(scores, diseased)
    assert sensitivity_at(curve, 0.95) == pytest.approx(2 / 3)
    assert sensitivity_at(curve, 0.75) == 1.0


def test_one_class_alone_has_no_area() -> None:
    """Not a number instead of a made-up one."""
    curve = roc_curve(np.array([0.1, 0.9]), np.array([True, True]))
    assert math.isnan(area_under(curve))
    assert math.isnan(sensitivity_at(curve, 0.95))


def test_share_has_wilsons_interval() -> None:
    """8 of 10 (Newcombe 1998): 0.490 to 0.943."""
    found = share(8, 10)
    assert (found.low, found.high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert math.isnan(share(0, 0).value)


def test_differences_of_the_same_answers_are_exactly_nothing() -> None:
    """Both sides see the same patients drawn."""
    scores, diseased = tied_scores(9)

    def nothing(weights: Float64Array) -> float:
        one = area_under(roc_curve(scores, diseased, weights))
        return one - area_under(roc_curve(scores + 1.0, diseased, weights))

    found = bootstrapped(nothing, diseased, samples=50, seed=1)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_bootstrap_of_a_mean_has_the_width_of_its_standard_error() -> None:
    """1.96 standard errors to both sides."""
    values = np.random.default_rng(2).normal(size=400)
    found = bootstrapped(lambda weights: float(values @ weights) / 400, np.ones(400, np.bool_), samples=1000, seed=3)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_calibration_of_known_scores() -> None:
    """Two bins: 0.2 of whom a half is ill, 0.9 of whom all are."""
    scores = np.array([0.2, 0.2, 0.9, 0.9])
    diseased = np.array([True, False, True, True])
    bins = reliability(scores, diseased)
    assert [each.patients for each in bins] == [2, 2]
    assert calibration_error(bins) == pytest.approx((0.3 + 0.1) / 2)
    assert brier_score(scores, diseased) == pytest.approx((0.64 + 0.04 + 0.01 + 0.01) / 4)


def test_a_score_of_one_lies_in_the_last_bin() -> None:
    """The scale is closed at both ends."""
    assert len(reliability(np.array([0.0, 1.0]), np.array([False, True]))) == 2


def test_limits_of_agreement_hold_the_spread_of_the_differences() -> None:
    """Mean 1, standard deviation 1."""
    found = agreement(np.array([1.0, 3.0, 5.0]), np.array([1.0, 2.0, 3.0]))
    assert (found.mean, found.mean_absolute) == (1.0, 1.0)
    assert found.upper_limit == pytest.approx(1.0 + 1.96, abs=1e-3)
    assert found.lower_limit == pytest.approx(1.0 - 1.96, abs=1e-3)


def test_area_of_answers_is_that_of_their_scores() -> None:
    """The figure that is compared is the one that is drawn."""
    answers = random_answers(3, 2.0)
    assert area(answers) == delong_area(answers.scores, answers.diseased).value


def test_cases_of_one_patient_are_drawn_together() -> None:
    """With two cases each, all alike, the interval is that of the patients and not of twice as many."""
    values = np.random.default_rng(5).normal(size=50)
    one = bootstrapped(lambda weights: float(np.average(values, weights=weights)), values > 0, samples=500, seed=1)
    twice, numbers = np.repeat(values, 2), np.repeat(np.arange(50), 2)
    two = bootstrapped(
        lambda weights: float(np.average(twice, weights=weights)), twice > 0, samples=500, seed=1, patients=numbers
    )
    assert (two.low, two.high) == pytest.approx((one.low, one.high))
    assert two.n == 100


def test_intervals_for_patients_with_one_case_each_are_not_given_to_others() -> None:
    """DeLong's and Wilson's take every case for a patient of its own: they would be too narrow."""
    answers = random_answers(3, 1.0)
    plain = stage_figures("I", answers, RESAMPLING, threshold=0.5, box_score=0.5)
    shared = replace(answers, patients=np.arange(len(answers.patients)) // 6)
    found = stage_figures("I", shared, RESAMPLING, threshold=0.5, box_score=0.5)
    for name in ("area", "sensitivity", "specificity", "little_involvement"):
        assert getattr(found, name).value == pytest.approx(getattr(plain, name).value)
        assert (getattr(found, name).low, getattr(found, name).n) != (getattr(plain, name).low, 0)
