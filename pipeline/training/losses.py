"""What Space-Time-Net is trained to make small."""

from collections.abc import Sequence

import torch
from monai.losses.dice import DiceLoss
from monai.losses.focal_loss import FocalLoss
from torch import Tensor
from torch.nn import functional

from pipeline.boxes import BOX_SIDE_RANGES, BOX_STRIDES, BoxMaps, box_area, boxes_from_distances, cell_centres
from pipeline.detection_head import MASK_CLASSES
from pipeline.space_time import StudyOutput

CENTRE_RADIUS = 1.5
"""Cells about the middle of a box that answer for it (FCOS with centre sampling, Tian et al. 2019)."""

SHORTEST_DISTANCE = 0.5
"""Pixels from a cell to a border of its box; a box smaller than a cell has none on one side."""

SMALLEST_SLICE_LESION = 12
"""Pixels of lesion from which a slice counts as showing one: about 27 mm2."""

UNKNOWN_KIND = 255
"""Voxels of which nobody said whether they are lesion: nothing is learned there."""

UNKNOWN_SLICE = -1

MASK_WEIGHT, CLASS_WEIGHT, BOX_WEIGHT, QUALITY_WEIGHT, SLICE_WEIGHT = 1.0, 0.5, 0.4, 0.1, 0.2
EARLIER_WEIGHT = 0.5
"""Deep supervision of the earlier studies against the newest."""


def sequence_loss(
    outputs: Sequence[StudyOutput], kinds: Tensor, boxes: Sequence[Tensor], slice_labels: Tensor
) -> Tensor:
    """One number for a batch of sequences.

    Args:
        outputs: One per study, N slices each.
        kinds: (T, N, H, W), 0 nothing, 1 ground-glass, 2 consolidation, 255 not known.
        boxes: Per study (N, M, 4), rows of nan where a slice has fewer than M lesions.
        slice_labels: (T, N), 1 where the slice shows a lesion, 0 where not, -1 not known.
    """
    total = outputs[0].slice_logits.new_zeros(())
    truths = zip(kinds, boxes, slice_labels, strict=True)
    for index, (output, (kind, study_boxes, labels)) in enumerate(zip(outputs, truths, strict=True)):
        weight = 1.0 if index == len(outputs) - 1 else EARLIER_WEIGHT
        unknown = kind == UNKNOWN_KIND
        loss = MASK_WEIGHT * mask_loss(output.mask_logits, kind) + SLICE_WEIGHT * slice_loss(output, labels)
        total = total + weight * (loss + box_loss(output.box_maps, study_boxes, unknown))
    return total / (1.0 + EARLIER_WEIGHT * (len(outputs) - 1))


def labels_of_slices(kinds: Tensor) -> Tensor:
    """What masks say of slices: kinds (..., H, W) to labels (...), 1 lesion, 0 none, -1 not known."""
    areas = [((kinds > 0) & (kinds != UNKNOWN_KIND)).sum(dim=(-2, -1)), (kinds == UNKNOWN_KIND).sum(dim=(-2, -1))]
    shows, unknown = (area >= SMALLEST_SLICE_LESION for area in areas)
    return torch.where(shows, 1, torch.where(unknown, UNKNOWN_SLICE, 0))


def slice_loss(output: StudyOutput, labels: Tensor) -> Tensor:
    """Cross-entropy of the slice logits where the label (N,) is known."""
    known = (labels != UNKNOWN_SLICE).float()
    each = functional.binary_cross_entropy_with_logits(output.slice_logits, labels.clamp(min=0).float(), known)
    return each * len(known) / known.sum().clamp(min=1.0)


def mask_loss(logits: Tensor, kind: Tensor) -> Tensor:
    """Cross-entropy and Dice against the share of each class in each pixel of the logits, where it is known."""
    known = (kind != UNKNOWN_KIND)[:, None].float()
    one_hot = functional.one_hot((kind * known[:, 0]).long(), MASK_CLASSES).movedim(-1, 1).float()
    size = (logits.shape[-2], logits.shape[-1])
    shares = functional.adaptive_avg_pool2d(one_hot, size)
    known = (functional.adaptive_avg_pool2d(known, size) > 0.999).float()
    cross_entropy = functional.cross_entropy(logits, shares, reduction="none") * known[:, 0]
    probabilities = logits.softmax(dim=1)
    lesion = torch.cat([1.0 - probabilities[:, :1], probabilities[:, 1:]], dim=1) * known
    truth = torch.cat([1.0 - shares[:, :1], shares[:, 1:]], dim=1) * known
    dice: Tensor = DiceLoss(batch=True, smooth_nr=1.0, smooth_dr=1.0)(lesion, truth)
    return 3.0 * cross_entropy.sum() / known.sum().clamp(min=1.0) + dice


