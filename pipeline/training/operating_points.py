"""Thresholds chosen on validation cases, with what they give there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.resampling import NORMAL_95, Estimate, share
from pipeline.evaluation.roc import delong_area
from pipeline.model_pack import Thresholds
from pipeline.patient_score import PatientScoreWeights
from pipeline.study import Float64Array
from pipeline.training.case_figures import BOX_SCORES, PROBABILITIES, SMALLEST_LESION_ML, CaseFigures
from pipeline.training.patient_points import PatientPoints, choose_patient_points

SLICE_SPECIFICITY = 0.95
LEAST_DICE_ML = 0.5
"""Studies with less lesion than this have no Dice worth averaging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingFigures:
    """Validation cases read in one way."""

    priors: int
    studies: int
    diseased: int
    dice: Estimate
    dice_sd: float
    lesion_sensitivity: Estimate
    false_components_per_study: float
    healthy_false_ml: float
    """Mean lesion volume claimed in a study without lesions."""
    patient_auc: Estimate
    kind_agreement: float
    box_recall: float
    box_precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoints:
    """What goes into the pack."""

    thresholds: Thresholds
    patient: PatientPoints
    readings: tuple[ReadingFigures, ...]


def choose_operating_points(readings: Sequence[Sequence[CaseFigures]]) -> OperatingPoints:
    """Thresholds from all readings of the validation cases together; each reading is one number of earlier studies.

    A case is a study of a patient, told by its name, however often it was read.
    """
    everything = [figures for reading in readings for figures in reading]
    merits = [_mask_merit(everything, index) for index in range(len(PROBABILITIES))]
    mask_index = int(np.nanargmax(merits)) if not np.isnan(merits).all() else len(merits) // 2
    box_index = int(np.argmax([_box_f1(everything, index) for index in range(len(BOX_SCORES))]))
    patient = choose_patient_points(
        np.array([figures.features[mask_index] for figures in everything]),
        np.array([figures.lesions > 0 for figures in everything]),
        np.unique([figures.name for figures in everything], return_inverse=True)[1],
    )
    thresholds = Thresholds(
        lesion_probability=PROBABILITIES[mask_index],
        slice_probability=_slice_threshold(everything),
        box_score=BOX_SCORES[box_index],
        box_overlap=0.5,
        smallest_lesion_ml=SMALLEST_LESION_ML,
        patient_score=patient.operating_points.default.threshold,
    )
    return OperatingPoints(
        thresholds=thresholds,
        patient=patient,
        readings=tuple(_reading(reading, patient, mask_index, box_index) for reading in readings),
    )


def _mean(values: Sequence[float] | NDArray[np.bool_]) -> float:
    """nan where there is nothing to average."""
    return float(np.mean(values)) if len(values) else float("nan")


def _mean_estimate(values: Sequence[float]) -> Estimate:
    """Mean with its normal interval."""
    if len(values) < 2:
        return Estimate(value=_mean(values), n=len(values))
    half = NORMAL_95 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Estimate(value=_mean(values), low=_mean(values) - half, high=_mean(values) + half, n=len(values))


def _logits(figures: Sequence[CaseFigures], weights: PatientScoreWeights, mask_index: int) -> Float64Array:
    features = np.array([item.features[mask_index] for item in figures])
    return np.asarray(weights.bias + features @ np.array([weights.slice_weight, weights.involvement_weight]))


def _slice_threshold(figures: Sequence[CaseFigures]) -> float:
    logits = np.concatenate([item.slice_logits[~item.slice_truth] for item in figures])
    limit = float(np.quantile(logits, SLICE_SPECIFICITY))
    return round(float(1.0 / (1.0 + np.exp(-limit))), 3)


def _dices(figures: Sequence[CaseFigures], index: int) -> list[float]:
    return [item.masks[index].dice for item in figures if item.lesion_ml >= LEAST_DICE_ML]


def _mask_merit(figures: Sequence[CaseFigures], index: int) -> float:
    """Mean Dice, where a study without any lesion counts 1 as long as nothing is claimed in it, else 0."""
    silent = [float(item.masks[index].false_ml == 0.0) for item in figures if item.lesion_ml == 0.0]
    return _mean(_dices(figures, index) + silent)


def _box_f1(figures: Sequence[CaseFigures], index: int) -> float:
    hits, predicted, real = np.sum([item.boxes[index] for item in figures], axis=0)
    return float(2.0 * hits / max(1, predicted + real))


def _reading(figures: Sequence[CaseFigures], patient: PatientPoints, mask_index: int, box_index: int) -> ReadingFigures:
    masks = [item.masks[mask_index] for item in figures]
    diseased = np.array([item.lesions > 0 for item in figures])
    hits, predicted, real = np.sum([item.boxes[box_index] for item in figures], axis=0)
    dices = _dices(figures, mask_index)
    healthy_ml = [mask.false_ml for mask, ill in zip(masks, diseased, strict=True) if not ill]
    return ReadingFigures(
        priors=max(item.priors for item in figures),
        studies=len(figures),
        diseased=int(diseased.sum()),
        dice=_mean_estimate(dices),
        dice_sd=float(np.std(dices)) if dices else float("nan"),
        lesion_sensitivity=share(sum(m.found_lesions for m in masks), sum(item.lesions for item in figures)),
        false_components_per_study=_mean([mask.false_components for mask in masks]),
        healthy_false_ml=_mean(healthy_ml),
        patient_auc=delong_area(_logits(figures, patient.weights, mask_index), diseased),
        kind_agreement=_mean([item.kind_agreement for item in figures if item.kind_agreement >= 0.0]),
        box_recall=float(hits / max(1, real)),
        box_precision=float(min(hits, predicted) / max(1, predicted)),
    )
