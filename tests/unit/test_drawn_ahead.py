"""Batches that other processes draw are those that this one would draw."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from builders.training_cases import save_small_cases
from pipeline.training.cases import load_cases
from pipeline.training.config import LungTraining, SpaceTimeTraining, TrainingConfig
from pipeline.training.drawn_ahead import drawn_ahead
from pipeline.training.train_lungs import load_lung_slices, train_lungs
from pipeline.training.train_space_time import train_space_time

STEPS = 4
TINY = SpaceTimeTraining(steps=STEPS, batch=1, slices=3, crop=(32, 32), hidden=8, widths=(8, 8, 16, 16))
LOADERS = 2

Weights = Callable[[Path, TrainingConfig], list[Tensor]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tiny_config(cache: Path, loaders: int) -> TrainingConfig:
    """A run of seconds."""
    return TrainingConfig(
        cache=cache, threads=1, loaders=loaders, lungs=LungTraining(steps=STEPS, batch=1), space_time=TINY
    )


def lung_weights(cases: Path, config: TrainingConfig) -> list[Tensor]:
    """Of a lung network that was trained on what is in a folder."""
    slices = load_lung_slices(cases)
    return list(train_lungs(config, slices, slices, on_progress=lambda *_: None).parameters())


def space_time_weights(cases: Path, config: TrainingConfig) -> list[Tensor]:
    """Of a Space-Time-Net."""
    found = load_cases(cases)
    return list(train_space_time(config, found, [], [], on_progress=lambda *_: None).parameters())


@pytest.mark.parametrize("weights", [lung_weights, space_time_weights])
def test_a_training_comes_to_the_same_weights(tmp_path: Path, weights: Weights) -> None:
    """Whoever draws the batches."""
    save_small_cases(tmp_path / "cases", 2)
    alone, ahead = (weights(tmp_path / "cases", tiny_config(tmp_path / str(n), n)) for n in (0, LOADERS))
    for one, other in zip(alone, ahead, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_batches_come_in_order_from_other_processes() -> None:
    """Also to a training that goes on from its third step."""
    drawn = drawn_ahead(lambda step: (step, os.getpid()), 12, LOADERS)
    batches = [drawn(step) for step in range(2, 12)]
    assert [number for number, _ in batches] == list(range(2, 12))
    drew = {process for _, process in batches}
    assert len(drew) == LOADERS
    assert os.getpid() not in drew


def test_a_step_that_cannot_be_drawn_says_why() -> None:
    """The error of the other process reaches this one."""

    def draw(step: int) -> int:
        raise ValueError(step)

    with pytest.raises(ValueError, match="ValueError"):
        drawn_ahead(draw, 3, LOADERS)(0)
