"""Boxes of YOLOv3: out of its maps, and which of its predictions answers for which box."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.baselines.anchors import shape_overlap
from pipeline.boxes import box_area

STRIDES = (8, 16, 32)

ANCHORS_PER_CELL = 3

OUTPUTS = 6
"""Of each anchor: x, y, width, height, objectness, class."""

LARGEST_LOG_GROWTH = 4.0
"""A box is at most e^4 times its anchor, so that no early step overflows."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """All predictions of N slices: by level, anchor, row, column."""

    boxes: Tensor
    """(N, P, 4), pixels."""
    objectness: Tensor
    """(N, P) logits."""
    class_logits: Tensor
    """(N, P)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assignment:
    """Predictions that answer for a box."""

    slices: Tensor
    """(K,) indices into N."""
    places: Tensor
    """(K,) indices into P."""
    boxes: Tensor
    """(K, 4), the true ones."""


def predictions_of(maps: list[Tensor], anchors: Tensor) -> Predictions:
    """Section 2.1 of the paper.

    Args:
        maps: (N, 3 * 6, h, w) at strides 8, 16, 32.
        anchors: (9, 2) width and height in pixels, three per stride, small ones first.
    """
    shapes = torch.unflatten(anchors, 0, (len(STRIDES), ANCHORS_PER_CELL))
    flat = [_decoded(level.float(), *pair) for level, *pair in zip(maps, shapes, STRIDES, strict=True)]
    values = torch.cat(flat, dim=1)
    return Predictions(boxes=values[..., :4], objectness=values[..., 4], class_logits=values[..., 5])


def _decoded(level: Tensor, shapes: Tensor, stride: int) -> Tensor:
    """(N, 3 * h * w, 6): x0, y0, x1, y1, objectness, class."""
    height, width = level.shape[-2:]
    raw = torch.unflatten(level, 1, (ANCHORS_PER_CELL, OUTPUTS))
    columns = torch.arange(width, device=level.device)
    rows = torch.arange(height, device=level.device)[:, None]
    x = (raw[:, :, 0].sigmoid() + columns) * stride
    y = (raw[:, :, 1].sigmoid() + rows) * stride
    half = shapes[None, :, :, None, None] * raw[:, :, 2:4].clamp(max=LARGEST_LOG_GROWTH).exp() / 2
    corners = [x - half[:, :, 0], y - half[:, :, 1], x + half[:, :, 0], y + half[:, :, 1]]
    return torch.stack([*corners, raw[:, :, 4], raw[:, :, 5]], dim=-1).flatten(1, 3)


def assignment_of(boxes: Tensor, anchors: Tensor, sizes: list[torch.Size]) -> Assignment:
    """One prediction per box: that of the anchor of nearest shape, in the cell where the box has its middle.

    Args:
        boxes: (N, M, 4), rows of nan are none.
        anchors: (9, 2).
        sizes: Height and width of each level's map.
    """
    slices, numbers = (~torch.isnan(boxes[..., 0])).nonzero(as_tuple=True)
    truth = boxes[slices, numbers]
    best = shape_overlap(truth[:, 2:] - truth[:, :2], anchors).argmax(dim=1)
    level, anchor = best // ANCHORS_PER_CELL, best % ANCHORS_PER_CELL
    grids = torch.tensor([list(size) for size in sizes], device=boxes.device)
    starts = functional.pad((ANCHORS_PER_CELL * grids.prod(dim=1)).cumsum(dim=0), (1, 0))
    stride = torch.tensor(STRIDES, device=boxes.device)[level, None]
    cell = ((truth[:, :2] + truth[:, 2:]) / 2 / stride).long().clamp(min=0)
    height, width = grids[level].unbind(dim=1)
    row, column = torch.minimum(cell[:, 1], height - 1), torch.minimum(cell[:, 0], width - 1)
    return Assignment(slices=slices, places=starts[level] + (anchor * height + row) * width + column, boxes=truth)


def best_overlap(predicted: Tensor, boxes: Tensor) -> Tensor:
    """(N, P): how much each prediction (N, P, 4) overlaps the true box (N, M, 4) that it overlaps most."""
    known = boxes.nan_to_num(0.0)[:, None]
    each = predicted[:, :, None]
    low, high = torch.maximum(each[..., :2], known[..., :2]), torch.minimum(each[..., 2:], known[..., 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    return (common / (box_area(each) + box_area(known) - common).clamp(min=1e-6)).amax(dim=-1)
