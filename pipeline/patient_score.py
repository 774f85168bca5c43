"""One number per study: how much it looks like the diseased studies of the training set."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.errors import PatientScoreError

TOP_SLICES = 3
"""The most suspicious slices that count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientScoreWeights:
    """A logistic function fitted on validation cases."""

    bias: float
    slice_weight: float
    """Of the mean of the highest slice logits."""
    involvement_weight: float
    """Of log(0.01 + involvement in percent)."""
    temperature: float = 1.0
    """Divides the logit, so that the score is a probability in the population it was calibrated on; the order of
    studies stays (Guo et al. 2017, "On Calibration of Modern Neural Networks")."""


def patient_score(slice_logits: Tensor, involvement_percent: float, weights: PatientScoreWeights) -> float:
    """Score in 0..1 of a study.

    Args:
        slice_logits: (Z,), of the slices that show lung.
        involvement_percent: Lesion volume by lung volume.
        weights: From the model pack.

    Raises:
        PatientScoreError: No slice shows lung, or a slice logit is no number.
    """
    slices, involvement = patient_features(slice_logits, involvement_percent)
    logit = weights.bias + weights.slice_weight * slices + weights.involvement_weight * involvement
    value = logit / weights.temperature
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, value))))


def patient_features(slice_logits: Tensor, involvement_percent: float) -> tuple[float, float]:
    """What the score is made of; training fits its weights on the same.

    Raises:
        PatientScoreError: No slice shows lung, or a slice logit is no number: nan counts as the highest, so none hides.
    """
    if not slice_logits.numel():
        reason = "No slice shows lung, so there is no patient score. Look at the lung mask."
        raise PatientScoreError(reason)
    top = float(torch.topk(slice_logits.float(), min(TOP_SLICES, slice_logits.numel())).values.mean())
    if math.isnan(top):
        raise PatientScoreError
    return top, math.log(0.01 + involvement_percent)
