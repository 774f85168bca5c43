"""Faster R-CNN with a feature pyramid (Ren et al. 2015, Lin et al. 2017) by torchvision, in two sizes."""

import functools
from typing import Any

from torch import Tensor, nn

from pipeline.baselines.anchors import AnchorGrid, shapes_of
from pipeline.baselines.net import (
    LEAST_CANDIDATE,
    MOST_BOXES,
    SAME_LESION,
    BaselineNet,
    FullPrecisionOutputs,
    mode,
)
from pipeline.baselines.operators import torchvision_module
from pipeline.baselines.torchvision_parts import LESION_CLASSES, SlicesAsTheyAre, slice_boxes_of, targets_of
from pipeline.boxes import SliceBoxes
from pipeline.space_time import Encoder, SpaceTimeConfig

STRIDES = (4, 8, 16, 32)

ANCHOR_SIZES = ((6.0, 9.0), (13.0, 19.0), (27.0, 38.0), (54.0, 80.0))
"""Roots of areas in pixels of 1.5 mm, two per level; of the lesions' boxes half lie between 10 and 24 pixels."""

ANCHOR_RATIOS = (0.5, 1.0, 2.0)

WIDTH = 48
"""Channels of the pyramid; 256 in the paper's size."""

REPRESENTATION = 256
"""Of a region; 1024 in the paper's size."""

SMALL_SETTINGS: dict[str, Any] = {
    "rpn_pre_nms_top_n_train": 64,
    "rpn_pre_nms_top_n_test": 128,
    "rpn_post_nms_top_n_train": 64,
    "rpn_post_nms_top_n_test": 64,
    "rpn_batch_size_per_image": 64,
    "box_batch_size_per_image": 16,
}
"""A slice shows a handful of lesions, not a hundred objects: fewer proposals than the paper's 2000, and fewer samples of
each of many slices than of its one or two images."""

RESULT_SETTINGS: dict[str, Any] = {
    "box_score_thresh": LEAST_CANDIDATE,
    "box_nms_thresh": SAME_LESION,
    "box_detections_per_img": MOST_BOXES,
}


class FasterRcnnNet(BaselineNet):
    """torchvision's Faster R-CNN behind the interface of the baselines."""

    def __init__(self, detector: nn.Module) -> None:
        """`detector` is a `torchvision.models.detection.FasterRCNN`."""
        super().__init__()
        self.detector = detector

    def losses(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Sum of the four: objectness and box of proposals, class and box of regions."""
        with mode(self.detector, training=True):
            parts: dict[str, Tensor] = self.detector(list(images), targets_of(boxes))
        return sum(parts.values(), images.new_zeros(()))

    def detect(self, images: Tensor) -> list[SliceBoxes]:
        """See `BaselineNet`."""
        with mode(self.detector, training=False):
            return slice_boxes_of(self.detector(list(images)))

    def shared_encoder(self) -> Encoder | None:
        """Of the small size."""
        backbone = self.detector.backbone
        return backbone.encoder if isinstance(backbone, PyramidBackbone) else None


class PyramidBackbone(nn.Module):
    """Space-Time-Net's encoder under a feature pyramid."""

    def __init__(self, encoder: Encoder, widths: tuple[int, ...], channels: int) -> None:
        """`widths` are the encoder's."""
        super().__init__()
        self.out_channels = channels
        self.encoder = encoder
        self.pyramid = torchvision_module("ops").FeaturePyramidNetwork(list(widths), channels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 4, H, W) to float32 maps "0" to "3" at strides 4 to 32."""
        levels = self.encoder(images)
        maps = self.pyramid({str(number): level for number, level in enumerate(levels)})
        return {name: features.float() for name, features in maps.items()}


def small_faster_rcnn(config: SpaceTimeConfig) -> FasterRcnnNet:
    """On the encoder of Space-Time-Net, for slices of any size as they are."""
    detection = torchvision_module("models.detection")
    shapes = [shapes_of(sizes, ANCHOR_RATIOS) for sizes in ANCHOR_SIZES]
    regions = torchvision_module("ops").MultiScaleRoIAlign(
        ["0", "1", "2"], output_size=7, sampling_ratio=2, canonical_scale=112
    )
    head = detection.faster_rcnn.TwoMLPHead(WIDTH * 7**2, REPRESENTATION)
    predictor = detection.faster_rcnn.FastRCNNPredictor(REPRESENTATION, LESION_CLASSES)
    detector = detection.FasterRCNN(
        PyramidBackbone(Encoder(config), config.widths, WIDTH),
        rpn_head=FullPrecisionOutputs(detection.rpn.RPNHead(WIDTH, len(shapes[0]))),
        box_roi_pool=regions,
        box_head=head,
        box_predictor=FullPrecisionOutputs(predictor),
        **SMALL_SETTINGS,
        **RESULT_SETTINGS,
    )
    detector.rpn.anchor_generator = AnchorGrid(shapes, STRIDES)
    detector.transform = SlicesAsTheyAre()
    return FasterRcnnNet(detector)


def paper_faster_rcnn(channels: int = 4, *, shorter_side: int = 600, longest_side: int = 1000) -> FasterRcnnNet:
    """ResNet-50 with a pyramid, slices enlarged to 600 x 1000 at most as in the paper.

    Group norm stands where the paper has batch norm frozen at ImageNet's statistics: we have no such weights, and a
    batch holds few patients.
    """
    detection = torchvision_module("models.detection")
    backbone = detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=functools.partial(nn.GroupNorm, 32), trainable_layers=5
    )
    backbone.body.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    detector = detection.FasterRCNN(
        backbone,
        LESION_CLASSES,
        min_size=shorter_side,
        max_size=longest_side,
        image_mean=[0.0] * channels,
        image_std=[1.0] * channels,
        **RESULT_SETTINGS,
    )
    return FasterRcnnNet(detector)
