"""YOLOv3, written from its paper (Redmon & Farhadi 2018, arXiv 1804.02767), in two sizes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.baselines.darknet import ConvUnit, Darknet53
from pipeline.baselines.net import LEAST_CANDIDATE, MOST_BOXES, MOST_CANDIDATES, SAME_LESION, BaselineNet
from pipeline.baselines.suppression import nms
from pipeline.baselines.yolo_boxes import (
    ANCHORS_PER_CELL,
    OUTPUTS,
    Assignment,
    Predictions,
    assignment_of,
    best_overlap,
    predictions_of,
)
from pipeline.boxes import SliceBoxes
from pipeline.space_time import Encoder, SpaceTimeConfig
from pipeline.training.losses import overlap_of_pairs

LESION_ANCHORS = (
    (1.9, 1.9),
    (4.2, 8.1),
    (8.5, 7.1),
    (12.0, 12.9),
    (18.7, 16.6),
    (13.4, 25.0),
    (28.7, 23.3),
    (25.8, 35.3),
    (42.9, 43.0),
)
"""Pixels of 1.5 mm: `fitted_shapes` of the boxes in training crops of phantoms; a training fits them to its own cases."""

SMALL_WIDTHS = (64, 96, 160)
"""Channels of the small size's heads at strides 8, 16, 32; 256, 512, 1024 in the paper."""

PAPER_SIZE = 416
"""Side of the square that the paper's size sees."""

FIRST_OBJECTNESS = -6.5
"""First bias of objectness: of some 900 predictions of a crop about one answers for a lesion."""

BOX_WEIGHT, OBJECT_WEIGHT, CLASS_WEIGHT = 2.0, 1.0, 0.5


