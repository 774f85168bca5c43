"""What an evaluation finds out, as it is written down."""

from dataclasses import dataclass

from pipeline.evaluation.agreement import Agreement
from pipeline.evaluation.calibration import ReliabilityBin
from pipeline.evaluation.choices import Choices
from pipeline.evaluation.resampling import Estimate

SPECIFICITY = 0.95
"""At which sensitivities are compared."""

LITTLE_INVOLVEMENT_PERCENT = 1.0
"""What a healthy chest should stay below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points of a line to draw."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainFigures:
    """Figures of one checkpoint without intervals."""

    area: float
    sensitivity_at_specificity: float
    sensitivity: float
    specificity: float
    target_accuracy: float
    competition_metric: float
    average_precision: float
    dice: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFigures:
    """Figures of the best checkpoint in one stage, or with one control."""

    stage: str
    threshold: float
    """Of the patient score, from validation."""
    area: Estimate
    sensitivity_at_specificity: Estimate
    sensitivity: Estimate
    specificity: Estimate
    target_accuracy: Estimate
    competition_metric: Estimate
    froc_sensitivities: tuple[float, ...]
    average_precision: Estimate
    dice: Estimate
    """nan without a mask."""
    found_by_mask: Estimate
    """Share of the lesions that the mask finds; nan without one."""
    false_pieces: float
    """Of the mask, per scan."""
    involvement: Agreement
    little_involvement: Estimate
    """Healthy patients of whose lungs less than `LITTLE_INVOLVEMENT_PERCENT` is called lesion."""
    calibration_error: float
    brier: float
    roc: Curve
    froc: Curve
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFigures:
    """One stage over all checkpoints, on the same patients."""

    stage: str
    checkpoints: int
    patients: int
    cases: int
    """A patient whose studies could not be aligned has several."""
    diseased: int
    """Of the cases."""
    mean: PlainFigures
    sd: PlainFigures
    """nan of a single checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """One detector."""

    name: str
    kind: str
    checkpoint: str
    """The one with the lowest validation loss."""
    validation_loss: float | None
    choices: Choices
    stages: tuple[StageFigures, ...]
    """Stage I, stage II, controls."""
    checkpoints: tuple[CheckpointFigures, ...]
    """Stage I, stage II."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure of two answers about the same patients, first minus second."""

    first: str
    second: str
    figure: str
    difference: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """Everything that is written down."""

    title: str
    patients: int
    cases: int
    """A patient whose studies could not be aligned has several."""
    diseased: int
    """Of the cases."""
    set_aside: int
    """Cases whose newest study is free of lesions although they had some: neither answer would be wrong."""
    studies: int
    validation_patients: int
    validation_cases: int
    bootstrap_samples: int
    phantoms: bool
    """Some patient is made up."""
    models: tuple[ModelResult, ...]
    differences: tuple[Difference, ...]
