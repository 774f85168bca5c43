"""Baselines by name."""

from collections.abc import Callable
from enum import StrEnum

from pipeline.baselines.faster_rcnn import paper_faster_rcnn, small_faster_rcnn
from pipeline.baselines.net import BaselineNet
from pipeline.baselines.ssd import paper_ssd, small_ssd
from pipeline.baselines.yolo import paper_yolo, small_yolo
from pipeline.space_time import SpaceTimeConfig


class BaselineKind(StrEnum):
    """The detectors that the paper compares with."""

    FASTER_RCNN = "faster-rcnn"
    SSD = "ssd"
    YOLO_V3 = "yolov3"

    @property
    def written(self) -> str:
        """As its paper writes it."""
        return _WRITTEN[self]


_WRITTEN = {BaselineKind.FASTER_RCNN: "Faster R-CNN", BaselineKind.SSD: "SSD", BaselineKind.YOLO_V3: "YOLOv3"}

_SMALL: dict[BaselineKind, Callable[[SpaceTimeConfig], BaselineNet]] = {
    BaselineKind.FASTER_RCNN: small_faster_rcnn,
    BaselineKind.SSD: small_ssd,
    BaselineKind.YOLO_V3: small_yolo,
}

_PAPER: dict[BaselineKind, Callable[[], BaselineNet]] = {
    BaselineKind.FASTER_RCNN: paper_faster_rcnn,
    BaselineKind.SSD: paper_ssd,
    BaselineKind.YOLO_V3: paper_yolo,
}


def build_baseline(kind: BaselineKind, config: SpaceTimeConfig | None = None) -> BaselineNet:
    """A baseline on the encoder of Space-Time-Net, with random weights.

    Args:
        kind: Which detector.
        config: Gives the channels and widths of the encoder; the default is that of Space-Time-Net.

    Raises:
        BaselineError: torchvision is not installed, and the detector is one of its own.
    """
    return _SMALL[kind](config or SpaceTimeConfig())


def build_paper_baseline(kind: BaselineKind) -> BaselineNet:
    """A baseline of the size in its own paper, with random weights: for machines with a GPU.

    Raises:
        BaselineError: torchvision is not installed, and the detector is one of its own.
    """
    return _PAPER[kind]()