class YoloNeck(nn.Module):
    """Heads at three scales; what a coarse one has found goes up into the next finer one (section 2.3)."""

    def __init__(self, inputs: tuple[int, ...], widths: tuple[int, ...]) -> None:
        """Both from stride 8 to 32: channels of the backbone's maps, and of the heads."""
        super().__init__()
        routed = [*(width // 4 for width in widths[1:]), 0]
        mixed = [own + coarse for own, coarse in zip(inputs, routed, strict=True)]
        self.sets = nn.ModuleList(_five_convolutions(*pair) for pair in zip(mixed, widths, strict=True))
        self.routes = nn.ModuleList(ConvUnit(width // 2, width // 4, 1) for width in widths[1:])
        self.heads = nn.ModuleList(_head(width) for width in widths)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Maps at strides 8, 16, 32 to raw predictions (N, 3 * 6, h, w) at the same."""
        raw: list[Tensor] = []
        features = self.sets[-1](levels[-1])
        raw.append(self.heads[-1](features))
        for index in reversed(range(len(levels) - 1)):
            size = levels[index].shape[-2:]
            raised = functional.interpolate(self.routes[index](features), size=size, mode="nearest")
            features = self.sets[index](torch.cat([raised, levels[index]], dim=1))
            raw.append(self.heads[index](features))
        return raw[::-1]


class YoloNet(BaselineNet):
    """YOLOv3 behind the interface of the baselines."""

    anchors: Tensor

    def __init__(self, backbone: nn.Module, neck: YoloNeck, *, square: int | None = None) -> None:
        """`backbone` gives maps at strides 8, 16, 32 last; `square` is the side to which slices are resized."""
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.square = square
        self.register_buffer("anchors", torch.tensor(LESION_ANCHORS))

    def losses(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Generalised IoU of the boxes, cross-entropy of objectness and class.

        A prediction that is not asked but overlaps a lesion by more than a half is not told that there is none.
        """
        maps, scale = self._maps(images)
        boxes = boxes * scale
        found = predictions_of(maps, self.anchors)
        wanted = assignment_of(boxes, self.anchors, [level.shape[-2:] for level in maps])
        per = max(len(wanted.boxes), len(images))
        return (_object_loss(found, wanted, boxes) + _lesion_loss(found, wanted)) / per

    def detect(self, images: Tensor) -> list[SliceBoxes]:
        """See `BaselineNet`."""
        maps, scale = self._maps(images)
        found = predictions_of(maps, self.anchors)
        scores = found.objectness.sigmoid() * found.class_logits.sigmoid()
        limit = images.new_tensor([images.shape[-1], images.shape[-2]]).repeat(2)
        boxes = torch.minimum((found.boxes / scale).clamp(min=0), limit)
        return [_best(*pair) for pair in zip(boxes, scores, strict=True)]

    def shared_encoder(self) -> Encoder | None:
        """Of the small size."""
        return self.backbone if isinstance(self.backbone, Encoder) else None

    def _maps(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Raw predictions, with what x, y, x, y of the slice are multiplied by to lie in what the network saw."""
        scale = images.new_ones(4)
        if self.square is not None:
            scale = self.square / images.new_tensor([images.shape[-1], images.shape[-2]]).repeat(2)
            images = functional.interpolate(images, size=(self.square, self.square), mode="bilinear")
        return self.neck(self.backbone(images)[-3:]), scale


def small_yolo(config: SpaceTimeConfig) -> YoloNet:
    """On the encoder of Space-Time-Net, for slices of any size as they are."""
    return YoloNet(Encoder(config), YoloNeck(config.widths[1:], SMALL_WIDTHS))


def paper_yolo(channels: int = 4, *, square: int = PAPER_SIZE) -> YoloNet:
    """Darknet-53, every slice resized to 416 x 416."""
    return YoloNet(Darknet53(channels), YoloNeck(Darknet53.widths, Darknet53.widths), square=square)


def _five_convolutions(inputs: int, width: int) -> nn.Sequential:
    half = width // 2
    return nn.Sequential(
        ConvUnit(inputs, half, 1),
        ConvUnit(half, width, 3),
        ConvUnit(width, half, 1),
        ConvUnit(half, width, 3),
        ConvUnit(width, half, 1),
    )


def _head(width: int) -> nn.Sequential:
    outputs = nn.Conv2d(width, ANCHORS_PER_CELL * OUTPUTS, 1)
    nn.init.normal_(outputs.weight, std=0.01)
    bias = torch.tensor([0.0, 0.0, 0.0, 0.0, FIRST_OBJECTNESS, 0.0])
    outputs.bias = nn.Parameter(bias.repeat(ANCHORS_PER_CELL))
    return nn.Sequential(ConvUnit(width // 2, width, 3), outputs)


def _object_loss(found: Predictions, wanted: Assignment, boxes: Tensor) -> Tensor:
    """Summed over all predictions that are judged."""
    truth = torch.zeros_like(found.objectness)
    truth[wanted.slices, wanted.places] = 1.0
    near = best_overlap(found.boxes.detach(), boxes) > SAME_LESION
    judged = (truth.bool() | ~near).float()
    total = functional.binary_cross_entropy_with_logits(found.objectness, truth, judged, reduction="sum")
    return OBJECT_WEIGHT * total


def _lesion_loss(found: Predictions, wanted: Assignment) -> Tensor:
    """Box and class, summed over the predictions that answer for a lesion."""
    at = (wanted.slices, wanted.places)
    _, generalised = overlap_of_pairs(found.boxes[at], wanted.boxes)
    classes = found.class_logits[at]
    wrong_class = functional.binary_cross_entropy_with_logits(classes, torch.ones_like(classes), reduction="sum")
    return BOX_WEIGHT * (1.0 - generalised).sum() + CLASS_WEIGHT * wrong_class


def _best(boxes: Tensor, scores: Tensor) -> SliceBoxes:
    likely = scores >= LEAST_CANDIDATE
    boxes, scores = boxes[likely], scores[likely]
    top = scores.topk(min(MOST_CANDIDATES, len(scores))).indices
    stays = top[nms(boxes[top], scores[top], SAME_LESION)][:MOST_BOXES]
    return SliceBoxes(boxes=boxes[stays], scores=scores[stays])
