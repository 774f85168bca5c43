"""What one checkpoint of one detector answers in one stage, for all patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.choices import Choices, candidates_of, dice, involvement_percent, mask_count, study_score
from pipeline.evaluation.lesion_matching import LesionClaims, claims_of
from pipeline.evaluation.read_cases import Patient, patient_numbers
from pipeline.evaluation.readings import Int64Array, KeptReading
from pipeline.evaluation.views import View, Views
from pipeline.study import BoolArray, Float64Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """One row per case; lesions, Dice and involvement are those of the newest study."""

    patients: Int64Array
    """Number of the patient whose case it is: rows of one patient are drawn together."""
    scores: Float64Array
    """Of the reading that looks most diseased."""
    diseased: BoolArray
    claims: LesionClaims
    dice: Float64Array
    """nan without a mask, or without a lesion worth it."""
    found_by_mask: Float64Array
    """Lesions, of those that count; nan without a mask."""
    lesions: Float64Array
    """How many count."""
    false_pieces: Float64Array
    """Of the mask; nan without one."""
    involvement_percent: Float64Array
    true_involvement_percent: Float64Array


def answers_of(
    patients: Sequence[Patient], readings: Sequence[dict[View, KeptReading]], views: Views, choices: Choices
) -> Answers:
    """Answers about patients whose state is known.

    Args:
        patients: None of whom is neither diseased nor healthy.
        readings: Of each patient, at least those that `views` names.
        views: What the stage rests on.
        choices: Of the checkpoint.
    """
    used = [_used(patient, held, views) for patient, held in zip(patients, readings, strict=True)]
    newest = [group[0] for group in used]
    truths = [patient.truth.studies[-1] for patient in patients]
    candidates = [candidates_of(reading, choices.link_floor) for reading in newest]
    return Answers(
        patients=np.array(patient_numbers(patients), np.int64),
        scores=np.array([max(study_score(reading, choices) for reading in group) for group in used]),
        diseased=np.array([bool(patient.truth.diseased) for patient in patients], np.bool_),
        claims=claims_of([(found, truth.lesions) for found, truth in zip(candidates, truths, strict=True)]),
        dice=np.array(
            [
                dice(reading, choices) if truth.has_dice else np.nan
                for reading, truth in zip(newest, truths, strict=True)
            ]
        ),
        found_by_mask=np.array([mask_count(reading.found_lesions, choices) for reading in newest]),
        lesions=np.array([float(sum(each.counts for each in truth.lesions)) for truth in truths]),
        false_pieces=np.array([mask_count(reading.false_pieces, choices) for reading in newest]),
        involvement_percent=np.array([involvement_percent(reading, choices) for reading in newest]),
        true_involvement_percent=np.array([truth.involvement_percent for truth in truths]),
    )


def _used(patient: Patient, held: dict[View, KeptReading], views: Views) -> list[KeptReading]:
    """What a stage rests on, that of the newest study first; an earlier study of which nothing is known has no say."""
    studies = patient.truth.studies
    return [held[view] for view in views(len(studies)) if studies[-1 - view.studies_back].is_known]
