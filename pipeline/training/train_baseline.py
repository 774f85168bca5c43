"""Training of the detectors that Space-Time-Net is compared with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from pipeline.baselines.anchors import fitted_shapes
from pipeline.baselines.build import BaselineKind, build_baseline
from pipeline.baselines.errors import BaselineError
from pipeline.baselines.net import BaselineNet
from pipeline.baselines.yolo import YoloNet
from pipeline.device import choose_device
from pipeline.space_time import SpaceTimeConfig
from pipeline.training.cases import Case
from pipeline.training.checkpoints import step_generator
from pipeline.training.config import SpaceTimeTraining, TrainingConfig
from pipeline.training.drawn_ahead import drawn_ahead
from pipeline.training.loop import LoopPlan, Progress, new_state, run_loop
from pipeline.training.losses import UNKNOWN_KIND
from pipeline.training.sequences import SequenceBatch, sample_batch
from pipeline.training.train_space_time import VALIDATION_BATCHES, VALIDATION_SEED

ANCHOR_BATCHES = 60
"""Whose boxes the anchors of YOLOv3 are fitted to."""

ANCHOR_SEED = 800_000

TOUCHING = np.ones((3, 3, 3))
"""Voxels touch along sides and at corners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineTraining:
    """One baseline, trained on what Space-Time-Net is trained on."""

    kind: BaselineKind
    config: TrainingConfig
    """Batches, steps, learning rate and widths are those of its `space_time`."""
    encoder_from: Path | None = None
    """State dict of a Space-Time-Net whose encoder is trained on; None starts from random weights."""

    @property
    def plan(self) -> LoopPlan:
        """Lengths and places: epochs/faster-rcnn below the cache, and the like."""
        settings = self.config.space_time
        return LoopPlan(
            name=self.kind.value,
            title=f"training {self.kind.written}",
            cache=self.config.cache,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            epoch_steps=settings.epoch_steps,
            checkpoint_every=self.config.checkpoint_every,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceBatch:
    """All slices of a batch of sequences, each for itself."""

    images: Tensor
    """(N, 4, H, W)."""
    boxes: Tensor
    """(N, M, 4) with rows of nan."""


def train_baseline(
    training: BaselineTraining,
    phantoms: list[Case],
    real: list[Case],
    validation: list[Case],
    *,
    on_progress: Progress,
) -> BaselineNet:
    """A baseline after all steps, its averaged weights; goes on from the checkpoint in the cache.

    Raises:
        BaselineError: torchvision is not installed, or the encoder's weights do not fit.
    """
    config, settings = training.config, training.config.space_time
    torch.manual_seed(config.seed)
    device = choose_device(config.device)
    net = build_baseline(training.kind, SpaceTimeConfig(widths=settings.widths))
    if training.encoder_from is not None:
        take_encoder(net, training.encoder_from)
    if isinstance(net, YoloNet):
        net.anchors.copy_(anchors_of(phantoms, real, settings, len(net.anchors)))
    state = new_state(net.to(device))

    def draw(step: int) -> SliceBatch:
        return slices_of(sample_batch(phantoms, real, settings, step_generator(config.seed, step)))

    drawn = drawn_ahead(draw, settings.steps, config.loaders)

    run_loop(
        state,
        training.plan,
        step_loss=lambda step: batch_loss(net, drawn(step), device, seed=step),
        validation_loss=validation_of(validation, settings, device) if validation else None,
        on_progress=on_progress,
    )
    averaged = state.averaged
    if not isinstance(averaged, BaselineNet):
        raise TypeError
    return averaged.cpu().eval()


def batch_loss(net: nn.Module, batch: SliceBatch, device: torch.device, *, seed: int) -> Tensor:
    """Loss of a baseline on some slices, convolutions in bfloat16.

    Args:
        net: A `BaselineNet`.
        batch: On any device.
        device: Of the network.
        seed: Of the samples that Faster R-CNN draws among its proposals, so that a resumed run draws the same.
    """
    if not isinstance(net, BaselineNet):
        raise TypeError
    if not len(batch.images):
        return 0.0 * next(net.parameters()).sum()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.autocast(device.type, torch.bfloat16):
        torch.manual_seed(seed)
        return net.losses(batch.images.to(device), batch.boxes.to(device))


def slices_of(batch: SequenceBatch) -> SliceBatch:
    """What a detector that reads slices may learn from: all studies, except slices that show nothing of theirs or of
    which nobody said everything.

    The faint border of a lesion, of which nobody says either, leaves its slice in, also above and below the lesion.
    """
    most = max(boxes.shape[1] for boxes in batch.boxes)
    padded = [functional.pad(boxes, (0, 0, 0, most - boxes.shape[1]), value=torch.nan) for boxes in batch.boxes]
    valid = batch.valid.flatten(0, 2)
    images = batch.sequence.flatten(0, 2) * valid
    blocks = batch.kinds.reshape(-1, batch.sequence.shape[2], *batch.kinds.shape[2:])
    known = torch.cat([_says_everything(block) for block in blocks])
    useful = known & (valid.flatten(1).amax(dim=1) > 0)
    return SliceBatch(images=images[useful], boxes=torch.cat(padded)[useful])


def _says_everything(kinds: Tensor) -> Tensor:
    """Of each slice (Z,) of a study (Z, H, W), whether all of it that is not known belongs to what touches a lesion."""
    unknown = (kinds == UNKNOWN_KIND).numpy()
    lesion = ((kinds > 0) & (kinds != UNKNOWN_KIND)).numpy()
    regions, _ = ndimage.label(unknown, TOUCHING)
    borders = np.unique(regions[ndimage.binary_dilation(lesion, TOUCHING)])
    return torch.from_numpy(~(unknown & ~np.isin(regions, borders)).any(axis=(1, 2)))


def validation_of(
    cases: Sequence[Case], settings: SpaceTimeTraining, device: torch.device
) -> Callable[[nn.Module], float]:
    """Mean loss on fixed batches of cases that are not trained on, the same as Space-Time-Net's."""
    batches = [
        slices_of(sample_batch(list(cases), [], settings, step_generator(VALIDATION_SEED, number)))
        for number in range(VALIDATION_BATCHES)
    ]

    def validation_loss(net: nn.Module) -> float:
        with torch.no_grad():
            losses = [float(batch_loss(net, batch, device, seed=VALIDATION_SEED)) for batch in batches]
        return sum(losses) / len(losses)

    return validation_loss


def anchors_of(phantoms: list[Case], real: list[Case], settings: SpaceTimeTraining, count: int) -> Tensor:
    """(count, 2): shapes that fit the boxes of the training batches."""
    shapes = []
    for number in range(ANCHOR_BATCHES):
        batch = sample_batch(phantoms, real, settings, step_generator(ANCHOR_SEED, number))
        boxes = slices_of(batch).boxes.flatten(0, 1)
        boxes = boxes[~torch.isnan(boxes[:, 0])]
        shapes.append(boxes[:, 2:] - boxes[:, :2])
    return fitted_shapes(torch.cat(shapes), count, step_generator(ANCHOR_SEED, ANCHOR_BATCHES))


def take_encoder(net: BaselineNet, path: Path) -> None:
    """Takes over the encoder of a saved Space-Time-Net.

    Raises:
        BaselineError: The file holds no such encoder, or one of other widths.
    """
    encoder = net.shared_encoder()
    if encoder is None:
        reason = "this size of the baseline does not have the encoder of Space-Time-Net"
        raise BaselineError(reason)
    weights = torch.load(path, map_location="cpu", weights_only=True)
    prefix = "encoder."
    try:
        encoder.load_state_dict(
            {name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)}
        )
    except RuntimeError as exc:
        reason = f"{path.name} holds no encoder that fits: {str(exc)[:200]}"
        raise BaselineError(reason) from exc
