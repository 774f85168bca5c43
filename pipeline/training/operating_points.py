"""Thresholds chosen on validation cases, with what they give there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.model_pack import Thresholds
from pipeline.patient_score import PatientScoreWeights
from pipeline.study import Float64Array
from pipeline.training.evaluate import BOX_SCORES, PROBABILITIES, SMALLEST_LESION_ML, CaseFigures

SLICE_SPECIFICITY = 0.95
MERIT_TO_SPARE = 0.01
"""Given up for a higher threshold: real scans tempt to more false claims than phantoms do."""

LEAST_DICE_ML = 0.5
"""Studies with less lesion than this have no Dice worth averaging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingFigures:
    """Validation cases read in one way."""

    priors: int
    studies: int
    diseased: int
    dice_mean: float
    dice_sd: float
    lesion_sensitivity: float
    false_components_per_study: float
    healthy_false_ml: float
    """Mean lesion volume claimed in a study without lesions."""
    patient_auc: float
    kind_agreement: float
    box_recall: float
    box_precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoints:
    """What goes into the pack."""

    thresholds: Thresholds
    patient_score: PatientScoreWeights
    readings: tuple[ReadingFigures, ...]


def choose_operating_points(readings: Sequence[Sequence[CaseFigures]]) -> OperatingPoints:
    """Thresholds from all readings of the validation cases together; each reading is one number of earlier studies."""
    everything = [figures for reading in readings for figures in reading]
    merits = [_mask_merit(everything, index) for index in range(len(PROBABILITIES))]
    mask_index = max(index for index, merit in enumerate(merits) if not merit < max(merits) - MERIT_TO_SPARE)
    box_index = int(np.argmax([_box_f1(everything, index) for index in range(len(BOX_SCORES))]))
    weights = fit_patient_score(
        np.array([figures.features[mask_index] for figures in everything]),
        np.array([figures.lesions > 0 for figures in everything]),
    )
    thresholds = Thresholds(
        lesion_probability=PROBABILITIES[mask_index],
        slice_probability=_slice_threshold(everything),
        box_score=BOX_SCORES[box_index],
        box_overlap=0.5,
        smallest_lesion_ml=SMALLEST_LESION_ML,
        patient_score=_patient_threshold(everything, weights, mask_index),
    )
    return OperatingPoints(
        thresholds=thresholds,
        patient_score=weights,
        readings=tuple(_reading(reading, weights, mask_index, box_index) for reading in readings),
    )


def fit_patient_score(features: Float64Array, diseased: NDArray[np.bool_]) -> PatientScoreWeights:
    """Logistic regression with a little shrinkage.

    Args:
        features: (n, 2) from `patient_features`.
        diseased: (n,), whether there is a lesion.
    """
    inputs = torch.from_numpy(features).float()
    truth = torch.from_numpy(diseased).float()
    weights = torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = weights[0] + inputs @ weights[1:]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth) + 0.01 * weights[1:].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]  # torch has no type for it
    bias, slices, involvement = weights.detach().tolist()
    return PatientScoreWeights(bias=bias, slice_weight=slices, involvement_weight=involvement)


def area_under_curve(scores: Float64Array, positive: NDArray[np.bool_]) -> float:
    """Chance that a positive scores above a negative; nan where one of them is missing."""
    above = scores[positive][:, None] - scores[~positive][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean()) if above.size else float("nan")


def _mean(values: Sequence[float] | NDArray[np.bool_]) -> float:
    """nan where there is nothing to average."""
    return float(np.mean(values)) if len(values) else float("nan")


def _scores(figures: Sequence[CaseFigures], weights: PatientScoreWeights, mask_index: int) -> Float64Array:
    features = np.array([item.features[mask_index] for item in figures])
    logits = weights.bias + features @ np.array([weights.slice_weight, weights.involvement_weight])
    return np.asarray(1.0 / (1.0 + np.exp(-logits)))


def _patient_threshold(figures: Sequence[CaseFigures], weights: PatientScoreWeights, mask_index: int) -> float:
    """Where sensitivity and specificity together are largest, in the middle of such values."""
    scores, truth = _scores(figures, weights, mask_index), np.array([item.lesions > 0 for item in figures])
    candidates = np.linspace(0.05, 0.95, 91)
    youden = np.array([_mean(scores[truth] >= c) + _mean(scores[~truth] < c) for c in candidates])
    if np.isnan(youden).any():
        return 0.5
    return round(float(np.median(candidates[youden >= youden.max() - 1e-9])), 2)


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


def _reading(
    figures: Sequence[CaseFigures], weights: PatientScoreWeights, mask_index: int, box_index: int
) -> ReadingFigures:
    masks = [item.masks[mask_index] for item in figures]
    diseased = np.array([item.lesions > 0 for item in figures])
    hits, predicted, real = np.sum([item.boxes[box_index] for item in figures], axis=0)
    dices = _dices(figures, mask_index)
    healthy_ml = [mask.false_ml for mask, ill in zip(masks, diseased, strict=True) if not ill]
    return ReadingFigures(
        priors=max(item.priors for item in figures),
        studies=len(figures),
        diseased=int(diseased.sum()),
        dice_mean=_mean(dices),
        dice_sd=float(np.std(dices)) if dices else float("nan"),
        lesion_sensitivity=sum(m.found_lesions for m in masks) / max(1, sum(item.lesions for item in figures)),
        false_components_per_study=_mean([mask.false_components for mask in masks]),
        healthy_false_ml=_mean(healthy_ml),
        patient_auc=area_under_curve(_scores(figures, weights, mask_index), diseased),
        kind_agreement=_mean([item.kind_agreement for item in figures if item.kind_agreement >= 0.0]),
        box_recall=float(hits / max(1, real)),
        box_precision=float(min(hits, predicted) / max(1, predicted)),
    )
