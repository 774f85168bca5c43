"""What a baseline network can do, whichever detector it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipeline.boxes import SliceBoxes
from pipeline.space_time import Encoder

LEAST_CANDIDATE = 0.0025
"""Score from which a box is kept by a network: the logit of a slice's best box goes down to -6."""

SAME_LESION = 0.5
"""Two boxes that overlap more are one, for every detector alike."""

MOST_BOXES = 50
"""Per slice, as in `pipeline.boxes.decode_boxes`."""

MOST_CANDIDATES = 200
"""Per slice, before suppression."""


class BaselineNet(nn.Module, ABC):
    """A detector of lesions in single slices."""

    @abstractmethod
    def losses(self, images: Tensor, boxes: Tensor) -> Tensor:
        """One number to make small.

        Args:
            images: (N, 4, H, W) from `pipeline.model_input.stacked_channels`.
            boxes: (N, M, 4), rows of nan where a slice has fewer than M lesions.
        """

    @abstractmethod
    def detect(self, images: Tensor) -> list[SliceBoxes]:
        """The boxes of each of (N, 4, H, W), down to `LEAST_CANDIDATE`, none overlapping a better one too much."""

    @abstractmethod
    def shared_encoder(self) -> Encoder | None:
        """The encoder that Space-Time-Net has too; None in the papers' own sizes."""


class FullPrecisionOutputs(nn.Module):
    """Another module whose outputs are float32 under autocast: boxes and logits are not for eight bits of mantissa."""

    def __init__(self, inner: nn.Module) -> None:
        """`inner` gives a tensor, or lists, tuples or a dict of such."""
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Tensor | list[Tensor]) -> object:
        """What `inner` gives, as float32."""
        return _full_precision(self.inner(*inputs))


@contextmanager
def mode(net: nn.Module, *, training: bool) -> Iterator[None]:
    """torchvision's detectors give losses in training mode, boxes otherwise; the mode before comes back."""
    before = net.training
    net.train(training)
    try:
        yield
    finally:
        net.train(before)


def known_boxes(boxes: Tensor) -> Tensor:
    """The rows of (M, 4) that are no nan."""
    return boxes[~torch.isnan(boxes[:, 0])]


def _full_precision(value: object) -> object:
    if isinstance(value, Tensor):
        return value.float()
    if isinstance(value, dict):
        return {key: _full_precision(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_full_precision(item) for item in value)
    return value
