"""Space-Time-Net cut where its recurrences loop: each piece is a module without a loop, which ONNX can hold.

slices -> encoder -> fine, third, fourth, fifth, gates
gates, state -> space_1_step -> state                      along the slices, both ways
fourth, fifth, run -> space_1_join -> first, mixed, gates
gates, state -> space_2_step -> state                      along the slices, both ways
first, mixed, run -> space_2_join -> features
features, before -> time_1_change -> features              only with `difference_input`
features, valid, gap, state -> time_1_step -> state        along the studies
features, run -> time_1_join -> time_1
first, third, time_1 -> between -> features
the same with time_2
fine, time_1, time_2 -> heads
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from pipeline.conv_gru import DECAY_DAYS, SpatialLayer, TimeLayer, TimeRecurrence, gap_embedding
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet

Shape = dict[int, object]

MOST_SLICES = 4096
LARGEST_CELLS = 256
"""Of the coarsest map: 8192 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """A piece of the network with what an exporter must know."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    """Examples, by name."""
    shapes: Mapping[str, Shape]
    """The axes of each input that may have another length."""
    outputs: tuple[str, ...]


class EncoderGraph(nn.Module):
    """Single slices to features and the input gates of the first spatial layer."""

    def __init__(self, net: SpaceTimeNet) -> None:
        """Shares the weights."""
        super().__init__()
        self.encoder, self.cell = net.encoder, net.space_1.cell

    def forward(self, slices: Tensor) -> tuple[Tensor, ...]:
        """(N, 4, H, W) to features at strides 4, 8, 16, 32 and gates (N, 2, 3, hidden, h, w)."""
        fine, third, fourth, fifth = self.encoder(slices)
        return fine, third, fourth, fifth, self.cell.gates(fourth)


class StepGraph(nn.Module):
    """One step of a spatial layer, both directions."""

    def __init__(self, layer: SpatialLayer) -> None:
        """Shares the weights."""
        super().__init__()
        self.cell = layer.cell

    def forward(self, gates: Tensor, state: Tensor) -> Tensor:
        """Gates (N, 2, 3, hidden, h, w) and state (N, 2, hidden, h, w) to the next state."""
        moved: Tensor = self.cell.step(gates, state)
        return moved


class FirstJoin(nn.Module):
    """The first spatial layer's states back into features, and on to the second layer's gates."""

    def __init__(self, net: SpaceTimeNet) -> None:
        """Shares the weights."""
        super().__init__()
        self.project, self.lowered = net.space_1.project, net.space_1_lowered
        self.mix, self.cell = net.space_2_input, net.space_2.cell

    def forward(self, fourth: Tensor, fifth: Tensor, run: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (N, C, h, w) and states (N, 2 * hidden, h, w)."""
        first = fourth + self.project(run)
        mixed = self.mix(torch.cat([self.lowered(first), fifth], dim=1))
        return first, mixed, self.cell.gates(mixed)


class SecondJoin(nn.Module):
    """The second spatial layer's states back into features, raised, and mixed for the first time layer."""

    def __init__(self, net: SpaceTimeNet) -> None:
        """Shares the weights."""
        super().__init__()
        self.project, self.mix = net.space_2.project, net.time_1_input

    def forward(self, first: Tensor, mixed: Tensor, run: Tensor) -> Tensor:
        """Maps (N, C, h, w) and states (N, 2 * hidden, h / 2, w / 2)."""
        second = mixed + self.project(run)
        features: Tensor = self.mix(torch.cat([first, _doubled(second)], dim=1))
        return features


