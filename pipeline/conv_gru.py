"""Convolutional gated recurrent layers: along the slices of a study, or along the studies of a patient."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

DECAY_DAYS = 7.0
"""Time constant of the gap between two studies, in the order of a stage of the disease (Pan et al. 2020)."""

EMBEDDING_FREQUENCIES = 6


GATES_AT_ONCE = 32
"""Steps along the slices whose gates are in memory together: they are the largest tensors of the recurrent layers."""


class ConvGRUCell(nn.Module):
    """One or two independent ConvGRUs stepped together (groups of one convolution).

    The reset gate acts after the hidden convolution, so that a step needs one convolution only; the input's
    convolution is done for all steps at once by `gates`.
    """

    def __init__(self, inputs: int, hidden: int, *, directions: int = 1) -> None:
        """`hidden` is per direction."""
        super().__init__()
        self.hidden = hidden
        self.directions = directions
        self.input_conv = nn.Conv2d(inputs, 3 * hidden * directions, 3, padding=1)
        self.hidden_conv = nn.Conv2d(
            hidden * directions, 3 * hidden * directions, 3, padding=1, groups=directions, bias=False
        )

    def gates(self, inputs: Tensor) -> Tensor:
        """(N, inputs, H, W) to the input's share of all gates, (N, directions, 3, hidden, H, W)."""
        mixed: Tensor = self.input_conv(inputs)
        return torch.unflatten(mixed, 1, (self.directions, 3, self.hidden))

    def gates_one_way(self, inputs: Tensor, direction: int) -> Tensor:
        """What `gates` gives for one of the directions, (N, 3, hidden, H, W)."""
        share = slice(direction * 3 * self.hidden, (direction + 1) * 3 * self.hidden)
        weight, bias = self.input_conv.weight[share], self.input_conv.bias
        mixed = functional.conv2d(inputs, weight, None if bias is None else bias[share], padding=1)
        return torch.unflatten(mixed, 1, (3, self.hidden))

    def step(self, gates: Tensor, state: Tensor, update_weight: Tensor | None = None) -> Tensor:
        """Next state (N, directions, hidden, H, W) in float32; `update_weight` 0 keeps the state as it is."""
        recurrent = torch.unflatten(self.hidden_conv(state.flatten(1, 2)), 1, (self.directions, 3, self.hidden))
        gates, recurrent = gates.float(), recurrent.float()
        reset = torch.sigmoid(gates[:, :, 0] + recurrent[:, :, 0])
        update = torch.sigmoid(gates[:, :, 1] + recurrent[:, :, 1])
        candidate = torch.tanh(gates[:, :, 2] + reset * recurrent[:, :, 2])
        if update_weight is not None:
            update = update * update_weight
        return state + update * (candidate - state)


