"""Writes a model pack that `load_model_pack` accepts."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.lungs_net import LungNet
from pipeline.model_input import InputContract
from pipeline.model_pack import (
    DESCRIPTION_FILE,
    LUNG_WEIGHTS,
    PACK_FORMAT,
    SPACE_TIME_WEIGHTS,
    Label,
    Thresholds,
    TrainingData,
    file_sha256,
)
from pipeline.patient_score import PatientScoreWeights
from pipeline.space_time import SpaceTimeNet

LABELS = (
    Label(value=1, name="ground_glass"),
    Label(value=2, name="consolidation"),
)

INTENDED_USE = "Research and demonstration. Trained on synthetic lesions only; not for diagnostic use."


@dataclass(frozen=True, slots=True, kw_only=True)
class PackDescription:
    """What a model pack says besides its weights."""

    name: str
    version: str
    contract: InputContract
    thresholds: Thresholds
    patient_score: PatientScoreWeights
    training_data: tuple[TrainingData, ...]
    model_card: str
    """Markdown."""
    licence: str
    """Text of the licence of the weights."""


def write_pack(folder: Path, lung_net: LungNet, space_time_net: SpaceTimeNet, description: PackDescription) -> Path:
    """A complete model pack in `folder`; gives the folder back."""
    for part in ("configs", "models", "docs"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _save_weights(folder / LUNG_WEIGHTS, lung_net)
    _save_weights(folder / SPACE_TIME_WEIGHTS, space_time_net)
    (folder / "docs" / "README.md").write_text(description.model_card, encoding="utf-8")
    (folder / "LICENSE").write_text(description.licence, encoding="utf-8")
    _write_json(folder / "configs" / "metadata.json", _metadata(description))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DESCRIPTION_FILE)
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    _write_json(folder / DESCRIPTION_FILE, _content(description, lung_net, space_time_net, hashes))
    return folder


def _save_weights(path: Path, net: nn.Module) -> None:
    """Half precision: a third decimal of a weight changes no finding, and the pack is half as large."""
    save_file({name: value.detach().cpu().half().contiguous() for name, value in net.state_dict().items()}, path)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _content(
    description: PackDescription, lung_net: LungNet, space_time_net: SpaceTimeNet, hashes: dict[str, str]
) -> dict[str, object]:
    return {
        "format": PACK_FORMAT,
        "name": description.name,
        "version": description.version,
        "intended_use": INTENDED_USE,
        "synthetic_training_only": True,
        "lungs": {"widths": list(lung_net.widths)},
        "space_time": asdict(space_time_net.config),
        "input": asdict(description.contract),
        "thresholds": asdict(description.thresholds),
        "patient_score": asdict(description.patient_score),
        "labels": [asdict(label) for label in LABELS],
        "training_data": [asdict(data) for data in description.training_data],
        "files": hashes,
    }


def _metadata(description: PackDescription) -> dict[str, object]:
    """MONAI's bundle metadata (docs.monai.io, "MONAI Bundle Specification")."""
    return {
        "version": description.version,
        "changelog": {description.version: "first weights"},
        "pytorch_version": torch.__version__.split("+")[0],
        "name": description.name,
        "task": "Lungs and COVID-19-like lesions in chest CT",
        "description": INTENDED_USE,
        "authors": "The dicom-node authors",
        "copyright": "The dicom-node authors",
        "intended_use": INTENDED_USE,
        "network_data_format": {
            "inputs": {"image": {"type": "image", "format": "hounsfield", "num_channels": 4}},
            "outputs": {"pred": {"type": "image", "format": "segmentation", "num_channels": 3}},
        },
    }
