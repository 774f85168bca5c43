"""Training of the lung network."""

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.losses.dice import DiceCELoss
from torch import Tensor

from pipeline.lungs_net import INPUT_PIXELS, LungNet
from pipeline.training import augment
from pipeline.training.checkpoints import (
    TrainingState,
    gradient_step,
    learning_rate_share,
    restore_checkpoint,
    save_checkpoint,
    step_generator,
)
from pipeline.training.config import TrainingConfig

logger = logging.getLogger(__name__)

LOG_EVERY = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungSlices:
    """Whole slices on the lung network's grid."""

    images: Tensor
    """float16 (n, 256, 256) in 0..1."""
    labels: Tensor
    """uint8 (n, 256, 256)."""


def load_lung_slices(folder: Path) -> LungSlices:
    """All slices below a folder of cases."""
    parts = [np.load(path) for path in sorted(folder.glob("*/lungs.npz"))]
    if not parts:
        nothing = torch.zeros((0, INPUT_PIXELS, INPUT_PIXELS))
        return LungSlices(images=nothing.half(), labels=nothing.to(torch.uint8))
    return LungSlices(
        images=torch.from_numpy(np.concatenate([part["images"] for part in parts])),
        labels=torch.from_numpy(np.concatenate([part["labels"] for part in parts])),
    )


def train_lungs(
    config: TrainingConfig, phantoms: LungSlices, real: LungSlices, *, on_progress: Callable[[str, float], None]
) -> LungNet:
    """The lung network after all steps, its averaged weights; goes on from the checkpoint in the cache."""
    torch.manual_seed(config.seed)
    net = LungNet()
    state = TrainingState(
        net=net, averaged=copy.deepcopy(net), optimiser=torch.optim.AdamW(net.parameters(), weight_decay=1e-4)
    )
    checkpoint = config.cache / "checkpoints" / "lungs.pt"
    restore_checkpoint(checkpoint, state)
    criterion = DiceCELoss(to_onehot_y=True, softmax=True)
    while state.step < config.lungs.steps:
        images, labels = _batch(config, phantoms, real, state.step)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(images)
        loss: Tensor = criterion(logits.float(), labels.unsqueeze(1))
        share = learning_rate_share(state.step, config.lungs.steps)
        gradient_step(state, loss, share * config.lungs.learning_rate)
        if state.step % LOG_EVERY == 0:
            logger.info("lungs step %d loss %.4f", state.step, float(loss.detach()))
        if state.step % config.checkpoint_every == 0 or state.step == config.lungs.steps:
            save_checkpoint(checkpoint, state)
        on_progress("training the lung network", state.step / config.lungs.steps)
    averaged = state.averaged
    if not isinstance(averaged, LungNet):
        raise TypeError
    return averaged.eval()


def _batch(config: TrainingConfig, phantoms: LungSlices, real: LungSlices, step: int) -> tuple[Tensor, Tensor]:
    """Images (B, 1, 256, 256) and labels (B, 256, 256), every change at random."""
    generator = step_generator(config.seed, step)
    count_real = round(config.lungs.batch * config.lungs.real_share) if len(real.images) else 0
    picked = [_picked(real, count_real, generator), _picked(phantoms, config.lungs.batch - count_real, generator)]
    images = torch.cat([images for images, _ in picked]).float().unsqueeze(1)
    labels = torch.cat([labels for _, labels in picked]).long()
    images, labels = augment.placed(images, labels, augment.random_placement(generator, len(images)))
    if augment.chance(generator, 0.25):
        images = augment.with_opacities(images, labels, generator)
    if augment.chance(generator, 0.35):
        images = augment.with_gas(images, labels, generator)
    if augment.chance(generator, 0.4):
        images = augment.coarsened(images, generator)
    if augment.chance(generator, 0.25):
        images, labels = augment.cropped_view(images, labels, generator)
    return augment.regraded(images, generator), labels


def _picked(slices: LungSlices, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    index = torch.randint(len(slices.images), (count,), generator=generator) if count else torch.zeros(0).long()
    return slices.images[index], slices.labels[index]
