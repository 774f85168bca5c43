"""The model pack: weights with everything a node must know to use them.

A folder laid out like a MONAI bundle:

    stnet.json                   shape of the networks, input contract, thresholds, licences, sha256 of every other file
    configs/metadata.json        for software that reads MONAI bundles
    models/lungs.safetensors
    models/space_time.safetensors
    docs/README.md               model card: what the weights saw, what they were measured to do
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pipeline.errors import ModelPackError
from pipeline.lungs_net import LungNet
from pipeline.model_input import InputContract
from pipeline.patient_score import PatientScoreWeights
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet

PACK_FORMAT = 1
"""Number in `stnet.json` that this software reads."""

DESCRIPTION_FILE = "stnet.json"
LUNG_WEIGHTS = "models/lungs.safetensors"
SPACE_TIME_WEIGHTS = "models/space_time.safetensors"

BUNDLED_PACK = Path(__file__).parent / "weights" / "demo"
"""Demo weights, trained on synthetic lesions only."""


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
    labels: tuple[Label, ...]
    training_data: tuple[TrainingData, ...]
    lung_widths: tuple[int, ...]
    space_time: SpaceTimeConfig

    def load_lung_net(self, device: torch.device | str) -> LungNet:
        """The lung network with this pack's weights, ready to infer in float32.

        Raises:
            ModelPackError: The weights do not fit the network that the description names.
        """
        net = LungNet(self.lung_widths)
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
    description = _parsed(text)
    _verify_files(folder, description.get("files"))
    try:
        return _pack(folder, description, hashlib.sha256(text).hexdigest())
    except (KeyError, TypeError, ValueError) as exc:
        message = f"{DESCRIPTION_FILE} lacks or misstates {exc}; install a model pack made for this version"
        raise ModelPackError(message) from exc


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        description = json.loads(text)
    except ValueError as exc:
        message = f"{DESCRIPTION_FILE} is not valid JSON; install the model pack again"
        raise ModelPackError(message) from exc
    found = description.get("format") if isinstance(description, dict) else None
    if found != PACK_FORMAT:
        message = f"model pack format {found!r} is not {PACK_FORMAT}; install a model pack made for this version"
        raise ModelPackError(message)
    return dict(description)


def _verify_files(folder: Path, files: object) -> None:
    """Every named file is there, unchanged, and inside the pack; both weight files are named."""
    if not isinstance(files, dict) or not {LUNG_WEIGHTS, SPACE_TIME_WEIGHTS} <= files.keys():
        message = f"{DESCRIPTION_FILE} does not name both weight files; install the model pack again"
        raise ModelPackError(message)
    for name, expected in files.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            message = f"the model pack lacks its file {name}; install the model pack again"
            raise ModelPackError(message)
        if file_sha256(path) != expected:
            message = f"the file {name} of the model pack was changed (sha256 differs); install the model pack again"
            raise ModelPackError(message)


def _pack(folder: Path, description: dict[str, Any], sha256: str) -> ModelPack:
    space_time = dict(description["space_time"])
    return ModelPack(
        folder=folder,
        name=str(description["name"]),
        version=str(description["version"]),
        sha256=sha256,
        intended_use=str(description["intended_use"]),
        synthetic_training_only=bool(description["synthetic_training_only"]),
        contract=InputContract(**{**description["input"], "channels": tuple(description["input"]["channels"])}),
        thresholds=Thresholds(**description["thresholds"]),
        patient_score=PatientScoreWeights(**description["patient_score"]),
        labels=tuple(Label(**label) for label in description["labels"]),
        training_data=tuple(TrainingData(**data) for data in description["training_data"]),
        lung_widths=tuple(int(width) for width in description["lungs"]["widths"]),
        space_time=SpaceTimeConfig(**{**space_time, "widths": tuple(space_time["widths"])}),
    )


def _load_weights(net: nn.Module, path: Path) -> None:
    try:
        weights = load_file(path)
        net.load_state_dict({name: value.float() for name, value in weights.items()})
    except (OSError, RuntimeError, SafetensorError) as exc:
        message = (
            f"the weights in {path.name} do not fit the network that {DESCRIPTION_FILE} names; install the pack again"
        )
        raise ModelPackError(message) from exc
