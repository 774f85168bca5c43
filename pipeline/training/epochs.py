"""The last epochs of a training, each with its validation loss."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

EPOCHS_KEPT = 5
"""Liu et al. average their figures over five saved epochs."""

_LOSSES = "epochs.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedEpoch:
    """Averaged weights at the end of an epoch."""

    path: Path
    """A state dict."""
    epoch: int
    """From 1."""
    validation_loss: float


def save_epoch(folder: Path, epoch: int, averaged: nn.Module, validation_loss: float) -> None:
    """Adds an epoch, drops the sixth last; a stop in the middle leaves what was there before."""
    folder.mkdir(parents=True, exist_ok=True)
    path = _weights_path(folder, epoch)
    unfinished = path.with_suffix(".unfinished")
    torch.save(averaged.state_dict(), unfinished)
    unfinished.replace(path)
    losses = {**_losses(folder), epoch: validation_loss}
    kept = dict(sorted(losses.items())[-EPOCHS_KEPT:])
    _write(folder, kept)
    for old in losses.keys() - kept.keys():
        _weights_path(folder, old).unlink(missing_ok=True)


def load_epochs(folder: Path) -> tuple[SavedEpoch, ...]:
    """The epochs in a folder, oldest first; empty where there are none."""
    return tuple(
        SavedEpoch(path=_weights_path(folder, epoch), epoch=epoch, validation_loss=loss)
        for epoch, loss in sorted(_losses(folder).items())
    )


def _weights_path(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:04}.pt"


def _losses(folder: Path) -> dict[int, float]:
    path = folder / _LOSSES
    if not path.is_file():
        return {}
    return {int(epoch): float(loss) for epoch, loss in json.loads(path.read_text(encoding="utf-8")).items()}


def _write(folder: Path, losses: dict[int, float]) -> None:
    unfinished = folder / f"{_LOSSES}.unfinished"
    unfinished.write_text(json.dumps(losses), encoding="utf-8")
    unfinished.replace(folder / _LOSSES)
