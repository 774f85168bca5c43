"""Claims are linked, matched and counted as the definitions say."""

import numpy as np
import pytest
from monai.metrics import compute_froc_curve_data, compute_froc_score

from builders.evaluation import candidate, cube, lesion, random_answers
from pipeline.evaluation.lesion_boxes import link_boxes, overlaps
from pipeline.evaluation.lesion_matching import (
    FALSE_POSITIVE_RATES,
    LesionClaims,
    average_precision,
    best_score,
    claims_of,
    froc_curve,
    froc_sensitivities,
    target_accuracy,
)


def linked(rows: list[tuple[int, int, float]]) -> list[tuple[list[int], float]]:
    """Slices and score of the candidates of 10-pixel squares given as (slice, corner, score)."""
    slices = np.array([row[0] for row in rows], np.int32)
    boxes = np.array([[row[1], row[1], row[1] + 10, row[1] + 10] for row in rows], np.float32)
    found = link_boxes(slices, boxes, np.array([row[2] for row in rows], np.float32))
    return [(each.boxes.slices.tolist(), round(each.score, 4)) for each in found]


def test_boxes_of_neighbouring_slices_become_one_candidate() -> None:
    """Its score is the mean of the three best."""
    assert linked([(3, 0, 0.2), (4, 1, 0.9), (5, 2, 0.8), (6, 1, 0.7)]) == [([3, 4, 5, 6], 0.8)]


def test_a_slice_between_them_keeps_boxes_apart() -> None:
    """Only neighbours are linked."""
    assert linked([(3, 0, 0.9), (5, 0, 0.8)]) == [([3], 0.9), ([5], 0.8)]


def test_boxes_that_hardly_overlap_stay_apart() -> None:
    """Intersection over union below a fifth."""
    assert linked([(3, 0, 0.9), (4, 5, 0.8)]) == [([3], 0.9), ([4], 0.8)]


def test_a_box_between_two_lesions_does_not_make_one_of_them() -> None:
    """It goes with the one it fits better."""
    found = linked([(0, 0, 0.9), (0, 8, 0.8), (1, 3, 0.7), (2, 0, 0.6), (2, 8, 0.5)])
    assert sorted(len(slices) for slices, _ in found) == [1, 1, 3]


def test_nothing_is_linked_from_nothing() -> None:
    """A study without boxes has no candidates."""
    assert linked([]) == []


def test_overlap_of_stacks_is_that_of_their_voxels() -> None:
    """Counted one by one."""
    rng = np.random.default_rng(1)
    stacks = [cube(int(rng.integers(0, 8)), first_slice=int(rng.integers(0, 3))) for _ in range(6)]
    volumes = np.zeros((6, 6, 20, 20), np.bool_)
    for index, stack in enumerate(stacks):
        for z, (x0, y0, x1, y1) in zip(stack.slices, stack.boxes.astype(int), strict=True):
            volumes[index, z, y0:y1, x0:x1] = True
    expected = [[(one & other).sum() / (one | other).sum() for other in volumes] for one in volumes]
    np.testing.assert_allclose(overlaps(stacks, stacks), expected, rtol=1e-5)


def scan_with_everything() -> LesionClaims:
    """A lesion found twice, one missed, one too small to count and found, a false alarm."""
    true = [lesion(cube(0)), lesion(cube(40)), lesion(cube(80), volume_ml=0.05)]
    claimed = [candidate(0.9, cube(1)), candidate(0.6, cube(0)), candidate(0.8, cube(80)), candidate(0.7, cube(120))]
    return claims_of([(claimed, true)])


def test_a_lesion_is_found_once_and_small_ones_do_not_count() -> None:
    """The second claim about a lesion is false, one about a small lesion is neither."""
    claims = scan_with_everything()
    assert sorted(zip(claims.claim_score.tolist(), claims.claim_correct.tolist(), strict=True)) == [
        (0.6, False),
        (0.7, False),
        (0.9, True),
    ]
    assert claims.lesion_score.tolist() == [0.9, -np.inf]
    assert claims.alarm_score.tolist() == [0.7]


def test_accuracy_counts_correct_among_correct_false_and_missed() -> None:
    """At 0.5: one correct, two false, one missed; at 0.8 nothing false."""
    claims = scan_with_everything()
    assert target_accuracy(claims, 0.5) == pytest.approx(1 / 4)
    assert target_accuracy(claims, 0.8) == pytest.approx(1 / 2)
    assert best_score(claims) == 0.9


def test_average_precision_of_a_known_ranking() -> None:
    """Right, wrong, right of three lesions: (1 + 2/3) / 3."""
    true = [lesion(cube(40 * number)) for number in range(3)]
    claimed = [candidate(0.9, cube(0)), candidate(0.8, cube(200)), candidate(0.7, cube(40))]
    assert average_precision(claims_of([(claimed, true)])) == pytest.approx((1.0 + 2 / 3) / 3)


def test_froc_is_that_of_monai() -> None:
    """MONAI leaves the lowest score out, so that one more false alarm at the bottom makes both the same."""
    claims = random_answers(4, 1.0).claims
    found = np.where(np.isfinite(claims.lesion_score), claims.lesion_score, 0.0)
    alarms = np.append(claims.alarm_score, 0.0)
    curve = compute_froc_curve_data(alarms, found, len(found), claims.patients)
    expected = compute_froc_score(*curve, eval_thresholds=FALSE_POSITIVE_RATES)
    assert np.mean(froc_sensitivities(froc_curve(claims))) == pytest.approx(expected)


def test_lesion_figures_of_weighted_patients_are_those_of_repeated_ones() -> None:
    """What the bootstrap rests on."""
    true = [lesion(cube(0)), lesion(cube(40))]
    one = ([candidate(0.9, cube(0)), candidate(0.5, cube(99))], true)
    other = ([candidate(0.8, cube(99)), candidate(0.7, cube(40))], true)
    weights = np.array([2.0, 1.0])
    weighted, repeated = claims_of([one, other]), claims_of([one, one, other])
    assert average_precision(weighted, weights) == pytest.approx(average_precision(repeated))
    assert target_accuracy(weighted, 0.6, weights) == pytest.approx(target_accuracy(repeated, 0.6))
    assert froc_sensitivities(froc_curve(weighted, weights)) == pytest.approx(froc_sensitivities(froc_curve(repeated)))


def test_a_detector_that_claims_nothing_finds_nothing() -> None:
    """Zero instead of an error."""
    claims = claims_of([([], [lesion(cube(0))]), ([], [])])
    assert froc_sensitivities(froc_curve(claims)) == (0.0,) * 7
    assert average_precision(claims) == 0.0
    assert target_accuracy(claims, best_score(claims)) == 0.0
