"""SSD (Liu et al. 2016) by torchvision, in two sizes."""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.baselines.anchors import AnchorGrid, shapes_of
from pipeline.baselines.net import (
    LEAST_CANDIDATE,
    MOST_BOXES,
    MOST_CANDIDATES,
    SAME_LESION,
    BaselineNet,
    FullPrecisionOutputs,
    mode,
)
from pipeline.baselines.operators import torchvision_module
from pipeline.baselines.torchvision_parts import LESION_CLASSES, SlicesAsTheyAre, slice_boxes_of, targets_of
from pipeline.boxes import SliceBoxes
from pipeline.detection_head import NormedConv
from pipeline.space_time import Encoder, SpaceTimeConfig

STRIDES = (4, 8, 16, 32, 64)

SCALES = (6.0, 12.0, 24.0, 44.0, 72.0, 110.0)
"""Pixels of 1.5 mm: one per level and one beyond, as s_k of the paper."""

EXTRA_WIDTH = 128
"""Channels of the map beyond the encoder."""

RESULT_SETTINGS: dict[str, Any] = {
    "score_thresh": LEAST_CANDIDATE,
    "nms_thresh": SAME_LESION,
    "detections_per_img": MOST_BOXES,
    "topk_candidates": MOST_CANDIDATES,
}


class SsdNet(BaselineNet):
    """torchvision's SSD behind the interface of the baselines."""

    def __init__(self, detector: nn.Module) -> None:
        """`detector` is a `torchvision.models.detection.ssd.SSD`."""
        super().__init__()
        self.detector: Any = detector

    def losses(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Box and class of the default boxes; three negatives per positive, the hardest of the whole batch.

        torchvision takes the negatives of each image by its own positives, so that a slice without a lesion would
        teach nothing; here the batch is handed to its loss as if it were one image.
        """
        image_list, targets = self.detector.transform(list(images), targets_of(boxes))
        outputs, anchors = self._outputs(image_list)
        matches = [self._matches(target["boxes"], anchors[0]) for target in targets]
        starts = torch.tensor([0, *(len(target["boxes"]) for target in targets)]).cumsum(dim=0)[:-1].tolist()
        matched = torch.cat(
            [torch.where(row >= 0, row + start, -1) for row, start in zip(matches, starts, strict=True)]
        )
        together = {name: torch.cat([target[name] for target in targets]) for name in ("boxes", "labels")}
        flat = {name: values.flatten(0, 1)[None] for name, values in outputs.items()}
        parts: dict[str, Tensor] = self.detector.compute_loss([together], flat, [torch.cat(anchors)], [matched])
        return sum(parts.values(), images.new_zeros(()))

    def _outputs(self, image_list: Any) -> tuple[dict[str, Tensor], list[Tensor]]:
        features = list(self.detector.backbone(image_list.tensors).values())
        return self.detector.head(features), self.detector.anchor_generator(image_list, features)

    def _matches(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Which box each anchor answers for, -1 for none."""
        if not len(boxes):
            return torch.full((len(anchors),), -1, device=anchors.device)
        matches: Tensor = self.detector.proposal_matcher(torchvision_module("ops").box_iou(boxes, anchors))
        return matches

    def detect(self, images: Tensor) -> list[SliceBoxes]:
        """See `BaselineNet`."""
        with mode(self.detector, training=False):
            return slice_boxes_of(self.detector(list(images)))

    def shared_encoder(self) -> Encoder | None:
        """Of the small size."""
        backbone = self.detector.backbone
        return backbone.encoder if isinstance(backbone, ExtendedEncoder) else None


class ExtendedEncoder(nn.Module):
    """Space-Time-Net's encoder and one coarser map, as SSD puts behind its backbone."""

    def __init__(self, encoder: Encoder, last_width: int) -> None:
        """`last_width` is that of the encoder's coarsest map."""
        super().__init__()
        self.encoder = encoder
        self.extra = NormedConv(last_width, EXTRA_WIDTH, stride=2)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 4, H, W) to maps at strides 4 to 64."""
        levels = self.encoder(images)
        # In float32: torch 2.13 leaves the weight gradient of this convolution partly unset in bfloat16 on the CPU where
        # the map has one pixel, as on crops of 32.
        with torch.autocast(images.device.type, enabled=False):
            levels.append(self.extra(levels[-1].float()))
        return {str(number): level for number, level in enumerate(levels)}


def default_shapes(level: int) -> list[tuple[float, float]]:
    """As in section 2.2 of the paper: a square, one of the size between this level and the next, and 1:2 both ways."""
    size, next_size = SCALES[level : level + 2]
    return shapes_of([size], [0.5, 1.0, 2.0]) + shapes_of([(size * next_size) ** 0.5], [1.0])


def small_ssd(config: SpaceTimeConfig) -> SsdNet:
    """On the encoder of Space-Time-Net, for slices of any size as they are."""
    ssd = torchvision_module("models.detection.ssd")
    shapes = [default_shapes(level) for level in range(len(STRIDES))]
    widths = [*config.widths, EXTRA_WIDTH]
    head = ssd.SSDHead(widths, [len(level) for level in shapes], LESION_CLASSES)
    detector = ssd.SSD(
        ExtendedEncoder(Encoder(config), config.widths[-1]),
        AnchorGrid(shapes, STRIDES),
        size=(1, 1),
        num_classes=LESION_CLASSES,
        head=FullPrecisionOutputs(head),
        **RESULT_SETTINGS,
    )
    detector.transform = SlicesAsTheyAre()
    return SsdNet(detector)


def paper_ssd(channels: int = 4) -> SsdNet:
    """SSD300: VGG-16, every slice resized to 300 x 300."""
    ssd = torchvision_module("models.detection.ssd")
    detector = ssd.ssd300_vgg16(
        weights=None,
        weights_backbone=None,
        num_classes=LESION_CLASSES,
        image_mean=[0.0] * channels,
        image_std=[1.0] * channels,
        **RESULT_SETTINGS,
    )
    detector.backbone.features[0] = nn.Conv2d(channels, 64, 3, padding=1)
    return SsdNet(detector)
