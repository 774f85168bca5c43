"""The loop that all trainings share: steps, curves, checkpoints, saved epochs."""

import copy
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from pipeline.training.checkpoints import (
    TrainingState,
    gradient_step,
    learning_rate_share,
    restore_checkpoint,
    save_checkpoint,
)
from pipeline.training.epochs import save_epoch

logger = logging.getLogger(__name__)

LOG_EVERY = 50

LUNGS = "lungs"
"""What the files of the lung network are called."""

Progress = Callable[[str, float], None]
"""Called with what is being done and how far it is, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPlan:
    """How long one network is trained, and where its traces go."""

    name: str
    """Of its files: checkpoints/NAME.pt, epochs/NAME, logs/NAME below the cache."""
    title: str
    """What progress calls it."""
    cache: Path
    steps: int
    learning_rate: float
    epoch_steps: int
    """An epoch is so many steps: the data are drawn at random, not gone through."""
    checkpoint_every: int

    @property
    def checkpoint(self) -> Path:
        """From which a stopped run goes on."""
        return checkpoint_path(self.cache, self.name)

    @property
    def epochs(self) -> Path:
        """Folder of the last epochs."""
        return self.cache / "epochs" / self.name

    @property
    def logs(self) -> Path:
        """Folder for TensorBoard."""
        return self.cache / "logs" / self.name


def checkpoint_path(cache: Path, name: str) -> Path:
    """Where a network of a cache has its checkpoint."""
    return cache / "checkpoints" / f"{name}.pt"


def new_state(net: nn.Module) -> TrainingState:
    """A network at the beginning of its training."""
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-4)
    return TrainingState(net=net, averaged=copy.deepcopy(net), optimiser=optimiser)


def run_loop(
    state: TrainingState,
    plan: LoopPlan,
    *,
    step_loss: Callable[[int], Tensor],
    validation_loss: Callable[[nn.Module], float] | None,
    on_progress: Progress,
) -> None:
    """Trains until the plan's last step; goes on from its checkpoint, without one drops the epochs of a training before.

    Args:
        state: Of the network; trained in place.
        plan: See there.
        step_loss: Loss of a step, by its number from 0; the same number gives the same batch.
        validation_loss: Loss of the averaged weights on cases that are not trained on; None saves no epochs.
        on_progress: Told after each step.
    """
    restore_checkpoint(plan.checkpoint, state)
    if not state.step:
        # Else the last epochs of the longer training would be kept, whichever it was.
        shutil.rmtree(plan.epochs, ignore_errors=True)
    with SummaryWriter(str(plan.logs), purge_step=state.step) as curves:
        while state.step < plan.steps:
            rate = learning_rate_share(state.step, plan.steps) * plan.learning_rate
            loss = step_loss(state.step)
            gradient_step(state, loss, rate)
            if state.step % LOG_EVERY == 1:
                _log_step(curves, plan, state.step, float(loss.detach()), rate)
            if validation_loss and state.step % plan.epoch_steps == 0:
                _end_epoch(curves, plan, state, validation_loss(state.averaged))
            if state.step % plan.checkpoint_every == 0 or state.step == plan.steps:
                save_checkpoint(plan.checkpoint, state)
            on_progress(plan.title, state.step / plan.steps)


def _log_step(curves: SummaryWriter, plan: LoopPlan, step: int, loss: float, rate: float) -> None:
    logger.info("%s step %d loss %.4f", plan.name, step, loss)
    curves.add_scalar("loss", loss, step)
    curves.add_scalar("learning rate", rate, step)


def _end_epoch(curves: SummaryWriter, plan: LoopPlan, state: TrainingState, loss: float) -> None:
    epoch = state.step // plan.epoch_steps
    logger.info("%s epoch %d validation loss %.4f", plan.name, epoch, loss)
    curves.add_scalar("validation loss", loss, state.step)
    save_epoch(plan.epochs, epoch, state.averaged, loss)
