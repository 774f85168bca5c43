"""The patient score becomes a probability on the cases it was fitted on, with operating points that hold there."""

import numpy as np

from pipeline.study import BoolArray, Float64Array
from pipeline.training.case_figures import BOX_SCORES, PROBABILITIES, CaseFigures, MaskFigures
from pipeline.training.operating_points import choose_operating_points
from pipeline.training.patient_points import (
    choose_patient_points,
    fit_temperature,
    operating_points,
)


def cases(count: int, seed: int = 1) -> tuple[Float64Array, BoolArray]:
    """Features of which the first tells the diseased by a logit of its own value."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 2.0, count)
    diseased = rng.random(count) < 1.0 / (1.0 + np.exp(-logits))
    return np.stack([logits, rng.normal(0.0, 1.0, count)], axis=1), diseased


def test_a_temperature_undoes_overconfidence() -> None:
    """Logits three times too large need a temperature of about three."""
    features, diseased = cases(4000)
    assert 2.5 < fit_temperature(3.0 * features[:, 0], diseased) < 3.5


def test_scores_of_held_out_cases_are_probabilities() -> None:
    """Among cases that score about 0.8, about 80 % are diseased."""
    points = choose_patient_points(*cases(4000))
    about = (points.held_out_scores > 0.7) & (points.held_out_scores < 0.9)
    assert 0.72 < cases(4000)[1][about].mean() < 0.88


def test_the_named_operating_points_keep_their_promise() -> None:
    """The sensitive one is the highest that still finds 95 %, the specific one the lowest that clears 95 %."""
    features, diseased = cases(500)
    scores = 1.0 / (1.0 + np.exp(-features[:, 0]))
    points = operating_points(scores, diseased, np.arange(500))
    assert points.sensitivity_95 is not None
    assert points.specificity_95 is not None
    assert (
        points.sensitivity_95.sensitivity >= 0.95 > (scores[diseased] >= points.sensitivity_95.threshold + 0.02).mean()
    )
    assert (
        points.specificity_95.specificity >= 0.95 > (scores[~diseased] < points.specificity_95.threshold - 0.02).mean()
    )
    assert points.default.diseased + points.default.healthy == 500


def test_cases_of_one_class_have_no_named_operating_points() -> None:
    """There is nothing to tell apart."""
    points = operating_points(np.linspace(0.1, 0.9, 10), np.ones(10, bool), np.arange(10))
    assert points.default.threshold == 0.5
    assert points.sensitivity_95 is None


def test_a_study_without_a_reported_lesion_is_not_called_diseased() -> None:
    """However suspicious its slices are: it lowers the sensitivity that is stated."""
    features, diseased = cases(500)
    features[:, 1] = np.log(0.01)
    features[:250, 1] = np.log(0.01 + 2.0)
    points = choose_patient_points(features, diseased)
    assert points.operating_points.default.sensitivity <= diseased[:250].sum() / diseased.sum()
    assert points.operating_points.default.specificity > 0.5


def test_more_involvement_never_lowers_the_score() -> None:
    """Even where the cases at hand would say so by chance."""
    features, diseased = cases(300)
    features[:, 1] = -features[:, 0] + np.random.default_rng(2).normal(0.0, 0.1, 300)
    points = choose_patient_points(features, diseased)
    assert points.weights.slice_weight > 0.5
    assert points.weights.involvement_weight >= 0.0


def reading_of(number: int, priors: int, feature: float) -> CaseFigures:
    """A case as it was read once; every second one shows a lesion."""
    lesions = number % 2
    mask = MaskFigures(dice=0.5, found_lesions=lesions, false_components=0, false_ml=0.0, involvement_percent=lesions)
    return CaseFigures(
        name=f"case-{number}",
        source="phantom",
        priors=priors,
        lesions=lesions,
        lesion_ml=float(lesions),
        masks=(mask,) * len(PROBABILITIES),
        kind_agreement=1.0,
        slice_logits=np.zeros(3, np.float32),
        slice_truth=np.zeros(3, bool),
        boxes=((0, 0, lesions),) * len(BOX_SCORES),
        features=((feature, feature),) * len(PROBABILITIES),
    )


def test_a_study_that_is_read_twice_is_counted_once() -> None:
    """Reports say on how many studies their figures rest."""
    rng = np.random.default_rng(1)
    readings = [[reading_of(n, priors, n % 2 + rng.normal()) for n in range(22)] for priors in (0, 1)]
    points = choose_operating_points(readings)
    default = points.patient.operating_points.default
    assert (points.patient.calibration.studies, default.diseased, default.healthy) == (22, 11, 11)
    assert [reading.studies for reading in points.readings] == [22, 22]


def test_no_reading_of_a_held_out_patient_is_in_the_fit() -> None:
    """Else the second reading would tell the answer to the first: reading a set twice changes no held-out score."""
    features, diseased = cases(43)
    once = choose_patient_points(features, diseased).held_out_scores
    twice = choose_patient_points(np.tile(features, (2, 1)), np.tile(diseased, 2), np.tile(np.arange(43), 2))
    np.testing.assert_allclose(twice.held_out_scores, np.tile(once, 2), atol=1e-3)
