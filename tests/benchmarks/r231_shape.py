"""A U-Net of the size of lungmask's R231 with random weights: what the time of a whole analysis is compared with."""

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 1024)
INPUT_PIXELS = 256
"""Hofmanninger et al., "Automatic lung segmentation in routine imaging is primarily a data diversity problem" (2020):
a U-Net with batch normalisation that sees slices of 256 x 256 and tells background, right and left lung apart."""


class UNet(nn.Module):
    """Two 3 x 3 convolutions per level, 31 million parameters, 96 GFLOP per slice."""

    def __init__(self) -> None:
        """Random weights: they take as long as trained ones."""
        super().__init__()
        self.down = nn.ModuleList(_level(before, width) for before, width in pairwise((1, *WIDTHS)))
        steps = list(pairwise(reversed(WIDTHS)))
        self.raise_ = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for deep, shallow in steps)
        self.up = nn.ModuleList(_level(deep, shallow) for deep, shallow in steps)
        self.last = nn.Conv2d(WIDTHS[0], 3, 1)

    def forward(self, slices: Tensor) -> Tensor:
        """(B, 1, 256, 256) to (B, 3, 256, 256)."""
        skips: list[Tensor] = []
        features = slices
        for level, block in enumerate(self.down):
            features = block(nn.functional.max_pool2d(features, 2) if level else features)
            skips.append(features)
        for skip, raised, block in zip(reversed(skips[:-1]), self.raise_, self.up, strict=True):
            features = block(torch.cat([skip, raised(features)], dim=1))
        logits: Tensor = self.last(features)
        return logits


def _level(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
