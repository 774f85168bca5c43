"""The baselines can also be built as large as in their own papers."""

import pytest
import torch

from builders.bright_blobs import bright_blobs
from pipeline.baselines.build import BaselineKind, build_paper_baseline
from pipeline.baselines.faster_rcnn import paper_faster_rcnn
from pipeline.baselines.net import BaselineNet
from pipeline.baselines.ssd import paper_ssd
from pipeline.baselines.yolo import PAPER_SIZE, YoloNet, paper_yolo


def check_one_step(net: BaselineNet) -> None:
    """A loss with gradients for every weight that is trained, and boxes in the pixels of the slice."""
    torch.set_num_threads(1)
    images, boxes = bright_blobs(1)
    loss = net.losses(images, boxes)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
    assert torch.isfinite(loss)
    assert all(weight.grad is not None for weight in net.parameters())
    with torch.inference_mode():
        (found,) = net.detect(images)
    assert (found.boxes <= 64.0).all()
    assert net.shared_encoder() is None


def million_weights(net: BaselineNet) -> float:
    """How large a network is."""
    return sum(weight.numel() for weight in net.parameters()) / 1e6


def test_faster_rcnn_has_resnet_50_and_takes_a_step() -> None:
    """On a slice that is not enlarged as far as in the paper."""
    net = paper_faster_rcnn(shorter_side=64)
    assert 40.0 < million_weights(net) < 43.0
    check_one_step(net)


@pytest.mark.slow
def test_ssd_300_has_vgg_16_and_takes_a_step() -> None:
    """At 300 x 300."""
    net = paper_ssd()
    assert 23.0 < million_weights(net) < 25.0
    check_one_step(net)


def test_yolov3_has_darknet_53_and_takes_a_step() -> None:
    """On a square smaller than the paper's."""
    net = paper_yolo(square=64)
    assert 61.0 < million_weights(net) < 63.0
    check_one_step(net)


def test_the_paper_size_of_yolov3_sees_squares_of_416() -> None:
    """As in table 3 of its paper."""
    net = build_paper_baseline(BaselineKind.YOLO_V3)
    assert isinstance(net, YoloNet)
    assert net.square == PAPER_SIZE == 416
