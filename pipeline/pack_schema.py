"""The schema of a model pack's description, `stnet.json`."""

import json
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pipeline.errors import ModelPackError
from pipeline.schema_words import problem_in_words
from pipeline.window import WINDOW_CENTRE_HU, WINDOW_WIDTH_HU

READ_FORMATS = (1, 2)
"""1 knows neither calibration nor operating points nor a golden case."""

WRITTEN_FORMAT = 2

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Channels = Annotated[int, Field(ge=8, le=4096, multiple_of=8)]
"""The group norms hold eight channels each."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1)]

LESION_LABELS = ((1, "ground_glass"), (2, "consolidation"))
"""Value and name of every class of the lesion mask; the heads of Space-Time-Net have no others."""


def _only(value_hu: float) -> AfterValidator:
    """Of the window there is one, `pipeline.window`: a pack that was trained with another sees wrong greys here."""

    def check(found: float) -> float:
        if found != value_hu:
            reason = f"must be {value_hu:g}, the only one this version has"
            raise ValueError(reason)
        return found

    return AfterValidator(check)


class _Part(BaseModel):
    """A part of the description: typed, and no key that is not here, since it would be a wish unheard."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LungsPart(_Part):
    """Shape of the lung network."""

    widths: Annotated[tuple[Channels, ...], Field(min_length=2)]
    neighbour_mm: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """Absent in packs whose network sees each slice alone."""


class SpaceTimePart(_Part):
    """Shape of Space-Time-Net."""

    input_channels: Annotated[int, Field(ge=4, le=4)]
    widths: tuple[Channels, Channels, Channels, Channels]
    hidden: Channels
    mask_width: Channels
    bidirectional_time: bool = False
    difference_input: bool = False


class InputPart(_Part):
    """The input contract."""

    pixel_mm: Positive
    slice_spacing_mm: Positive
    thickest_slice_spacing_mm: Positive
    margin_mm: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    size_multiple: Annotated[int, Field(ge=32, multiple_of=32)]
    window_centre_hu: Annotated[Finite, _only(WINDOW_CENTRE_HU)]
    window_width_hu: Annotated[Positive, _only(WINDOW_WIDTH_HU)]
    channels: tuple[Literal["slice below"], Literal["slice"], Literal["slice above"], Literal["lung mask"]]


class ThresholdsPart(_Part):
    """Where something begins to count."""

    lesion_probability: Share
    slice_probability: Share
    box_score: Share
    box_overlap: Share
    smallest_lesion_ml: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    patient_score: Share


class PatientScorePart(_Part):
    """Weights of the patient score."""

    bias: Finite
    slice_weight: Finite
    involvement_weight: Finite


class CalibrationPart(_Part):
    """How the patient score became a probability."""

    method: Literal["none", "temperature"]
    patient_temperature: Positive
    calibrated_on: str
    population: str
    studies: Count


class OperatingPointPart(_Part):
    """A threshold of the patient score, with what was measured there."""

    threshold: Share
    sensitivity: Share
    specificity: Share
    diseased: Count
    healthy: Count


class OperatingPointsPart(_Part):
    """The operating points of the patient score."""

    default: OperatingPointPart
    sensitivity_95: OperatingPointPart | None
    specificity_95: OperatingPointPart | None


class DecisionFlipsPart(_Part):
    """How many decisions bfloat16 turns."""

    lung_pixels: Count
    lung_pixel_flips: Count
    lesion_voxels: Count
    lesion_voxel_flips: Count
    slices: Count
    slice_flips: Count


class LabelPart(_Part):
    """A value of the lesion mask."""

    value: Annotated[int, Field(ge=1, le=255)]
    name: Text


def _check_labels(labels: tuple[LabelPart, ...]) -> tuple[LabelPart, ...]:
    """The classes of the mask head, in any order."""
    if sorted((label.value, label.name) for label in labels) != sorted(LESION_LABELS):
        known = " and ".join(f"{value} {name}" for value, name in LESION_LABELS)
        reason = f"must be {known}, the only ones this version has"
        raise ValueError(reason)
    return labels


class TrainingDataPart(_Part):
    """Something the weights were trained on."""

    name: Text
    licence: Text
    attribution: Text


class PackDocument(_Part):
    """The whole of `stnet.json`."""

    format: Literal[1, 2]
    name: Text
    version: Text
    intended_use: Text
    synthetic_training_only: bool
    lungs: LungsPart
    space_time: SpaceTimePart
    input: InputPart
    thresholds: ThresholdsPart
    patient_score: PatientScorePart
    calibration: CalibrationPart | None = None
    operating_points: OperatingPointsPart | None = None
    bfloat16: DecisionFlipsPart | None = None
    labels: Annotated[tuple[LabelPart, ...], AfterValidator(_check_labels)]
    training_data: tuple[TrainingDataPart, ...]
    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        """What format 2 adds is there; the default operating point is the threshold that is used."""
        if self.format == 1:
            return self
        missing = {"calibration", "operating_points"} - self.model_fields_set
        if missing or self.calibration is None:
            reason = f"format 2 needs {' and '.join(sorted(missing)) or 'calibration'}"
            raise ValueError(reason)
        points = self.operating_points
        if points is not None and points.default.threshold != self.thresholds.patient_score:
            reason = "operating_points.default.threshold must be thresholds.patient_score"
            raise ValueError(reason)
        return self


def checked_description(text: bytes) -> PackDocument:
    """The description, typed.

    Args:
        text: Of `stnet.json`.

    Raises:
        ModelPackError: With every problem, or with the format when it is one that this version does not read.
    """
    _check_format(text)
    try:
        return PackDocument.model_validate_json(text)
    except ValidationError as exc:
        problems = "; ".join(_problem(error) for error in exc.errors(include_url=False))
        reason = f"stnet.json is not as it must be: {problems}; install a model pack made for this version"
        raise ModelPackError(reason) from exc


def _check_format(text: bytes) -> None:
    """Before anything else, so that the pack of a later version is not told about as a row of mistakes."""
    try:
        found = json.loads(text)
    except ValueError as exc:
        reason = "stnet.json is not valid JSON; install the model pack again"
        raise ModelPackError(reason) from exc
    named = found.get("format") if isinstance(found, dict) else None
    if type(named) is not int or named not in READ_FORMATS:
        known = " or ".join(str(number) for number in READ_FORMATS)
        reason = f"model pack format {named!r} is not {known}; install a model pack made for this version"
        raise ModelPackError(reason)


def _problem(error: ErrorDetails) -> str:
    """`thresholds.box_score must be at most 1 (got 3)`."""
    place = ".".join(str(part) for part in error["loc"])
    return f"{place} {problem_in_words(error)}".strip()