class ChangeGraph(nn.Module):
    """Adds to a study's features what changed since the study before."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """Shares the weights."""
        super().__init__()
        self.conv = conv

    def forward(self, features: Tensor, before: Tensor, valid: Tensor) -> Tensor:
        """Features of both studies (N, C, h, w); valid (N, 1, h, w), the product of both."""
        changed: Tensor = features + self.conv((features - before).abs() * valid)
        return changed


class TimeStepGraph(nn.Module):
    """One step of a time layer in one direction."""

    def __init__(self, recurrence: TimeRecurrence) -> None:
        """Shares the weights."""
        super().__init__()
        self.recurrence = recurrence

    def forward(self, features: Tensor, valid: Tensor, gap_days: Tensor, state: Tensor) -> Tensor:
        """Features (N, C, h, w), valid (N, 1, h, w), gap (N,), state (N, hidden, h, w) to the next state."""
        recurrence = self.recurrence
        hidden = recurrence.cell.hidden
        film = torch.unflatten(recurrence.gap_to_gates(gap_embedding(gap_days)), -1, (2, 1, 3, hidden))
        scale, shift = film[..., None, None].unbind(1)
        gates = recurrence.cell.gates(features) * (1.0 + scale) + shift
        rate = functional.softplus(recurrence.decay) * torch.log1p(gap_days / DECAY_DAYS)[:, None]
        kept = state * torch.exp(-rate)[:, :, None, None]
        moved: Tensor = recurrence.cell.step(gates, kept.unsqueeze(1), valid.unsqueeze(1))
        return moved.squeeze(1)


class TimeJoin(nn.Module):
    """A time layer's states back into features."""

    def __init__(self, layer: TimeLayer) -> None:
        """Shares the weights."""
        super().__init__()
        self.project = layer.project

    def forward(self, features: Tensor, run: Tensor) -> Tensor:
        """Features (N, C, h, w) and states of all directions (N, hidden, h, w)."""
        joined: Tensor = features + self.project(run)
        return joined


class Between(nn.Module):
    """From the first time layer to the second."""

    def __init__(self, net: SpaceTimeNet) -> None:
        """Shares the weights."""
        super().__init__()
        self.reduced, self.mix = net.space_1_reduced, net.time_2_input

    def forward(self, first: Tensor, third: Tensor, time_1: Tensor) -> Tensor:
        """Maps at strides 16, 8, 16 to features at stride 8."""
        raised = _doubled(torch.cat([time_1, self.reduced(first)], dim=1))
        features: Tensor = self.mix(torch.cat([third, raised], dim=1))
        return features


class HeadsGraph(nn.Module):
    """All heads."""

    def __init__(self, net: SpaceTimeNet) -> None:
        """Shares the weights."""
        super().__init__()
        self.similar, self.coarse, self.coarsest = net.similar, net.coarse, net.coarsest
        self.boxes, self.mask, self.slices = net.box_head, net.mask_head, net.slice_head

    def forward(self, fine: Tensor, time_1: Tensor, time_2: Tensor) -> tuple[Tensor, ...]:
        """Mask logits, slice logits, then class logits, distances and quality logits of strides 8, 16, 32."""
        features, coarse = self.similar(time_2), self.coarse(time_1)
        maps = self.boxes((features, coarse, self.coarsest(coarse)))
        levels = [part for level in maps for part in (level.class_logits, level.distances, level.quality_logits)]
        return self.mask(features, fine), self.slices(coarse), *levels


HEAD_OUTPUTS = (
    "mask_logits",
    "slice_logits",
    *(f"{name}_{stride}" for stride in (8, 16, 32) for name in ("class_logits", "distances", "quality_logits")),
)


def network_graphs(net: SpaceTimeNet) -> dict[str, Graph]:
    """Every piece of a network by name."""
    maps = _Maps(net.config)
    return {**_space_graphs(net, maps), **_time_graphs(net, maps), **_last_graphs(net, maps)}