def box_loss(maps: Sequence[BoxMaps], boxes: Tensor, unknown: Tensor) -> Tensor:
    """Focal loss of the class, generalised IoU of the box, cross-entropy of the quality.

    Args:
        maps: One per stride.
        boxes: (N, M, 4), rows of nan.
        unknown: (N, H, W), where a cell without a box is not wrong to claim one.
    """
    logits, distances, quality, centres, targets = _flattened(maps, boxes)
    positive = ~torch.isnan(targets[..., 0])
    judged = (positive | ~_at_centres(unknown, centres)).float()
    count = positive.sum().clamp(min=1)
    each: Tensor = FocalLoss(gamma=2.0, alpha=0.25, reduction="none")(logits[..., None], positive.float()[..., None])
    focal = (each[..., 0] * judged).sum()
    if not bool(positive.any()):
        return CLASS_WEIGHT * focal / count
    predicted = boxes_from_distances(distances[positive], centres[positive])
    overlap, generalised = overlap_of_pairs(predicted, boxes_from_distances(targets[positive], centres[positive]))
    quality_loss = functional.binary_cross_entropy_with_logits(quality[positive], overlap.detach())
    return CLASS_WEIGHT * focal / count + BOX_WEIGHT * (1.0 - generalised).mean() + QUALITY_WEIGHT * quality_loss


def _at_centres(places: Tensor, centres: Tensor) -> Tensor:
    """Values of (N, H, W) at the pixels of cell centres (N, cells, 2), given as x, y."""
    column, row = centres[0].long().unbind(dim=-1)
    return places[:, row.clamp(max=places.shape[1] - 1), column.clamp(max=places.shape[2] - 1)]


def overlap_of_pairs(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union and generalised IoU (Rezatofighi et al. 2019) of (n, 4) with (n, 4), row by row."""
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    common = box_area(torch.cat([low, high], dim=1))
    union = (box_area(first) + box_area(second) - common).clamp(min=1e-6)
    around = torch.cat([torch.minimum(first[:, :2], second[:, :2]), torch.maximum(first[:, 2:], second[:, 2:])], dim=1)
    hull = box_area(around).clamp(min=1e-6)
    overlap = common / union
    return overlap, overlap - (hull - union) / hull


def assigned_distances(boxes: Tensor, centres: Tensor, level: int) -> Tensor:
    """What each cell of a level should say: (N, cells, 4) distances, nan where it has no box.

    Args:
        boxes: (N, M, 4), nan rows are none.
        centres: (cells, 2).
        level: Index into `BOX_STRIDES`.
    """
    stride = BOX_STRIDES[level]
    low, high = boxes[:, None, :, :2], boxes[:, None, :, 2:]
    middle, half = (low + high) / 2, (high - low) / 2
    offset = (centres[None, :, None, :] - middle).abs()
    reach = torch.minimum(half.clamp(min=0.5 * stride), centres.new_tensor(CENTRE_RADIUS * stride))
    shortest, longest = BOX_SIDE_RANGES[level]
    side = 2.0 * half.amax(dim=-1)
    answers = (offset <= reach).all(dim=-1) & (side > shortest) & (side <= longest)
    area = torch.where(answers, (4.0 * half.prod(dim=-1)).expand_as(answers), torch.inf)
    best = area.argmin(dim=-1)
    chosen = torch.gather(boxes, 1, best[..., None].expand(-1, -1, 4))
    place = centres.expand(len(boxes), -1, -1)
    distances = torch.cat([place - chosen[..., :2], chosen[..., 2:] - place], dim=-1).clamp(min=SHORTEST_DISTANCE)
    return torch.where(answers.any(dim=-1)[..., None], distances, torch.nan)


def _flattened(maps: Sequence[BoxMaps], boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Logits, distances, quality, centres, targets of all cells of all levels: (N, cells, ...)."""
    rows = []
    for level, level_maps in enumerate(maps):
        height, width = level_maps.class_logits.shape[-2:]
        centres = cell_centres(height, width, BOX_STRIDES[level]).flatten(0, 1).to(boxes.device)
        rows.append(
            (
                level_maps.class_logits.flatten(1),
                level_maps.distances.flatten(2).movedim(1, -1),
                level_maps.quality_logits.flatten(1),
                centres.expand(len(boxes), -1, -1),
                assigned_distances(boxes, centres, level),
            )
        )
    logits, distances, quality, centres, targets = (torch.cat(parts, dim=1) for parts in zip(*rows, strict=True))
    return logits, distances, quality, centres, targets