class SpatialLayer(nn.Module):
    """Spatial semantic layer: both ways along the slices of each study, added to its input."""

    def __init__(self, channels: int, hidden: int) -> None:
        """`hidden` is per direction."""
        super().__init__()
        self.cell = ConvGRUCell(channels, hidden, directions=2)
        self.project = nn.Conv2d(2 * hidden, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, Z, C, H, W) to the same shape; every slice has seen every other."""
        batch, slices = features.shape[:2]
        state = features.new_zeros((batch, 2, self.cell.hidden, *features.shape[-2:]), dtype=torch.float32)
        states: list[Tensor] = []
        for start in range(0, slices, GATES_AT_ONCE):
            for step in self._steps(features, start, min(start + GATES_AT_ONCE, slices)):
                state = self.cell.step(step, state)
                states.append(state)
        up, down = (torch.stack([one[:, way] for one in states], dim=1) for way in (0, 1))
        states.clear()
        both = torch.cat([up, down.flip(1)], dim=2)
        projected: Tensor = self.project(both.flatten(0, 1))
        return features + torch.unflatten(projected, 0, (batch, slices))

    def _steps(self, features: Tensor, start: int, stop: int) -> tuple[Tensor, ...]:
        """Gates of steps `start` to `stop`: the way up enters these slices, the way down those as far from the end."""
        slices = features.shape[1]
        up, down = features[:, start:stop], features[:, slices - stop : slices - start].flip(1)
        ways = [
            torch.unflatten(self.cell.gates_one_way(part.flatten(0, 1), direction), 0, part.shape[:2])
            for direction, part in enumerate((up, down))
        ]
        return torch.stack(ways, dim=2).unbind(1)


class TimeRecurrence(nn.Module):
    """One ConvGRU along studies, in the order given, that knows how many days lie between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        """The state's decay and the gates both depend on the gap."""
        super().__init__()
        self.cell = ConvGRUCell(channels, hidden)
        self.decay = nn.Parameter(torch.full((hidden,), -2.0))
        self.gap_to_gates = nn.Linear(2 * EMBEDDING_FREQUENCIES, 6 * hidden)
        nn.init.normal_(self.gap_to_gates.weight, std=0.02)
        nn.init.zeros_(self.gap_to_gates.bias)

    def forward(self, features: Tensor, valid: Tensor, gap_days: Tensor) -> Tensor:
        """States (T, N, hidden, H, W) of features (T, N, C, H, W).

        Args:
            features: One item of T per study.
            valid: (T, N, 1, H, W), 0 where a study has nothing to say: the state passes by unchanged.
            gap_days: (T, N), days to the study before in this order; the first is ignored.
        """
        gap_days = torch.cat([torch.zeros_like(gap_days[:1]), gap_days[1:]]).float()
        gates = torch.unflatten(self.cell.gates(features.flatten(0, 1)), 0, features.shape[:2])
        film = torch.unflatten(self.gap_to_gates(gap_embedding(gap_days)), -1, (2, 1, 3, self.cell.hidden))
        scale, shift = film.unbind(2)
        gates = gates * (1.0 + scale[..., None, None]) + shift[..., None, None]
        state = features.new_zeros((features.shape[1], 1, self.cell.hidden, *features.shape[-2:]), dtype=torch.float32)
        states: list[Tensor] = []
        for study, gap in enumerate(gap_days):
            rate = functional.softplus(self.decay) * torch.log1p(gap / DECAY_DAYS)[:, None]
            state = state * torch.exp(-rate)[:, None, :, None, None]
            state = self.cell.step(gates[study], state, valid[study].unsqueeze(1))
            states.append(state.squeeze(1))
        return torch.stack(states)


class TimeLayer(nn.Module):
    """Time semantic layer: along the studies from the oldest to the newest, added to its input.

    One way (Space-Time1) a later study never changes what is said of an earlier one; both ways (Space-Time2) is for
    reading back.
    """

    def __init__(self, channels: int, hidden: int, *, bidirectional: bool, sees_difference: bool = False) -> None:
        """`hidden` is per direction; `sees_difference` adds what changed since the study before to the input."""
        super().__init__()
        self.difference = _silent_conv(channels) if sees_difference else None
        self.onward = TimeRecurrence(channels, hidden)
        self.backward = TimeRecurrence(channels, hidden) if bidirectional else None
        self.project = nn.Conv2d(hidden * (2 if bidirectional else 1), channels, 1)

    def forward(self, features: Tensor, valid: Tensor, gap_days: Tensor) -> Tensor:
        """(T, N, C, H, W) to the same shape; see `TimeRecurrence`."""
        if self.difference is not None:
            features = features + self._changes(self.difference, features, valid)
        states = self.onward(features, valid, gap_days)
        if self.backward is not None:
            turned_gaps = torch.cat([torch.zeros_like(gap_days[:1]), gap_days[1:].flip(0)])
            turned = self.backward(features.flip(0), valid.flip(0), turned_gaps)
            states = torch.cat([states, turned.flip(0)], dim=2)
        projected: Tensor = self.project(states.flatten(0, 1))
        return features + torch.unflatten(projected, 0, features.shape[:2])

    @staticmethod
    def _changes(conv: nn.Conv2d, features: Tensor, valid: Tensor) -> Tensor:
        """What each study adds against the one before, where both show the place; the first adds nothing."""
        if len(features) == 1:
            return torch.zeros_like(features)
        change = (features[1:] - features[:-1]).abs() * (valid[1:] * valid[:-1])
        mixed: Tensor = conv(change.flatten(0, 1))
        return torch.cat(
            [torch.zeros_like(features[:1]), torch.unflatten(mixed, 0, change.shape[:2]).to(features.dtype)]
        )


def _silent_conv(channels: int) -> nn.Conv2d:
    """A 1 x 1 convolution that begins by saying nothing, so that it can be added to a trained network."""
    conv = nn.Conv2d(channels, channels, 1, bias=False)
    nn.init.zeros_(conv.weight)
    return conv


def gap_embedding(gap_days: Tensor) -> Tensor:
    """Sines and cosines of log(1 + days), (..., 12)."""
    octaves = 2.0 ** torch.arange(EMBEDDING_FREQUENCIES, device=gap_days.device)
    angles = torch.log1p(gap_days)[..., None] * octaves * (math.pi / 8.0)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
