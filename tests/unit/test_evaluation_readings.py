"""What is kept of a reading is what the figures need."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from builders.networks import tiny_space_time_net
from builders.training_cases import SHAPE, small_case
from pipeline.evaluation.choices import best_threshold
from pipeline.evaluation.detector import LEAST_SCORE, SliceBoxes, StudyReading
from pipeline.evaluation.readings import MASK_PROBABILITIES, SCORE_LEVELS, kept_reading, load_reading, save_reading
from pipeline.evaluation.space_time_detector import SpaceTimeDetector
from pipeline.evaluation.truth import case_truth, study_truth
from pipeline.study import Float32Array
from pipeline.training.cases import CaseStudy

VOXEL_ML = 0.01125


def box_reading(boxes: list[list[float]], probability: Float32Array | None = None) -> StudyReading:
    """The same boxes of score 0.6 on every slice."""
    found = SliceBoxes(boxes=np.array(boxes, np.float32).reshape(-1, 4), scores=np.full(len(boxes), 0.6, np.float32))
    logits = np.arange(SHAPE[0], dtype=np.float32)
    return StudyReading(boxes=(found,) * SHAPE[0], slice_logits=logits, lesion_probability=probability)


def newest() -> CaseStudy:
    """A study whose lungs fill all but four pixels at each side."""
    return small_case(1).studies[-1]


def test_boxes_outside_the_lungs_are_dropped_and_the_others_clipped() -> None:
    """The first lies in the rim, the second reaches beyond the grid."""
    kept = kept_reading(box_reading([[0, 0, 48, 4], [20, 20, 60, 50]]), newest(), VOXEL_ML)
    assert len(kept.boxes) == SHAPE[0]
    assert kept.boxes[0].tolist() == [20, 20, 48, 40]


def test_ellipse_stands_for_the_lesion_in_its_box() -> None:
    """Pi quarters of the box, from its score on."""
    kept = kept_reading(box_reading([[8, 8, 32, 28]]), newest(), VOXEL_ML)
    share = kept.ellipse_voxels[SCORE_LEVELS.index(0.6)] / (SHAPE[0] * 24 * 20)
    assert share == pytest.approx(math.pi / 4, rel=0.02)
    assert kept.ellipse_voxels[SCORE_LEVELS.index(0.65)] == 0


def test_mask_is_counted_beside_the_lesions_without_specks() -> None:
    """A perfect mask with one lonely voxel more has a Dice of 1."""
    study = newest()
    probability = (study.truth[1] > 0).astype(np.float32)
    probability[0, 36, 44] = 1.0
    kept = kept_reading(box_reading([], probability), study, VOXEL_ML)
    assert kept.mask_voxels.tolist() == [kept.truth_voxels] * len(MASK_PROBABILITIES)
    assert kept.common_voxels.tolist() == kept.mask_voxels.tolist()
    assert kept.found_lesions.tolist() == [1] * len(MASK_PROBABILITIES)
    assert kept.false_pieces.tolist() == [0] * len(MASK_PROBABILITIES)


def test_a_mask_beside_the_lesion_finds_nothing() -> None:
    """One false piece."""
    study = newest()
    probability = np.zeros(SHAPE, np.float32)
    probability[:, 34:36, 4:40] = 0.55
    kept = kept_reading(box_reading([], probability), study, VOXEL_ML)
    assert not (study.truth[1, :, 34:36] > 0).any()
    assert kept.found_lesions.tolist() == [0] * len(MASK_PROBABILITIES)
    assert kept.false_pieces.tolist() == [1, 1, 1, 0, 0]


def test_voxels_of_unknown_truth_are_held_against_nobody() -> None:
    """Neither as lung, nor as lesion, nor as mask."""
    study = newest()
    truth = study.truth.copy()
    truth[2, :, 20:] = 255
    unknown = replace(study, truth=truth)
    kept = kept_reading(box_reading([], np.ones(SHAPE, np.float32)), unknown, VOXEL_ML)
    assert kept.lung_voxels == SHAPE[0] * 16 * 40
    assert kept.mask_voxels[0] == kept.lung_voxels


def test_a_lesion_drawn_beside_the_lungs_is_missed() -> None:
    """Answers count in the lungs as found alone, and what was drawn beyond them is lesion all the same."""
    study = newest()
    truth = study.truth.copy()
    truth[0][truth[1] > 0] = 0
    beside = replace(study, truth=truth)
    kept = kept_reading(box_reading([], np.ones(SHAPE, np.float32)), beside, VOXEL_ML)
    assert kept.truth_voxels == np.count_nonzero(study.truth[1]) > 0
    assert kept.lung_voxels == kept.mask_voxels[0] == np.count_nonzero(truth[0])
    assert kept.common_voxels.tolist() == kept.found_lesions.tolist() == [0] * len(MASK_PROBABILITIES)
    assert study_truth(beside, VOXEL_ML).lesion_ml == study_truth(study, VOXEL_ML).lesion_ml


def test_slices_without_lung_have_no_say() -> None:
    """Only logits of slices that show lung are kept."""
    study = newest()
    truth = study.truth.copy()
    truth[:, 0] = 0
    kept = kept_reading(box_reading([]), replace(study, truth=truth), VOXEL_ML)
    assert kept.slice_logits.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_kept_reading_comes_back_as_it_was(tmp_path: Path) -> None:
    """With and without a mask."""
    kept = kept_reading(box_reading([[8, 8, 32, 28]], np.ones(SHAPE, np.float32)), newest(), VOXEL_ML)
    save_reading(tmp_path / "reading.npz", kept)
    back = load_reading(tmp_path / "reading.npz")
    for name in kept.__slots__:
        np.testing.assert_array_equal(getattr(back, name), getattr(kept, name))


def test_truth_boxes_lie_around_the_lesion_on_each_slice_that_shows_it() -> None:
    """The block of the small case."""
    study = newest()
    truth = study_truth(study, VOXEL_ML)
    y, x = np.nonzero(study.truth[1, 1])
    (only,) = truth.lesions
    assert only.boxes.slices.tolist() == [1, 2, 3, 4]
    assert only.boxes.boxes[0].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert only.volume_ml == pytest.approx(truth.lesion_ml)


def test_a_patient_whose_lesions_have_gone_is_neither_diseased_nor_healthy() -> None:
    """The newest study shows none, an earlier one did."""
    case = small_case(1)
    clear = replace(case.studies[-1], truth=case.studies[-1].truth * np.array([1, 0, 0], np.uint8)[:, None, None, None])
    assert case_truth(case).diseased is True
    assert case_truth(replace(case, studies=(*case.studies[:-1], clear))).diseased is None
    assert case_truth(replace(case, studies=(clear,), diseased=False)).diseased is False


def test_space_time_net_answers_on_the_grid_of_the_case_within_its_lungs() -> None:
    """Rows and columns that were padded for the network are gone."""
    torch.set_num_threads(1)
    case = small_case(1)
    reading = SpaceTimeDetector("tiny", tiny_space_time_net()).read(case.studies)
    assert reading.lesion_probability is not None
    assert reading.lesion_probability.shape == SHAPE
    assert not reading.lesion_probability[case.studies[-1].truth[0] == 0].any()
    assert len(reading.boxes) == len(reading.slice_logits) == SHAPE[0]
    assert all((boxes.scores >= LEAST_SCORE).all() for boxes in reading.boxes)


def test_threshold_lies_between_the_scores_that_it_parts() -> None:
    """Halfway, so that neither side is on the edge."""
    scores = np.array([0.1, 0.3, 0.7, 0.9])
    assert best_threshold(scores, np.array([False, False, True, True])) == pytest.approx(0.5)
