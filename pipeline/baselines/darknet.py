"""Darknet-53, the backbone of YOLOv3 (Redmon & Farhadi 2018, table 1)."""

from torch import Tensor, nn

STAGE_BLOCKS = (1, 2, 8, 8, 4)
"""Residual blocks at strides 2, 4, 8, 16, 32."""

FIRST_WIDTH = 32

GROUP_CHANNELS = 8


class ConvUnit(nn.Sequential):
    """Convolution, norm, leaky ReLU.

    Group norm stands where the paper has batch norm: a batch holds few patients, and their slices are alike.
    """

    def __init__(self, inputs: int, outputs: int, size: int, *, stride: int = 1) -> None:
        """`size` is the side of the kernel, 1 or 3."""
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False),
            nn.GroupNorm(outputs // GROUP_CHANNELS, outputs),
            nn.LeakyReLU(0.1),
        )


class ResidualUnit(nn.Module):
    """1 x 1 to half the channels, 3 x 3 back, beside a shortcut."""

    def __init__(self, channels: int) -> None:
        """`channels` in and out."""
        super().__init__()
        self.convolutions = nn.Sequential(ConvUnit(channels, channels // 2, 1), ConvUnit(channels // 2, channels, 3))

    def forward(self, features: Tensor) -> Tensor:
        """The same shape."""
        changed: Tensor = self.convolutions(features)
        return features + changed


class Darknet53(nn.Module):
    """52 convolutions; the 53rd layer, which tells ImageNet's classes, is not needed."""

    widths = (256, 512, 1024)
    """Channels of the maps at strides 8, 16, 32."""

    def __init__(self, channels: int) -> None:
        """`channels` of the images."""
        super().__init__()
        self.stem = ConvUnit(channels, FIRST_WIDTH, 3)
        self.stages = nn.ModuleList(
            nn.Sequential(
                ConvUnit(FIRST_WIDTH * 2**stage, FIRST_WIDTH * 2 ** (stage + 1), 3, stride=2),
                *(ResidualUnit(FIRST_WIDTH * 2 ** (stage + 1)) for _ in range(blocks)),
            )
            for stage, blocks in enumerate(STAGE_BLOCKS)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, channels, H, W) to the maps at strides 8, 16, 32."""
        features = self.stem(images)
        levels: list[Tensor] = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels[2:]