class _Maps:
    """Example inputs, with the axes that may have another length."""

    def __init__(self, config: SpaceTimeConfig) -> None:
        """Sizes come from the network's shape."""
        self.config = config
        self._slices = Dim("slices", min=1, max=MOST_SLICES)
        self._high, self._wide = (Dim(name, min=1, max=LARGEST_CELLS) for name in ("high", "wide"))

    def example(self, channels: tuple[int, ...], stride: int) -> Tensor:
        """Of two slices, 64 x 96 pixels."""
        return torch.zeros(2, *channels, 64 // stride, 96 // stride)

    def axes(self, channels: int, stride: int) -> Shape:
        """Slices, and the cells of a map at a stride; `channels` counts the axes between them."""
        cells = 32 // stride
        high, wide = (self._high, self._wide) if cells == 1 else (cells * self._high, cells * self._wide)
        return {0: self._slices, 1 + channels: high, 2 + channels: wide}

    def graph(
        self, module: nn.Module, inputs: Mapping[str, tuple[tuple[int, ...], int]], outputs: tuple[str, ...]
    ) -> Graph:
        """With inputs named by their channels and stride; stride 0 is one number per slice."""
        return Graph(
            module=module.eval(),
            inputs={
                name: self.example(channels, stride) if stride else torch.zeros(2)
                for name, (channels, stride) in inputs.items()
            },
            shapes={
                name: self.axes(len(channels), stride) if stride else {0: self._slices}
                for name, (channels, stride) in inputs.items()
            },
            outputs=outputs,
        )


def _space_graphs(net: SpaceTimeNet, maps: _Maps) -> dict[str, Graph]:
    config = net.config
    _, _, fourth, fifth = config.widths
    gates, state, run = (2, 3, config.hidden), (2, config.hidden), (2 * config.hidden,)
    levels = ("fine", "third", "fourth", "fifth", "gates")
    return {
        "encoder": maps.graph(EncoderGraph(net), {"slices": ((config.input_channels,), 1)}, levels),
        "space_1_step": maps.graph(
            StepGraph(net.space_1), {"gates": (gates, 16), "state": (state, 16)}, ("next_state",)
        ),
        "space_1_join": maps.graph(
            FirstJoin(net),
            {"fourth": ((fourth,), 16), "fifth": ((fifth,), 32), "run": (run, 16)},
            ("first", "mixed", "gates"),
        ),
        "space_2_step": maps.graph(
            StepGraph(net.space_2), {"gates": (gates, 32), "state": (state, 32)}, ("next_state",)
        ),
        "space_2_join": maps.graph(
            SecondJoin(net), {"first": ((fourth,), 16), "mixed": ((fifth,), 32), "run": (run, 32)}, ("features",)
        ),
    }


def _time_graphs(net: SpaceTimeNet, maps: _Maps) -> dict[str, Graph]:
    found: dict[str, Graph] = {}
    hidden = (net.config.hidden,)
    for name, layer, stride in (("time_1", net.time_1, 16), ("time_2", net.time_2, 8)):
        step = {"features": (hidden, stride), "valid": ((1,), stride), "gap_days": ((), 0), "state": (hidden, stride)}
        found[f"{name}_step"] = maps.graph(TimeStepGraph(layer.onward), step, ("next_state",))
        run = hidden
        if layer.backward is not None:
            found[f"{name}_back_step"] = maps.graph(TimeStepGraph(layer.backward), step, ("next_state",))
            run = (2 * net.config.hidden,)
        if layer.difference is not None:
            change = {"features": (hidden, stride), "before": (hidden, stride), "valid": ((1,), stride)}
            found[f"{name}_change"] = maps.graph(ChangeGraph(layer.difference), change, ("changed",))
        join = {"features": (hidden, stride), "run": (run, stride)}
        found[f"{name}_join"] = maps.graph(TimeJoin(layer), join, ("joined",))
    return found


def _last_graphs(net: SpaceTimeNet, maps: _Maps) -> dict[str, Graph]:
    fine, third, fourth, _ = net.config.widths
    hidden = (net.config.hidden,)
    return {
        "between": maps.graph(
            Between(net), {"first": ((fourth,), 16), "third": ((third,), 8), "time_1": (hidden, 16)}, ("features",)
        ),
        "heads": maps.graph(
            HeadsGraph(net), {"fine": ((fine,), 4), "time_1": (hidden, 16), "time_2": (hidden, 8)}, HEAD_OUTPUTS
        ),
    }


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear")
