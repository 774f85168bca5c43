"""Where a training stands: saved so that a run that stopped goes on as if it had not."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

EMA_DECAY = 0.998
"""Of the averaged weights that are evaluated and shipped."""


@dataclass(slots=True, kw_only=True, eq=False)
class TrainingState:
    """A network in training."""

    net: nn.Module
    averaged: nn.Module
    """Moving average of the weights."""
    optimiser: torch.optim.Optimizer
    step: int = 0
    """Steps done."""

    def average(self) -> None:
        """Takes the present weights into the average; faster at the beginning."""
        decay = min(EMA_DECAY, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.averaged.parameters(), self.net.parameters(), strict=True):
                kept.lerp_(new, 1.0 - decay)


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Written beside, then renamed: a stop in the middle leaves the checkpoint before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, object] = {
        "net": state.net.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "step": state.step,
    }
    unfinished = path.with_suffix(".unfinished")
    torch.save(content, unfinished)
    unfinished.replace(path)


def restore_checkpoint(path: Path, state: TrainingState) -> None:
    """Brings a fresh state to where the checkpoint is, whichever device wrote it; without one nothing happens."""
    if not path.is_file():
        return
    content = torch.load(path, map_location="cpu", weights_only=True)
    state.net.load_state_dict(content["net"])
    state.averaged.load_state_dict(content["averaged"])
    state.optimiser.load_state_dict(content["optimiser"])
    state.step = int(content["step"])


def learning_rate_share(step: int, steps: int) -> float:
    """Warm-up over the first part, then half a cosine down to a hundredth."""
    warm_up = max(1, min(200, steps // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = torch.tensor((step - warm_up) / max(1, steps - warm_up))
    return float(0.01 + 0.495 * (1.0 + torch.cos(torch.pi * progress.clamp(max=1.0))))


def step_generator(seed: int, step: int) -> torch.Generator:
    """Randomness of one step, the same whether or not the run was resumed."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def gradient_step(state: TrainingState, loss: Tensor, learning_rate: float) -> None:
    """One step of the optimiser, clipped, with the average kept up; gradients that are no numbers change nothing."""
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate
    state.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
    norm = nn.utils.clip_grad_norm_(state.net.parameters(), 1.0)
    if bool(torch.isfinite(norm)):
        state.optimiser.step()
    else:
        logger.warning("step %d left out: its gradients are not finite", state.step + 1)
    state.step += 1
    state.average()
