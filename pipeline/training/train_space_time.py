"""Training of Space-Time-Net."""

import copy
import logging
from collections.abc import Callable

import torch

from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet
from pipeline.training.cases import Case
from pipeline.training.checkpoints import (
    TrainingState,
    gradient_step,
    learning_rate_share,
    restore_checkpoint,
    save_checkpoint,
    step_generator,
)
from pipeline.training.config import SpaceTimeTraining, TrainingConfig
from pipeline.training.losses import sequence_loss
from pipeline.training.sequences import SequenceBatch, sample_batch

logger = logging.getLogger(__name__)

LOG_EVERY = 50


def train_space_time(
    config: TrainingConfig, phantoms: list[Case], real: list[Case], *, on_progress: Callable[[str, float], None]
) -> SpaceTimeNet:
    """Space-Time-Net after all steps, its averaged weights; goes on from the checkpoint in the cache."""
    torch.manual_seed(config.seed)
    net = SpaceTimeNet(network_config(config.space_time))
    averaged = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-4)
    state = TrainingState(net=net, averaged=averaged, optimiser=optimiser)
    checkpoint = config.cache / "checkpoints" / "space-time.pt"
    restore_checkpoint(checkpoint, state)
    steps = config.space_time.steps
    running = 0.0
    while state.step < steps:
        batch = sample_batch(phantoms, real, config.space_time, step_generator(config.seed, state.step))
        share = learning_rate_share(state.step, steps)
        loss = train_step(state, net, batch, share * config.space_time.learning_rate)
        running = loss if running == 0.0 else 0.98 * running + 0.02 * loss
        if state.step % LOG_EVERY == 0:
            logger.info("space-time step %d loss %.4f", state.step, running)
        if state.step % config.checkpoint_every == 0 or state.step == steps:
            save_checkpoint(checkpoint, state)
        on_progress("training Space-Time-Net", state.step / steps)
    return averaged.eval()


def train_step(state: TrainingState, net: SpaceTimeNet, batch: SequenceBatch, learning_rate: float) -> float:
    """One step on one batch; the loss before it."""
    with torch.autocast("cpu", torch.bfloat16):
        outputs = net.forward_batch(batch.sequence, batch.valid, batch.gap_days)
    loss = sequence_loss(outputs, batch.kinds, batch.boxes)
    gradient_step(state, loss, learning_rate)
    return float(loss.detach())


def network_config(settings: SpaceTimeTraining) -> SpaceTimeConfig:
    """The network that a training run asks for."""
    return SpaceTimeConfig(
        widths=settings.widths, hidden=settings.hidden, bidirectional_time=settings.bidirectional_time
    )
