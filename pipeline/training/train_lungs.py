"""Training of the lung network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.losses.dice import DiceCELoss
from torch import Tensor

from pipeline.device import choose_device
from pipeline.lungs_net import INPUT_PIXELS, NEIGHBOUR_MM, NEIGHBOURS, LungNet
from pipeline.model_pack import load_model_pack
from pipeline.training import augment
from pipeline.training.checkpoints import step_generator
from pipeline.training.config import TrainingConfig
from pipeline.training.drawn_ahead import drawn_ahead
from pipeline.training.loop import LoopPlan, Progress, new_state, run_loop
from pipeline.training.train_space_time import TrainingStartError

MIDDLE = 1
"""Of the three slices of a stack the one whose lungs are asked for."""

MIRRORED_SHARE = 0.4
"""Of the steps: a few chests have few domes, and these have twice as many. A side is told by where it lies."""

ALONE_SHARE = 0.1
"""Of the steps, in which a slice has itself for its neighbours, as at the ends of a series or in a series of one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungSlices:
    """Whole slices on the lung network's grid, each between its neighbours."""

    images: Tensor
    """float16 (n, 3, 256, 256) in 0..1."""
    labels: Tensor
    """uint8 (n, 3, 256, 256)."""


def load_lung_slices(folder: Path) -> LungSlices:
    """All slices below a folder of cases."""
    parts = [np.load(path) for path in sorted(folder.glob("*/lungs.npz"))]
    if not parts:
        nothing = torch.zeros((0, NEIGHBOURS, INPUT_PIXELS, INPUT_PIXELS))
        return LungSlices(images=nothing.half(), labels=nothing.to(torch.uint8))
    return LungSlices(
        images=torch.from_numpy(np.concatenate([part["images"] for part in parts])),
        labels=torch.from_numpy(np.concatenate([part["labels"] for part in parts])),
    )


def train_lungs(config: TrainingConfig, phantoms: LungSlices, real: LungSlices, *, on_progress: Progress) -> LungNet:
    """The lung network after all steps, its averaged weights; goes on from the checkpoint in the cache."""
    torch.manual_seed(config.seed)
    device = choose_device(config.device)
    net = LungNet(neighbour_mm=NEIGHBOUR_MM)
    if config.lungs.start_from is not None:
        take_over(net, load_model_pack(config.lungs.start_from).load_lung_net("cpu"))
    state = new_state(net.to(device))
    criterion = DiceCELoss(to_onehot_y=True, softmax=True)

    def draw(step: int) -> tuple[Tensor, Tensor]:
        return _batch(config, phantoms, real, step)

    drawn = drawn_ahead(draw, config.lungs.steps, config.loaders)

    def step_loss(step: int) -> Tensor:
        images, labels = (tensor.to(device) for tensor in drawn(step))
        with torch.autocast(device.type, torch.bfloat16):
            logits = net(images)
        loss: Tensor = criterion(logits.float(), labels[:, MIDDLE : MIDDLE + 1])
        return loss

    run_loop(state, _plan(config), step_loss=step_loss, validation_loss=None, on_progress=on_progress)
    averaged = state.averaged
    if not isinstance(averaged, LungNet):
        raise TypeError
    return averaged.cpu().eval()


def take_over(net: LungNet, known: LungNet) -> None:
    """The weights of a network; one that saw slices alone goes on seeing nothing in their neighbours, until it learns.

    Raises:
        TrainingStartError: The network that is known has other widths.
    """
    if known.widths != net.widths:
        reason = f"its lung network has the widths {known.widths}, and {net.widths} are trained here; use another pack"
        raise TrainingStartError(reason)
    weights = dict(known.state_dict())
    first = next(iter(weights))
    if known.slices_seen < net.slices_seen:
        alone = weights[first]
        weights[first] = alone.new_zeros((len(alone), net.slices_seen * alone.shape[1], *alone.shape[2:]))
        weights[first][:, MIDDLE * alone.shape[1] : (MIDDLE + 1) * alone.shape[1]] = alone
    net.load_state_dict(weights)


def _plan(config: TrainingConfig) -> LoopPlan:
    return LoopPlan(
        name="lungs",
        title="training the lung network",
        cache=config.cache,
        steps=config.lungs.steps,
        learning_rate=config.lungs.learning_rate,
        epoch_steps=config.lungs.steps,
        checkpoint_every=config.checkpoint_every,
    )


def _batch(config: TrainingConfig, phantoms: LungSlices, real: LungSlices, step: int) -> tuple[Tensor, Tensor]:
    """Images and labels (B, 3, 256, 256), every change at random."""
    generator = step_generator(config.seed, step)
    count_real = round(config.lungs.batch * config.lungs.real_share) if len(real.images) else 0
    picked = [_picked(real, count_real, generator), _picked(phantoms, config.lungs.batch - count_real, generator)]
    images = torch.cat([images for images, _ in picked]).float()
    labels = torch.cat([labels for _, labels in picked]).long()
    placement, bend = augment.random_placement(generator, len(images)), augment.random_bend(generator, len(images))
    images, labels = augment.placed(images, labels, placement, bend)
    if augment.chance(generator, MIRRORED_SHARE):
        images, labels = augment.mirrored(images, labels)
    if augment.chance(generator, 0.35):
        images = augment.with_opacities(images, labels, generator)
    if augment.chance(generator, 0.35):
        images = augment.with_gas(images, labels, generator)
    if augment.chance(generator, 0.4):
        images = augment.coarsened(images, generator)
    if augment.chance(generator, 0.25):
        images, labels = augment.cropped_view(images, labels, generator)
    if augment.chance(generator, ALONE_SHARE):
        images = images[:, MIDDLE : MIDDLE + 1].expand_as(images)
    return augment.regraded(images, generator), labels


def _picked(slices: LungSlices, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    index = torch.randint(len(slices.images), (count,), generator=generator) if count else torch.zeros(0).long()
    return slices.images[index], slices.labels[index]
