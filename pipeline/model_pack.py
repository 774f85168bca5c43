"""The model pack: weights with everything a node must know to use them.

A folder laid out like a MONAI bundle:

    stnet.json                   shape of the networks, input contract, thresholds, licences, sha256 of every other file
    configs/metadata.json        for software that reads MONAI bundles
    models/lungs.safetensors
    models/space_time.safetensors
    golden/                      a small phantom with what the networks said of it when the pack was written
    docs/README.md               model card: what the weights saw, what they were measured to do

Format 2 added calibration, operating points and the golden case; packs of format 1 are still read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pipeline.errors import ModelPackError
from pipeline.lungs_net import LungNet
from pipeline.model_input import InputContract
from pipeline.pack_schema import (
    CalibrationPart,
    OperatingPointPart,
    OperatingPointsPart,
    PackDocument,
    checked_description,
)
from pipeline.pack_title import BUNDLED_PACK, DESCRIPTION_FILE
from pipeline.patient_score import PatientScoreWeights
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet

LUNG_WEIGHTS = "models/lungs.safetensors"
SPACE_TIME_WEIGHTS = "models/space_time.safetensors"
GOLDEN_CASE = "golden/phantom.npz"
GOLDEN_EXPECTATION = "golden/expected.json"

_NEEDED_FILES = {
    1: (LUNG_WEIGHTS, SPACE_TIME_WEIGHTS),
    2: (LUNG_WEIGHTS, SPACE_TIME_WEIGHTS, GOLDEN_CASE, GOLDEN_EXPECTATION),
}
"""By format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Operating points, chosen on validation cases."""

    lesion_probability: float
    """A voxel is lesion where ground-glass and consolidation together reach this."""
    slice_probability: float
    """A slice shows a lesion from here on."""
    box_score: float
    """A box is kept from here on."""
    box_overlap: float
    """Two boxes of a slice that overlap more (intersection over union) are one."""
    smallest_lesion_ml: float
    """Smaller lesions are not reported."""
    patient_score: float
    """A study counts as diseased from here on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How the patient score became a probability, and in which population it is one."""

    method: Literal["none", "temperature"] = "none"
    patient_temperature: float = 1.0
    """Divides the logit of the patient score (Guo et al. 2017)."""
    calibrated_on: str = ""
    """Which cases, in a few words."""
    population: str = ""
    """Whom the probability holds for, for instance "synthetic phantoms"."""
    studies: int = 0
    """How many."""

    @property
    def is_calibrated(self) -> bool:
        """False: the score ranks studies and is no probability."""
        return self.method != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A threshold of the patient score, with what was measured there."""

    threshold: float
    """Of the score after its temperature; a study in which a lesion is reported counts as diseased from here on."""
    sensitivity: float
    specificity: float
    diseased: int
    """Studies that the sensitivity was measured on, each once, also where it was read in several ways."""
    healthy: int
    """Studies that the specificity was measured on, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientOperatingPoints:
    """The operating points of the patient score."""

    default: OperatingPoint
    """Its threshold is `Thresholds.patient_score`."""
    sensitivity_95: OperatingPoint | None = None
    """The highest threshold with a sensitivity of at least 95 %."""
    specificity_95: OperatingPoint | None = None
    """The lowest threshold with a specificity of at least 95 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFlips:
    """How many decisions bfloat16 turned against float32, on the golden case."""

    lung_pixels: int
    """That either of them calls lung."""
    lung_pixel_flips: int
    """Of the lung network: background, right or left."""
    lesion_voxels: int
    lesion_voxel_flips: int
    """Within the lungs: lesion or not."""
    slices: int
    slice_flips: int
    """Shows a lesion or not."""

    @property
    def largest_share(self) -> float:
        """Of the decisions of the kind that suffers most."""
        pairs = (
            (self.lung_pixel_flips, self.lung_pixels),
            (self.lesion_voxel_flips, self.lesion_voxels),
            (self.slice_flips, self.slices),
        )
        return max(flips / max(1, count) for flips, count in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A value of the lesion mask."""

    value: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Something the weights were trained on."""

    name: str
    licence: str
    attribution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPack:
    """A model pack whose files were all found as its description names them."""

    folder: Path
    name: str
    version: str
    sha256: str
    """Of the description, which holds the sha256 of every other file."""
    intended_use: str
    synthetic_training_only: bool
    """True for demo weights."""
    contract: InputContract
    """How a study is brought onto Space-Time-Net's grid."""
    thresholds: Thresholds
    patient_score: PatientScoreWeights
    """With the temperature of the calibration."""
    calibration: Calibration
    operating_points: PatientOperatingPoints | None
    """None: not measured."""
    labels: tuple[Label, ...]
    training_data: tuple[TrainingData, ...]
    lung_widths: tuple[int, ...]
    lung_neighbour_mm: float
    """0: the lung network sees each slice alone."""
    space_time: SpaceTimeConfig
    bfloat16: DecisionFlips | None
    """None: never measured."""
    files: tuple[str, ...]
    """Names of all files beside the description."""

    @property
    def has_golden_case(self) -> bool:
        """False for a pack of format 1."""
        return GOLDEN_EXPECTATION in self.files

    def load_lung_net(self, device: torch.device | str) -> LungNet:
        """The lung network with this pack's weights, ready to infer in float32.

        Raises:
            ModelPackError: The weights do not fit the network that the description names.
        """
        net = LungNet(self.lung_widths, neighbour_mm=self.lung_neighbour_mm)
        _load_weights(net, self.folder / LUNG_WEIGHTS)
        return net.to(device).eval().requires_grad_(requires_grad=False)

    def load_space_time_net(self, device: torch.device | str) -> SpaceTimeNet:
        """Space-Time-Net with this pack's weights, ready to infer in float32.

        Raises:
            ModelPackError: The weights do not fit the network that the description names.
        """
        net = SpaceTimeNet(self.space_time)
        _load_weights(net, self.folder / SPACE_TIME_WEIGHTS)
        return net.to(device).eval().requires_grad_(requires_grad=False)


def load_model_pack(folder: Path | None) -> ModelPack:
    """The model pack in `folder`, every file checked; None is the bundled demo pack.

    Raises:
        ModelPackError: With a sentence that says which file is at fault and what to do.
    """
    folder = folder or BUNDLED_PACK
    try:
        text = (folder / DESCRIPTION_FILE).read_bytes()
    except OSError as exc:
        message = f"{folder} holds no readable {DESCRIPTION_FILE}; set `[pipeline].model_pack` to a model pack folder"
        raise ModelPackError(message) from exc
    description = checked_description(text)
    _verify_names(description)
    _verify_files(folder, description.files)
    return _pack(folder, description, hashlib.sha256(text).hexdigest())


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify_names(description: PackDocument) -> None:
    """The description names the files that a pack of its format needs, each with its sha256."""
    missing = [name for name in _NEEDED_FILES[description.format] if name not in description.files]
    if missing:
        message = f"{DESCRIPTION_FILE} does not name {', '.join(missing)}; install the model pack again"
        raise ModelPackError(message)


def _verify_files(folder: Path, files: Mapping[str, str]) -> None:
    """Every named file is there, unchanged, and inside the pack."""
    for name, expected in files.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            message = f"the model pack lacks its file {name}; install the model pack again"
            raise ModelPackError(message)
        if file_sha256(path) != expected:
            message = f"the file {name} of the model pack was changed (sha256 differs); install the model pack again"
            raise ModelPackError(message)


def _pack(folder: Path, description: PackDocument, sha256: str) -> ModelPack:
    calibration = _calibration(description.calibration)
    weights = PatientScoreWeights(**description.patient_score.model_dump(), temperature=calibration.patient_temperature)
    return ModelPack(
        folder=folder,
        name=description.name,
        version=description.version,
        sha256=sha256,
        intended_use=description.intended_use,
        synthetic_training_only=description.synthetic_training_only,
        contract=InputContract(**description.input.model_dump()),
        thresholds=Thresholds(**description.thresholds.model_dump()),
        patient_score=weights,
        calibration=calibration,
        operating_points=_operating_points(description.operating_points),
        labels=tuple(Label(value=label.value, name=label.name) for label in description.labels),
        training_data=tuple(TrainingData(**data.model_dump()) for data in description.training_data),
        lung_widths=description.lungs.widths,
        lung_neighbour_mm=description.lungs.neighbour_mm,
        space_time=SpaceTimeConfig(**description.space_time.model_dump()),
        bfloat16=DecisionFlips(**description.bfloat16.model_dump()) if description.bfloat16 else None,
        files=tuple(sorted(description.files)),
    )


def _calibration(part: CalibrationPart | None) -> Calibration:
    return Calibration(**part.model_dump()) if part is not None else Calibration()


def _operating_points(part: OperatingPointsPart | None) -> PatientOperatingPoints | None:
    if part is None:
        return None
    return PatientOperatingPoints(
        default=OperatingPoint(**part.default.model_dump()),
        sensitivity_95=_operating_point(part.sensitivity_95),
        specificity_95=_operating_point(part.specificity_95),
    )


def _operating_point(part: OperatingPointPart | None) -> OperatingPoint | None:
    return OperatingPoint(**part.model_dump()) if part is not None else None


def _load_weights(net: nn.Module, path: Path) -> None:
    try:
        weights = load_file(path)
        net.load_state_dict({name: value.float() for name, value in weights.items()})
    except (OSError, RuntimeError, SafetensorError) as exc:
        message = (
            f"the weights in {path.name} do not fit the network that {DESCRIPTION_FILE} names; install the pack again"
        )
        raise ModelPackError(message) from exc
