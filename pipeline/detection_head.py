"""The heads of Space-Time-Net: anchor-free boxes, lesion mask, one logit per slice."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.boxes import BOX_STRIDES, BoxMaps

MASK_CLASSES = 3
"""Background, ground-glass, consolidation, in the order of the logits."""

RARE_LOGIT = -4.0
"""First bias of what is rarely there, so that training does not begin with everything being a lesion."""


class NormedConv(nn.Module):
    """3 x 3 convolution, group norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        """Groups hold eight channels each."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, stride=stride, bias=False)
        self.norm = nn.GroupNorm(outputs // 8, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return functional.silu(self.norm(self.conv(features)))


class BoxHead(nn.Module):
    """Class, box and quality for every cell, the same weights at each stride (FCOS, Tian et al. 2019)."""

    def __init__(self, channels: int) -> None:
        """One tower serves all three outputs."""
        super().__init__()
        self.tower = NormedConv(channels, channels)
        self.outputs = nn.Conv2d(channels, 6, 3, padding=1)
        self.scales = nn.Parameter(torch.full((len(BOX_STRIDES),), 1.0))
        nn.init.normal_(self.outputs.weight, std=0.01)
        _start_at(self.outputs, [RARE_LOGIT] + 5 * [0.0])

    def forward(self, pyramid: tuple[Tensor, ...]) -> tuple[BoxMaps, ...]:
        """One map per stride of (N, C, h, w) features."""
        return tuple(self._maps(features, level) for level, features in enumerate(pyramid))

    def _maps(self, features: Tensor, level: int) -> BoxMaps:
        raw = self.outputs(self.tower(features)).float()
        distances = torch.exp((raw[:, 1:5] * self.scales[level]).clamp(max=6.0)) * BOX_STRIDES[level]
        return BoxMaps(class_logits=raw[:, :1], distances=distances, quality_logits=raw[:, 5:])


class MaskHead(nn.Module):
    """Lesion mask from features at stride 4, unfolded to stride 2."""

    def __init__(self, channels: int, lateral: int, width: int) -> None:
        """`lateral` is the encoder's width at stride 4."""
        super().__init__()
        self.lateral = nn.Conv2d(lateral, width, 1)
        self.reduce = nn.Conv2d(channels, width, 1)
        self.mix = NormedConv(width, width)
        self.logits = nn.Conv2d(width, 4 * MASK_CLASSES, 1)
        _start_at(self.logits, 4 * [-RARE_LOGIT / 2] + 8 * [RARE_LOGIT / 2])

    def forward(self, features: Tensor, fine: Tensor) -> Tensor:
        """Features at stride 8 and the encoder's at stride 4 to logits (N, 3, H/2, W/2)."""
        raised = functional.interpolate(self.reduce(features), size=fine.shape[-2:], mode="bilinear")
        folded: Tensor = self.logits(self.mix(raised + self.lateral(fine)))
        return functional.pixel_shuffle(folded.float(), 2)


class SliceHead(nn.Module):
    """One logit per slice: its most suspicious cell, so that the size of the slice does not matter."""

    def __init__(self, channels: int) -> None:
        """Looks at the features at stride 16."""
        super().__init__()
        self.logits = nn.Conv2d(channels, 1, 1)
        _start_at(self.logits, [RARE_LOGIT])

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) to (N,)."""
        cells: Tensor = self.logits(features).float()
        return cells.flatten(1).amax(dim=1)


def _start_at(conv: nn.Conv2d, bias: list[float]) -> None:
    """Sets the first bias of an output layer."""
    conv.bias = nn.Parameter(torch.tensor(bias))
