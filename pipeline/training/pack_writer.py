"""Writes a model pack that `load_model_pack` accepts."""

import copy
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.detect import SpaceTimeDetector
from pipeline.errors import ModelPackError
from pipeline.golden import GoldenNetworks, decision_flips
from pipeline.lungs_net import LungNet
from pipeline.model_input import InputContract
from pipeline.model_pack import (
    GOLDEN_CASE,
    GOLDEN_EXPECTATION,
    LUNG_WEIGHTS,
    SPACE_TIME_WEIGHTS,
    Calibration,
    PatientOperatingPoints,
    Thresholds,
    TrainingData,
    file_sha256,
    load_model_pack,
)
from pipeline.pack_schema import LESION_LABELS, WRITTEN_FORMAT
from pipeline.pack_title import DESCRIPTION_FILE
from pipeline.patient_score import PatientScoreWeights
from pipeline.space_time import SpaceTimeNet
from pipeline.training.golden_case import render_golden_case, write_golden

logger = logging.getLogger(__name__)

Net = TypeVar("Net", bound=nn.Module)

MODEL_CARD, LICENCE, METADATA = "docs/README.md", "LICENSE", "configs/metadata.json"

FILES = (LICENCE, METADATA, MODEL_CARD, GOLDEN_EXPECTATION, GOLDEN_CASE, LUNG_WEIGHTS, SPACE_TIME_WEIGHTS)
"""Of a pack, beside its description."""

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
    calibration: Calibration = field(default_factory=Calibration)
    """Of the patient score; its temperature is the one that counts."""
    operating_points: PatientOperatingPoints | None = None
    """Of the patient score after its temperature; None: not measured."""
    intended_use: str = INTENDED_USE
    synthetic_training_only: bool = True
    changes: str = "first weights"
    """What is new in this version, one line."""


def write_pack(folder: Path, lung_net: LungNet, space_time_net: SpaceTimeNet, description: PackDescription) -> Path:
    """A complete model pack of the newest format in `folder`; gives the folder back.

    What else lies in the folder stays there and is no part of the pack.

    Raises:
        ModelPackError: Its parts contradict each other.
    """
    _check_temperature(description)
    for part in ("configs", "models", "docs"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _save_weights(folder / LUNG_WEIGHTS, lung_net)
    _save_weights(folder / SPACE_TIME_WEIGHTS, space_time_net)
    (folder / MODEL_CARD).write_text(description.model_card, encoding="utf-8")
    (folder / LICENCE).write_text(description.licence, encoding="utf-8")
    _write_json(folder / METADATA, _metadata(description))
    networks = _networks_as_stored(lung_net, space_time_net, description)
    write_golden(folder, networks)
    flips = decision_flips(networks, render_golden_case(), description.thresholds)
    hashes = {name: file_sha256(folder / name) for name in FILES}
    content = _content(description, lung_net, space_time_net)
    _write_json(folder / DESCRIPTION_FILE, {**content, "bfloat16": asdict(flips), "files": hashes})
    size_bytes = sum((folder / name).stat().st_size for name in FILES)
    logger.info("the model pack takes %.1f MB", size_bytes / 1e6)
    load_model_pack(folder)
    return folder


def _check_temperature(description: PackDescription) -> None:
    """The weights of the patient score carry no other temperature than the calibration."""
    given, calibrated = description.patient_score.temperature, description.calibration.patient_temperature
    if given not in (1.0, calibrated):
        reason = f"the patient score has temperature {given:g}, its calibration {calibrated:g}; give both the same"
        raise ModelPackError(reason)


def _networks_as_stored(
    lung_net: LungNet, space_time_net: SpaceTimeNet, description: PackDescription
) -> GoldenNetworks:
    """Both networks on the CPU, with their weights rounded as the pack rounds them."""
    net = _rounded(space_time_net)
    return GoldenNetworks(
        lung_net=_rounded(lung_net),
        detector=SpaceTimeDetector(net, contract=description.contract, thresholds=description.thresholds),
        device=torch.device("cpu"),
    )


def _rounded(net: Net) -> Net:
    return copy.deepcopy(net).cpu().half().float().eval()


def _save_weights(path: Path, net: nn.Module) -> None:
    """Half precision: a third decimal of a weight changes no finding, and the pack is half as large."""
    save_file({name: value.detach().cpu().half().contiguous() for name, value in net.state_dict().items()}, path)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _content(description: PackDescription, lung_net: LungNet, space_time_net: SpaceTimeNet) -> dict[str, object]:
    return {
        "format": WRITTEN_FORMAT,
        "name": description.name,
        "version": description.version,
        "intended_use": description.intended_use,
        "synthetic_training_only": description.synthetic_training_only,
        "lungs": {"widths": list(lung_net.widths), "neighbour_mm": lung_net.neighbour_mm},
        "space_time": asdict(space_time_net.config),
        "input": asdict(description.contract),
        "thresholds": asdict(description.thresholds),
        "patient_score": _without_temperature(description.patient_score),
        "calibration": asdict(description.calibration),
        "operating_points": asdict(description.operating_points) if description.operating_points else None,
        "labels": [{"value": value, "name": name} for value, name in LESION_LABELS],
        "training_data": [asdict(data) for data in description.training_data],
    }


def _without_temperature(weights: PatientScoreWeights) -> dict[str, float]:
    """The weights as they were fitted: the calibration tells the temperature."""
    return {name: value for name, value in asdict(weights).items() if name != "temperature"}


def _metadata(description: PackDescription) -> dict[str, object]:
    """MONAI's bundle metadata (docs.monai.io, "MONAI Bundle Specification")."""
    return {
        "version": description.version,
        "changelog": {description.version: description.changes},
        "pytorch_version": torch.__version__.split("+")[0],
        "name": description.name,
        "task": "Lungs and COVID-19-like lesions in chest CT",
        "description": description.intended_use,
        "authors": "The dicom-node authors",
        "copyright": "The dicom-node authors",
        "intended_use": description.intended_use,
        "network_data_format": {
            "inputs": {"image": {"type": "image", "format": "hounsfield", "num_channels": 4}},
            "outputs": {"pred": {"type": "image", "format": "segmentation", "num_channels": 3}},
        },
    }
