"""Slices with bright blobs: the simplest task that a detector can learn."""

import torch
from torch import Tensor

SIDE = 64


def bright_blobs(count: int, *, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Images (count, 4, 64, 64) and boxes (count, 2, 4): one blob each, in every third one none."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.05 * torch.rand((count, 4, SIDE, SIDE), generator=generator)
    boxes = torch.full((count, 2, 4), torch.nan)
    for number in range(count):
        if number % 3 == 2:
            continue
        width, height = (int(torch.randint(10, 24, (), generator=generator)) for _ in range(2))
        x, y = (int(torch.randint(0, SIDE - side, (), generator=generator)) for side in (width, height))
        images[number, :3, y : y + height, x : x + width] += 0.8
        boxes[number, 0] = torch.tensor([x, y, x + width, y + height], dtype=torch.float32)
    return images, boxes
