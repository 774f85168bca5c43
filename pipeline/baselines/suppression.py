"""Non-maximum suppression without a loop over the boxes."""

import torch
from torch import Tensor

ROWS_AT_ONCE = 1024
"""Of the overlap matrix, so that 10,000 boxes need 100 MB."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that stay, best first, as `torchvision.ops.nms` gives them.

    Whether a box stays depends only on better ones. Starting with all, the rule "no staying better box overlaps" is
    applied to all boxes together until nothing changes: after k rounds the k best are settled, mostly it takes a few.

    Args:
        boxes: (n, 4): x0, y0, x1, y1.
        scores: (n,); of equal ones the first is the better.
        iou_threshold: A box that overlaps a better staying one by more goes.
    """
    order = scores.argsort(descending=True, stable=True)
    beaten = _beaten(boxes[order].float(), iou_threshold)
    stays = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    while True:
        settled = ~(beaten & stays[:, None]).any(dim=0)
        if torch.equal(settled, stays):
            return order[stays]
        stays = settled


def _beaten(boxes: Tensor, iou_threshold: float) -> Tensor:
    """bool (n, n): the better box of the row overlaps that of the column by more than the threshold."""
    rows = [_overlaps(part, boxes, iou_threshold) for part in torch.split(boxes, ROWS_AT_ONCE)]
    return torch.cat(rows).triu_(diagonal=1) if rows else torch.zeros((0, 0), dtype=torch.bool, device=boxes.device)


def _overlaps(first: Tensor, second: Tensor, iou_threshold: float) -> Tensor:
    x0, y0, x1, y1 = first[:, None, :].unbind(dim=-1)
    u0, v0, u1, v1 = second[None, :, :].unbind(dim=-1)
    width = (torch.minimum(x1, u1) - torch.maximum(x0, u0)).clamp_(min=0)
    common = width.mul_((torch.minimum(y1, v1) - torch.maximum(y0, v0)).clamp_(min=0))
    union = ((x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0)).sub_(common)
    return common > iou_threshold * union
