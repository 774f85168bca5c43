"""Networks small enough for a test."""

import torch
from torch import Tensor

from pipeline.model_input import stacked_channels
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet

TINY = SpaceTimeConfig(widths=(8, 8, 16, 16), hidden=8, mask_width=8)


def tiny_space_time_net(*, bidirectional_time: bool = False) -> SpaceTimeNet:
    """Random but always the same weights."""
    torch.manual_seed(3)
    config = SpaceTimeConfig(widths=(8, 8, 16, 16), hidden=8, mask_width=8, bidirectional_time=bidirectional_time)
    return SpaceTimeNet(config).eval()


def random_study(seed: int, *, slices: int = 5, height: int = 32, width: int = 64) -> Tensor:
    """Input channels (Z, 4, H, W) of a study that shows nothing in particular."""
    generator = torch.Generator().manual_seed(seed)
    volume_hu = torch.rand((slices, height, width), generator=generator) * 1600.0 - 1300.0
    lungs = torch.rand((slices, height, width), generator=generator) > 0.5
    return stacked_channels(volume_hu.numpy(), lungs.numpy())
