"""The baselines learn, and what they find keeps the rules that all detectors share."""

import pytest
import torch
from torch import Tensor

from builders.bright_blobs import SIDE, bright_blobs
from pipeline.baselines.anchors import AnchorGrid, fitted_shapes, shapes_of
from pipeline.baselines.build import BaselineKind, build_baseline
from pipeline.baselines.net import LEAST_CANDIDATE, SAME_LESION, BaselineNet, known_boxes
from pipeline.boxes import box_overlap
from pipeline.space_time import SpaceTimeConfig

CONFIG = SpaceTimeConfig(widths=(16, 24, 32, 48))

STEPS = {BaselineKind.FASTER_RCNN: 60, BaselineKind.SSD: 60, BaselineKind.YOLO_V3: 60}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(4)


def small_net(kind: BaselineKind) -> BaselineNet:
    """With a narrow encoder."""
    return build_baseline(kind, CONFIG)


def train_on(net: BaselineNet, images: Tensor, boxes: Tensor, steps: int) -> None:
    """On one batch, seen again and again."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    for _ in range(steps):
        loss = net.losses(images, boxes)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        optimiser.step()


@pytest.mark.parametrize("kind", list(BaselineKind))
def test_a_baseline_learns_to_box_bright_blobs(kind: BaselineKind) -> None:
    """After some steps its best box is on the blob, and it is surer of it than of a slice without one."""
    net = small_net(kind)
    images, boxes = bright_blobs(9)
    train_on(net, images, boxes, STEPS[kind])
    with torch.inference_mode():
        found = net.detect(images)
    truth = [known_boxes(row) for row in boxes]
    blobs = [box_overlap(row, each.boxes[:1]) for row, each in zip(truth, found, strict=True) if len(row)]
    assert sum(float(overlap.sum()) > 0.5 for overlap in blobs) >= 5
    best = torch.tensor([float(each.scores.max()) if len(each.scores) else 0.0 for each in found])
    empty = torch.tensor([not len(row) for row in truth])
    assert best[~empty].median() > best[empty].max()


@pytest.mark.parametrize("kind", list(BaselineKind))
def test_boxes_are_sorted_apart_and_inside(kind: BaselineKind) -> None:
    """Even those of random weights."""
    with torch.inference_mode():
        found = small_net(kind).detect(torch.rand(2, 4, 64, 96))
    for each in found:
        assert (each.scores.diff() <= 0).all()
        assert (each.scores >= LEAST_CANDIDATE).all()
        assert (box_overlap(each.boxes, each.boxes).triu(diagonal=1) <= SAME_LESION + 1e-4).all()
        assert (each.boxes >= 0).all()
        assert (each.boxes <= torch.tensor([96.0, 64.0, 96.0, 64.0])).all()


@pytest.mark.parametrize("kind", list(BaselineKind))
def test_a_slice_is_read_the_same_beside_any_other(kind: BaselineKind) -> None:
    """How slices are chunked changes nothing."""
    net = small_net(kind)
    images, _ = bright_blobs(3)
    with torch.inference_mode():
        together, alone = net.detect(images), net.detect(images[1:2])
    torch.testing.assert_close(together[1].boxes, alone[0].boxes, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(together[1].scores, alone[0].scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", list(BaselineKind))
def test_a_slice_without_a_lesion_teaches_too(kind: BaselineKind) -> None:
    """What looks like a lesion there is a hard negative, though the slice has no positive."""
    images, boxes = bright_blobs(3)
    images[2] = images[0]
    net = small_net(kind)
    train_on(net, images[:2], boxes[:2], steps=10)
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(net.losses(images, boxes), images)
    assert gradient[2].abs().sum() > 0


@pytest.mark.parametrize("kind", list(BaselineKind))
def test_a_batch_without_any_lesion_has_a_loss(kind: BaselineKind) -> None:
    """It is finite and can be descended."""
    images, boxes = bright_blobs(2)
    loss = small_net(kind).losses(images, torch.full_like(boxes, torch.nan))
    assert torch.isfinite(loss)
    assert loss.requires_grad


@pytest.mark.parametrize("kind", list(BaselineKind))
def test_the_encoder_is_that_of_space_time_net(kind: BaselineKind) -> None:
    """So that all models share it."""
    encoder = small_net(kind).shared_encoder()
    assert encoder is not None
    assert [level.shape[1] for level in encoder(torch.rand(1, 4, SIDE, SIDE))] == list(CONFIG.widths)


@pytest.mark.parametrize("kind", list(BaselineKind))
def test_losses_and_boxes_leave_the_mode_as_it_was(kind: BaselineKind) -> None:
    """torchvision's detectors are switched, and switched back."""
    images, boxes = bright_blobs(2)
    for training in (True, False):
        net = small_net(kind).train(training)
        net.losses(images, boxes)
        net.detect(images)
        assert all(part.training == training for part in net.modules())


def test_anchors_do_not_depend_on_the_size_of_the_slice() -> None:
    """A lesion meets the same anchors in a crop as in a whole slice."""
    grid = AnchorGrid([shapes_of([12.0], [0.5, 2.0])], [8])
    crop, whole = (grid(None, [torch.zeros(2, 1, *size)]) for size in ((3, 4), (9, 4)))
    torch.testing.assert_close(whole[1][: len(crop[0])], crop[0])
    assert len(whole) == 2


def test_fitted_shapes_find_the_groups_of_boxes() -> None:
    """Three kinds of lesions, three anchors."""
    generator = torch.Generator().manual_seed(1)
    middles = torch.tensor([[6.0, 8.0], [20.0, 10.0], [40.0, 50.0]])
    shapes = middles.repeat(40, 1) * (0.95 + 0.1 * torch.rand((120, 2), generator=generator))
    torch.testing.assert_close(fitted_shapes(shapes, 3, generator), middles, rtol=0.05, atol=0.1)
