"""Training of Space-Time-Net."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.device import choose_device
from pipeline.errors import PipelineError
from pipeline.model_pack import load_model_pack
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet
from pipeline.training.cases import Case
from pipeline.training.checkpoints import step_generator
from pipeline.training.config import SpaceTimeTraining, TrainingConfig
from pipeline.training.drawn_ahead import drawn_ahead
from pipeline.training.loop import LoopPlan, Progress, new_state, run_loop
from pipeline.training.losses import sequence_loss
from pipeline.training.sequences import SequenceBatch, sample_batch

VALIDATION_BATCHES = 24
"""Drawn once, the same in every epoch."""

VALIDATION_SEED = 900_000

LATE_PARTS = ("time_1.difference", "time_2.difference", "time_1.backward", "time_2.backward")
"""What a network may have that the one it starts from has not."""


class TrainingStartError(PipelineError):
    """The weights to start from do not fit the network."""


def train_space_time(
    config: TrainingConfig,
    phantoms: list[Case],
    real: list[Case],
    validation: list[Case],
    *,
    on_progress: Progress,
    start: dict[str, Tensor] | None = None,
) -> SpaceTimeNet:
    """Space-Time-Net after all steps, its averaged weights; goes on from the checkpoint in the cache.

    Args:
        config: Its `space_time` says whether Space-Time1 or Space-Time2.
        phantoms: Whole cases, some of them healthy.
        real: Painted real chests and a site's own; may be empty.
        validation: Not trained on; without them no epochs are saved.
        on_progress: Told after each step.
        start: Weights to start from, see `start_from_weights`; None starts from random ones.
    """
    torch.manual_seed(config.seed)
    settings = config.space_time
    device = choose_device(config.device)
    net = SpaceTimeNet(network_config(settings))
    if start is not None:
        start_from_weights(net, start)
    state = new_state(net.to(device))

    def draw(step: int) -> SequenceBatch:
        return sample_batch(phantoms, real, settings, step_generator(config.seed, step))

    drawn = drawn_ahead(draw, settings.steps, config.loaders)

    run_loop(
        state,
        space_time_plan(config),
        step_loss=lambda step: batch_loss(net, drawn(step).to(device)),
        validation_loss=validation_of(validation, settings, device) if validation else None,
        on_progress=on_progress,
    )
    averaged = state.averaged
    if not isinstance(averaged, SpaceTimeNet):
        raise TypeError
    if start is not None:
        mix_in(averaged, start, settings.start_share)
    return averaged.cpu().eval()


def mix_in(net: nn.Module, weights: dict[str, Tensor], share: float) -> None:
    """Moves the weights of a network by a share of the way to others; parts that the others lack stay."""
    with torch.no_grad():
        for name, value in net.state_dict().items():
            given = weights.get(name)
            if given is not None and given.shape == value.shape and value.is_floating_point():
                value.lerp_(given.to(value), share)


def weights_of_pack(folder: Path | None) -> dict[str, Tensor] | None:
    """Space-Time-Net's weights in a model pack; None of no pack.

    Raises:
        ModelPackError: The pack is damaged.
    """
    return None if folder is None else load_model_pack(folder).load_space_time_net("cpu").state_dict()


def save_start(cache: Path, net: SpaceTimeNet) -> Path:
    """The weights of a trained network as a file that baselines take their encoder from."""
    path = cache / "checkpoints" / "space-time-1-trained.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), path)
    return path


def space_time_plan(config: TrainingConfig) -> LoopPlan:
    """Lengths and places of the training of Space-Time1 or Space-Time2."""
    settings = config.space_time
    both_ways = settings.bidirectional_time
    return LoopPlan(
        name="space-time-2" if both_ways else "space-time-1",
        title="training Space-Time2" if both_ways else "training Space-Time1",
        cache=config.cache,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        epoch_steps=settings.epoch_steps,
        checkpoint_every=config.checkpoint_every,
    )


def batch_loss(net: nn.Module, batch: SequenceBatch) -> Tensor:
    """Loss of a network on one batch, convolutions in bfloat16."""
    with torch.autocast(batch.sequence.device.type, torch.bfloat16):
        outputs = net.forward_batch(batch.sequence, batch.valid, batch.gap_days)  # type: ignore[operator]  # of a Module
    return sequence_loss(outputs, batch.kinds, batch.boxes, batch.slice_labels)


def validation_of(
    cases: Sequence[Case], settings: SpaceTimeTraining, device: torch.device
) -> Callable[[nn.Module], float]:
    """Mean loss on fixed batches of cases that are not trained on."""
    batches = [
        sample_batch(list(cases), [], settings, step_generator(VALIDATION_SEED, number))
        for number in range(VALIDATION_BATCHES)
    ]

    def validation_loss(net: nn.Module) -> float:
        with torch.no_grad():
            losses = [float(batch_loss(net, batch.to(device))) for batch in batches]
        return sum(losses) / len(losses)

    return validation_loss


def start_from_weights(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """Takes over trained weights; Space-Time2 from those of Space-Time1 begins by answering as they do.

    Raises:
        TrainingStartError: Something else than the late parts is missing, or of another size.
    """
    own = net.state_dict()
    for name, value in own.items():
        given = weights.get(name)
        if given is None and name.startswith(LATE_PARTS):
            continue
        if given is not None and name.endswith("project.weight") and given.shape[1] * 2 == value.shape[1]:
            given = torch.cat([given, torch.zeros_like(given)], dim=1)
        if given is None or given.shape != value.shape:
            reason = f"{name} is missing or of another size in the weights to start from; use weights of this network"
            raise TrainingStartError(reason)
        value.copy_(given)


def network_config(settings: SpaceTimeTraining) -> SpaceTimeConfig:
    """The network that a training run asks for."""
    return SpaceTimeConfig(
        widths=settings.widths,
        hidden=settings.hidden,
        bidirectional_time=settings.bidirectional_time,
        difference_input=settings.difference_input,
    )
