"""What is chosen on validation patients, in the same way for every detector."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.evaluation.errors import EvaluationError
from pipeline.evaluation.lesion_boxes import Candidate, link_boxes
from pipeline.evaluation.lesion_matching import LesionClaims, average_precision, best_score, claims_of
from pipeline.evaluation.readings import MASK_PROBABILITIES, SCORE_LEVELS, Int64Array, KeptReading
from pipeline.evaluation.roc import roc_curve
from pipeline.evaluation.truth import StudyTruth
from pipeline.patient_score import PatientScoreWeights, patient_features, patient_score
from pipeline.study import BoolArray, Float64Array
from pipeline.training.patient_points import choose_patient_points

LINK_FLOORS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Box scores from which boxes are linked into candidates; weaker ones tie together what does not belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How the readings of one checkpoint are turned into answers."""

    link_floor: float
    """Of the box scores; gives the highest average precision."""
    box_score: float
    """Of the candidates; gives the highest F1."""
    mask_probability: float | None
    """Gives the highest Dice; None for a detector without a mask."""
    patient_score: PatientScoreWeights


def choose(samples: Sequence[tuple[KeptReading, StudyTruth]], patients: Sequence[int] | None = None) -> Choices:
    """Choices from readings of validation studies, each beside its truth; studies of which nothing is known have no say.

    Args:
        samples: All readings of all patients.
        patients: Of each, the number of the patient, 0.., whose readings are held out together; None: all of others.

    Raises:
        EvaluationError: They do not show both disease and health.
        PatientScoreError: A reading says of a slice what is no number.
    """
    numbers = range(len(samples)) if patients is None else patients
    known = [(sample, number) for sample, number in zip(samples, numbers, strict=True) if sample[1].is_known]
    samples = [sample for sample, _ in known]
    sampled_claims = {floor: study_claims(samples, floor) for floor in LINK_FLOORS}
    floor = max(LINK_FLOORS, key=lambda each: _or_zero(average_precision(sampled_claims[each])))
    score = best_score(sampled_claims[floor])
    mask = _best_mask([reading for reading, truth in samples if truth.has_dice])
    clear = [(sample, number) for sample, number in known if sample[1].diseased or sample[1].lesion_ml <= 0.0]
    diseased = np.array([truth.diseased for (_, truth), _ in clear], np.bool_)
    if diseased.all() or not diseased.any():
        reason = "the validation set needs studies with and without lesions; render or import more patients"
        raise EvaluationError(reason)
    features = np.array([_features(reading, score, mask) for (reading, _), _ in clear])
    held_together = np.array([number for _, number in clear])
    return Choices(
        link_floor=floor,
        box_score=score,
        mask_probability=mask,
        patient_score=choose_patient_points(features, diseased, held_together).weights,
    )


def best_threshold(scores: Float64Array, diseased: BoolArray) -> float:
    """Where sensitivity and specificity together are highest, halfway to the next score below (Youden 1950)."""
    curve = roc_curve(scores, diseased)
    levels = np.append(np.unique(scores)[::-1], 0.0)
    best = max(1, int(np.argmax(curve.sensitivity - curve.false_positive_share)))
    return float((levels[best - 1] + levels[best]) / 2)


def study_claims(samples: Iterable[tuple[KeptReading, StudyTruth]], floor: float) -> LesionClaims:
    """Candidates of many studies beside their lesions."""
    return claims_of([(candidates_of(reading, floor), truth.lesions) for reading, truth in samples])


def candidates_of(reading: KeptReading, floor: float) -> tuple[Candidate, ...]:
    """Boxes from this score on, linked."""
    kept = reading.scores >= floor
    return link_boxes(reading.slices[kept], reading.boxes[kept], reading.scores[kept])


def involvement_percent(reading: KeptReading, choices: Choices) -> float:
    """Lesion in the lungs: the mask's, or that of the ellipses in the boxes."""
    return _involvement(reading, choices.box_score, choices.mask_probability)


def study_score(reading: KeptReading, choices: Choices) -> float:
    """How much a study looks diseased, 0..1.

    Raises:
        PatientScoreError: Nothing of its lungs is known, or the reading says of a slice what is no number.
    """
    involvement = involvement_percent(reading, choices)
    return patient_score(torch.from_numpy(reading.slice_logits), involvement, choices.patient_score)


def dice(reading: KeptReading, choices: Choices) -> float:
    """Of the mask; nan without one, or without a lesion worth it."""
    if choices.mask_probability is None:
        return math.nan
    return _dice(reading, MASK_PROBABILITIES.index(choices.mask_probability))


def mask_count(counts: Int64Array, choices: Choices) -> float:
    """Of counts per `MASK_PROBABILITIES`, the one at the chosen probability; nan without a mask."""
    if choices.mask_probability is None:
        return math.nan
    return float(counts[MASK_PROBABILITIES.index(choices.mask_probability)])


def _features(reading: KeptReading, score: float, mask: float | None) -> tuple[float, float]:
    return patient_features(torch.from_numpy(reading.slice_logits), _involvement(reading, score, mask))


def _involvement(reading: KeptReading, score: float, mask: float | None) -> float:
    if mask is not None:
        voxels = reading.mask_voxels[MASK_PROBABILITIES.index(mask)]
    else:
        voxels = reading.ellipse_voxels[int(np.argmin(np.abs(np.array(SCORE_LEVELS) - score)))]
    return 100.0 * float(voxels) / max(1, reading.lung_voxels)


def _best_mask(diseased: Sequence[KeptReading]) -> float | None:
    if not diseased or not all(len(reading.mask_voxels) for reading in diseased):
        return None
    means = [np.mean([_dice(reading, index) for reading in diseased]) for index in range(len(MASK_PROBABILITIES))]
    return MASK_PROBABILITIES[int(np.argmax(means))]


def _dice(reading: KeptReading, index: int) -> float:
    total = int(reading.mask_voxels[index]) + reading.truth_voxels
    return 2.0 * float(reading.common_voxels[index]) / total if total else math.nan


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
