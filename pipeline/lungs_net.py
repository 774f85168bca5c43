"""The 2D U-Net that finds the right and the left lung, with the only way into its grid."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.study import Int16Array
from pipeline.window import hu_windowed

INPUT_PIXELS = 256
"""Side of the network's square input."""

FIELD_OF_VIEW_MM = 480.0
"""Width that the input covers, around the middle of the image: a body lies within, at 1.875 mm per pixel."""

CLASSES = 3
"""Background, right lung, left lung, in the order of the logits."""

WIDTHS = (24, 48, 96, 128, 128)
"""Channels at strides 2, 4, 8, 16, 32."""

NEIGHBOUR_MM = 10.0
"""How far below and above a slice the network looks as well: a disc in the lung is the dome of the diaphragm where the liver
lies below it, and consolidation where lung does. Seen alone the two are the same."""

NEIGHBOURS = 3
"""Slice below, slice, slice above: channels of a network with neighbours."""


class ConvBlock(nn.Module):
    """3 x 3 convolution, group norm, SiLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Groups hold eight channels each."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(outputs // 8, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        return functional.silu(self.norm(self.conv(features)))


class LungNet(nn.Module):
    """Logits of background, right lung, left lung for axial slices.

    The image enters as 2 x 2 pixels folded into channels and leaves the same way, so that no convolution runs at full
    size: 2.7 GFLOP per slice.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, *, neighbour_mm: float = 0.0) -> None:
        """Random weights.

        Args:
            widths: Channels per level, from stride 2 down.
            neighbour_mm: How far away the slices are that are shown with each slice; 0 shows it alone.
        """
        super().__init__()
        self.widths = tuple(widths)
        self.neighbour_mm = neighbour_mm
        inputs = (4 * self.slices_seen, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(ConvBlock(before, width), ConvBlock(width, width))
            for before, width in zip(inputs, widths, strict=True)
        )
        pairs = list(pairwise(widths))
        self.up = nn.ModuleList(ConvBlock(shallow + deep, shallow) for shallow, deep in pairs)
        self.smooth = ConvBlock(widths[0], widths[0])
        self.logits = nn.Conv2d(widths[0], 4 * CLASSES, 1)

    @property
    def slices_seen(self) -> int:
        """Channels of the input."""
        return NEIGHBOURS if self.neighbour_mm else 1

    def forward(self, slices: Tensor) -> Tensor:
        """Slices (B, slices_seen, 256, 256) in 0..1, from `with_neighbours`, to logits (B, 3, 256, 256)."""
        features = functional.pixel_unshuffle(slices, 2)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(functional.max_pool2d(features, 2) if level else features)
            skips.append(features)
        for skip, block in zip(reversed(skips[:-1]), reversed(list(self.up)), strict=True):
            features = functional.interpolate(features, size=skip.shape[-2:], mode="nearest")
            features = block(torch.cat([skip, features], dim=1))
        folded: Tensor = self.logits(self.smooth(features))
        return functional.pixel_shuffle(folded.float(), 2)


def lung_net_input(
    slices_hu: Int16Array, spacing_mm: tuple[float, float], device: torch.device | None = None
) -> Tensor:
    """Axial slices on the network's grid; training and inference both come this way.

    Args:
        slices_hu: (Z, Y, X), y from anterior to posterior, x from the patient's right to left.
        spacing_mm: Along y, then x.
        device: That resamples; None is the CPU.

    Returns:
        float32 (Z, 1, 256, 256) in 0..1 on that device; what lies outside the image is air.
    """
    image = torch.from_numpy(np.ascontiguousarray(slices_hu)).to(device).float().unsqueeze(1)
    size = _grid_size(image.shape[-2:], spacing_mm)
    resampled = functional.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
    return _centred(hu_windowed(resampled), (INPUT_PIXELS, INPUT_PIXELS), fill=0.0)


def with_neighbours(slices: Tensor, spacing_mm: float, neighbour_mm: float, part: slice = slice(None)) -> Tensor:
    """Slices with those that lie below and above: the input of a network with this `neighbour_mm`.

    Args:
        slices: (Z, 1, H, W), from inferior to superior.
        spacing_mm: Between them.
        neighbour_mm: 0 leaves the slices alone; else the nearest slices to so far away, the last one beyond the ends.
        part: Which of the slices are wanted.

    Returns:
        (Z, 1 or 3, H, W), of the part.
    """
    if not neighbour_mm:
        return slices[part]
    below, above = neighbour_numbers(len(slices), spacing_mm, neighbour_mm)
    return torch.cat([slices[below[part]], slices[part], slices[above[part]]], dim=1)


def neighbour_numbers(count: int, spacing_mm: float, neighbour_mm: float) -> tuple[Tensor, Tensor]:
    """Of each of so many slices the numbers of its neighbours below and above."""
    distance = max(1, round(neighbour_mm / spacing_mm))
    numbers = torch.arange(count)
    return (numbers - distance).clamp(min=0), (numbers + distance).clamp(max=count - 1)


def lung_net_labels(labels: Tensor, spacing_mm: tuple[float, float]) -> Tensor:
    """A lung mask (Z, Y, X) on the network's grid, for training: int64 (Z, 256, 256)."""
    one_hot = functional.one_hot(labels.long(), CLASSES).movedim(-1, 1).float()
    size = _grid_size(one_hot.shape[-2:], spacing_mm)
    resampled = functional.interpolate(one_hot, size=size, mode="bilinear", align_corners=False, antialias=True)
    return _centred(resampled, (INPUT_PIXELS, INPUT_PIXELS), fill=0.0).argmax(dim=1)


def lung_logits_on_image(logits: Tensor, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> Tensor:
    """The way back of `lung_net_input`: logits (Z, 3, 256, 256) on the image's own (Z, 3, Y, X).

    What the network did not see is background.
    """
    seen = _centred(logits, _grid_size(shape, spacing_mm), fill=float("nan"))
    outside = torch.tensor([10.0, -10.0, -10.0], device=logits.device).view(1, CLASSES, 1, 1)
    filled = torch.where(torch.isnan(seen), outside, seen)
    return functional.interpolate(filled, size=shape, mode="bilinear", align_corners=False, antialias=True)


def _grid_size(shape: tuple[int, ...] | torch.Size, spacing_mm: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns of the whole image at the network's pixel size."""
    pixel_mm = FIELD_OF_VIEW_MM / INPUT_PIXELS
    rows, columns = (max(1, round(n * mm / pixel_mm)) for n, mm in zip(shape, spacing_mm, strict=True))
    return rows, columns


def _centred(image: Tensor, size: tuple[int, int], *, fill: float) -> Tensor:
    """Cropped or padded to `size` around its middle; there and back again is where it was."""
    padding: list[int] = []
    for have, want in zip(reversed(image.shape[-2:]), reversed(size), strict=True):
        before = abs(want - have) // 2 * (1 if want > have else -1)
        padding += [before, want - have - before]
    return functional.pad(image, padding, value=fill)
