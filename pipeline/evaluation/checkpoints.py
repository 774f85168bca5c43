"""The saved weights of a detector that is evaluated."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from pipeline.baselines.build import BaselineKind, build_baseline
from pipeline.baselines.detector import BaselineDetector
from pipeline.evaluation.config import ModelConfig, ModelKind, NetworkShape
from pipeline.evaluation.detector import Detector
from pipeline.evaluation.errors import EvaluationError
from pipeline.evaluation.space_time_detector import SpaceTimeDetector
from pipeline.model_pack import load_model_pack
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet
from pipeline.training.epochs import load_epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One state of one detector's weights."""

    model: ModelConfig
    weights: Path
    """A state dict, or a model pack."""
    label: str
    """Which epoch, with the beginning of the weights' sha256, so that weights trained anew are read anew."""
    validation_loss: float | None
    """None: a model pack does not tell."""


def checkpoints_of(model: ModelConfig) -> tuple[Checkpoint, ...]:
    """All of a model's checkpoints, the one with the lowest validation loss first.

    Raises:
        EvaluationError: There are none.
    """
    if model.pack is not None:
        digest = load_model_pack(model.pack).sha256[:8]
        return (Checkpoint(model=model, weights=model.pack, label=f"pack-{digest}", validation_loss=None),)
    saved = load_epochs(model.epochs) if model.epochs else ()
    if not saved:
        reason = f"{model.name}: no saved epochs in {model.epochs}; train it first, or leave it out with --only"
        raise EvaluationError(reason)
    return tuple(
        Checkpoint(
            model=model,
            weights=epoch.path,
            label=f"epoch-{epoch.epoch:04}-{_digest(epoch.path)}",
            validation_loss=epoch.validation_loss,
        )
        for epoch in sorted(saved, key=lambda epoch: epoch.validation_loss)
    )


def load_detector(checkpoint: Checkpoint, device: str) -> Detector:
    """The detector with these weights.

    Raises:
        EvaluationError: The weights do not fit the network that the configuration names.
    """
    model = checkpoint.model
    if model.pack is not None:
        return SpaceTimeDetector(model.name, load_model_pack(model.pack).load_space_time_net(device))
    shape = _space_time_config(model.network, model.kind)
    if not model.kind.looks_back:
        baseline = build_baseline(BaselineKind(model.kind), shape)
        _load(baseline, checkpoint)
        return BaselineDetector(model.name, baseline.to(device))
    net = SpaceTimeNet(shape)
    _load(net, checkpoint)
    return SpaceTimeDetector(model.name, net.to(device))


def _space_time_config(shape: NetworkShape, kind: ModelKind) -> SpaceTimeConfig:
    return SpaceTimeConfig(
        widths=shape.widths,
        hidden=shape.hidden,
        mask_width=shape.mask_width,
        difference_input=shape.difference_input,
        bidirectional_time=kind is ModelKind.SPACE_TIME_2,
    )


def _load(net: nn.Module, checkpoint: Checkpoint) -> None:
    try:
        net.load_state_dict(torch.load(checkpoint.weights, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, UnpicklingError) as exc:
        reason = f"{checkpoint.model.name}: {checkpoint.weights.name} does not fit the network: {str(exc)[:200]}"
        raise EvaluationError(reason) from exc


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
