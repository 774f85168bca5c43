"""The patient score of a pack: weights, temperature and operating points, fitted on validation cases."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.model_pack import Calibration, OperatingPoint, PatientOperatingPoints
from pipeline.patient_score import PatientScoreWeights, patient_features
from pipeline.study import Float64Array

FOLDS = 5
"""The temperature is fitted on logits of patients that the weights were not fitted on."""

SHRINKAGE = 0.01
"""Of the squared weights in the loss of the logistic regression."""

WANTED = 0.95
"""Sensitivity, or specificity, of the two named operating points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientPoints:
    """What a pack says about its patient score."""

    weights: PatientScoreWeights
    calibration: Calibration
    operating_points: PatientOperatingPoints
    held_out_scores: Float64Array
    """(n,), each from weights that were fitted on the other folds."""


def choose_patient_points(
    features: Float64Array, diseased: NDArray[np.bool_], patients: NDArray[np.int64] | None = None
) -> PatientPoints:
    """Weights from all readings; temperature and operating points from scores of patients held out in turn.

    Args:
        features: (n, 2) from `patient_features`, a row per reading.
        diseased: (n,), whether there is a lesion.
        patients: (n,), number of the patient, 0..; a study read in two ways is twice in `features` and is one study all
            the same. None: each reading is of another patient.
    """
    patients = np.arange(len(diseased)) if patients is None else patients
    logits = _held_out_logits(features, diseased, patients)
    temperature = fit_temperature(logits, diseased)
    scores = np.asarray(1.0 / (1.0 + np.exp(-logits / temperature)))
    return PatientPoints(
        weights=fit_patient_score(features, diseased, temperature=temperature),
        calibration=Calibration(
            method="temperature",
            patient_temperature=temperature,
            calibrated_on=f"validation readings of phantoms, {FOLDS}-fold",
            population="synthetic phantoms",
            studies=len(np.unique(patients)),
        ),
        operating_points=operating_points(np.where(shows_lesion(features), scores, 0.0), diseased, patients),
        held_out_scores=scores,
    )


def fit_patient_score(
    features: Float64Array, diseased: NDArray[np.bool_], *, temperature: float = 1.0
) -> PatientScoreWeights:
    """Logistic regression with a little shrinkage; neither feature may lower the score, whatever the cases say."""
    inputs = torch.from_numpy(features).float()
    truth = torch.from_numpy(diseased).float()
    raw = torch.zeros(3, requires_grad=True)

    def loss() -> torch.Tensor:
        weights = torch.nn.functional.softplus(raw[1:])
        fit = torch.nn.functional.binary_cross_entropy_with_logits(raw[0] + inputs @ weights, truth)
        return fit + SHRINKAGE * weights.square().sum()

    _minimise(loss, raw)
    bias = float(raw[0].detach())
    slices, involvement = torch.nn.functional.softplus(raw[1:].detach()).tolist()
    return PatientScoreWeights(bias=bias, slice_weight=slices, involvement_weight=involvement, temperature=temperature)


def shows_lesion(features: Float64Array) -> NDArray[np.bool_]:
    """(n,): a lesion is reported; a study that shows none is not called diseased, however suspicious its slices."""
    return np.asarray(features[:, 1] > patient_features(torch.zeros(1), 0.0)[1])


def fit_temperature(logits: Float64Array, diseased: NDArray[np.bool_]) -> float:
    """What the logits are divided by to be most likely (Guo et al. 2017); between 0.25 and 4, 1 for one class only."""
    if diseased.all() or not diseased.any():
        return 1.0
    given, truth = torch.from_numpy(logits).float(), torch.from_numpy(diseased).float()
    log_temperature = torch.zeros(1, requires_grad=True)

    def loss() -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(given / log_temperature.exp(), truth)

    _minimise(loss, log_temperature)
    return round(float(log_temperature.detach().exp().clamp(0.25, 4.0)), 4)


def operating_points(
    scores: Float64Array, diseased: NDArray[np.bool_], patients: NDArray[np.int64]
) -> PatientOperatingPoints:
    """The default where sensitivity and specificity together are largest, and the two named ones.

    Args:
        scores: (n,), 0 where no lesion is reported.
        diseased: (n,).
        patients: (n,), number of the patient; shares are of the readings, counts are of patients.
    """
    points = [_point(threshold, scores, diseased, patients) for threshold in np.linspace(0.01, 0.99, 99)]
    if diseased.all() or not diseased.any():
        return PatientOperatingPoints(default=_point(0.5, scores, diseased, patients))
    best = max(point.sensitivity + point.specificity for point in points)
    default = [point for point in points if point.sensitivity + point.specificity >= best - 1e-9]
    sensitive = [point for point in points if point.sensitivity >= WANTED]
    specific = [point for point in points if point.specificity >= WANTED]
    return PatientOperatingPoints(
        default=default[len(default) // 2],
        sensitivity_95=sensitive[-1] if sensitive else None,
        specificity_95=specific[0] if specific else None,
    )


def _held_out_logits(features: Float64Array, diseased: NDArray[np.bool_], patients: NDArray[np.int64]) -> Float64Array:
    """(n,): all readings of a patient are held out together."""
    folds = patients % FOLDS
    logits = np.zeros(len(diseased))
    for fold in range(FOLDS):
        held = folds == fold
        weights = fit_patient_score(features[~held], diseased[~held])
        logits[held] = weights.bias + features[held] @ np.array([weights.slice_weight, weights.involvement_weight])
    return logits


def _point(
    threshold: float, scores: Float64Array, diseased: NDArray[np.bool_], patients: NDArray[np.int64]
) -> OperatingPoint:
    threshold = round(float(threshold), 2)
    positive = scores >= threshold
    return OperatingPoint(
        threshold=threshold,
        sensitivity=float(positive[diseased].mean()) if diseased.any() else 0.0,
        specificity=float((~positive[~diseased]).mean()) if not diseased.all() else 0.0,
        diseased=len(np.unique(patients[diseased])),
        healthy=len(np.unique(patients[~diseased])),
    )


def _minimise(loss: Callable[[], torch.Tensor], parameters: torch.Tensor) -> None:
    optimiser = torch.optim.LBFGS([parameters], max_iter=200)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]  # torch has no type for it
