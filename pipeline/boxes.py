"""Boxes in the plane: overlap, suppression, and their way out of the network's maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BOX_STRIDES = (8, 16, 32)
"""Pixels of the model grid per cell of the three box maps."""

BOX_SIDE_RANGES = ((0.0, 64.0), (64.0, 128.0), (128.0, float("inf")))
"""Longest side in pixels of the boxes that each map is responsible for; severe disease spans a lung."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxMaps:
    """What one detection map says, for the slices of one study."""

    class_logits: Tensor
    """(Z, 1, h, w): a lesion is centred about here."""
    distances: Tensor
    """(Z, 4, h, w), pixels of the model grid from the cell's middle to left, top, right, bottom."""
    quality_logits: Tensor
    """(Z, 1, h, w): how well the box will fit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceBoxes:
    """The boxes of one slice, best first."""

    boxes: Tensor
    """(n, 4): x0, y0, x1, y1 in pixels of the model grid, where pixel i covers i..i+1."""
    scores: Tensor
    """(n,), 0..1."""


def cell_centres(height: int, width: int, stride: int) -> Tensor:
    """(height, width, 2): x, y of each cell's middle in pixels."""
    y = (torch.arange(height) + 0.5) * stride
    x = (torch.arange(width) + 0.5) * stride
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y], dim=-1)


def boxes_from_distances(distances: Tensor, centres: Tensor) -> Tensor:
    """(..., 4) left, top, right, bottom about (..., 2) to x0, y0, x1, y1."""
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)


def box_area(boxes: Tensor) -> Tensor:
    """Of (..., 4); an inverted box has none."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def box_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each of (n, 4) with each of (m, 4)."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    common = box_area(torch.cat([low, high], dim=-1))
    union = box_area(first)[:, None] + box_area(second)[None, :] - common
    return common / union.clamp(min=1e-6)


def suppressed(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that stay, best first: none overlaps a better one by more than the threshold."""
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order]
    meets = (box_overlap(ranked, ranked) > iou_threshold).cpu().numpy()
    stays = np.ones(len(order), np.bool_)
    for index in range(len(order)):
        if stays[index]:
            stays[index + 1 :] &= ~meets[index, index + 1 :]
    return order[torch.from_numpy(stays).to(order.device)]


def decode_boxes(
    maps: Sequence[BoxMaps], *, score_threshold: float, iou_threshold: float = 0.5, maximum: int = 50
) -> list[SliceBoxes]:
    """The boxes of every slice.

    Args:
        maps: One per stride of `BOX_STRIDES`.
        score_threshold: On the geometric mean of class and quality.
        iou_threshold: Two boxes that overlap more are one.
        maximum: At most this many boxes per slice.
    """
    flat = [_flat(level, stride) for level, stride in zip(maps, BOX_STRIDES, strict=True)]
    boxes = torch.cat([level[0] for level in flat], dim=1)
    scores = torch.cat([level[1] for level in flat], dim=1)
    found: list[SliceBoxes] = []
    for slice_boxes, slice_scores in zip(boxes, scores, strict=True):
        likely = slice_scores >= score_threshold
        candidates, values = slice_boxes[likely], slice_scores[likely]
        stays = suppressed(candidates, values, iou_threshold)[:maximum]
        found.append(SliceBoxes(boxes=candidates[stays], scores=values[stays]))
    return found


def _flat(maps: BoxMaps, stride: int) -> tuple[Tensor, Tensor]:
    """Boxes (Z, h*w, 4) with scores (Z, h*w) of one map."""
    centres = cell_centres(maps.class_logits.shape[-2], maps.class_logits.shape[-1], stride).to(maps.distances.device)
    boxes = boxes_from_distances(maps.distances.movedim(1, -1), centres)
    scores = (maps.class_logits.sigmoid() * maps.quality_logits.sigmoid()).sqrt().squeeze(1)
    return boxes.flatten(1, 2), scores.flatten(1)
