"""What torchvision's detectors need around them to take our slices as they are."""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.baselines.net import known_boxes
from pipeline.baselines.operators import torchvision_module
from pipeline.boxes import SliceBoxes

LESION_CLASSES = 2
"""Background and lesion."""

Targets = list[dict[str, Tensor]]


class SlicesAsTheyAre(nn.Module):
    """In place of `GeneralizedRCNNTransform`: no resizing, no ImageNet statistics, all slices of one size."""

    def forward(self, images: list[Tensor], targets: Targets | None = None) -> tuple[Any, Targets | None]:
        """torchvision's `ImageList` with the targets."""
        image_list = torchvision_module("models.detection.image_list").ImageList
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        return image_list(torch.stack(images), sizes), targets

    def postprocess(self, result: Targets, image_sizes: object, original_sizes: object) -> Targets:
        """The boxes are in pixels of the slice already."""
        del image_sizes, original_sizes
        return result


def targets_of(boxes: Tensor) -> Targets:
    """(N, M, 4) with rows of nan as torchvision wants its truth."""
    rows = [known_boxes(slice_boxes) for slice_boxes in boxes]
    return [{"boxes": row, "labels": torch.ones(len(row), dtype=torch.int64, device=row.device)} for row in rows]


def slice_boxes_of(found: Targets) -> list[SliceBoxes]:
    """torchvision's results, which are sorted by score."""
    return [SliceBoxes(boxes=row["boxes"].float(), scores=row["scores"].float()) for row in found]
