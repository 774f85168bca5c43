"""torchvision works beside a CPU build of torch, with operators that give what their definitions say."""

import itertools
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.baselines.build import BaselineKind, build_baseline
from pipeline.baselines.errors import BaselineError
from pipeline.baselines.operators import torchvision_module
from pipeline.baselines.roi_align import RegionPooling, roi_align
from pipeline.baselines.suppression import nms
from pipeline.boxes import suppressed

BUILD_WITH_OPERATORS = """
import torch
library = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.impl("nms", lambda dets, scores, iou_threshold: torch.tensor([7]), "CPU")
from pipeline.baselines.operators import provide_operators
from pathlib import Path
assert provide_operators(Path("nowhere")) is None
assert torch.ops.torchvision.nms(torch.rand(1, 4), torch.rand(1), 0.5).tolist() == [7]
assert not hasattr(torch.ops.torchvision, "roi_align")
"""


def some_boxes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes that overlap in chains, with scores of which some are equal."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand((count, 2), generator=generator) * 30.0
    size = torch.rand((count, 2), generator=generator) * 25.0
    scores = (torch.rand(count, generator=generator) * 50.0).round() / 50.0
    return torch.cat([corner, corner + size], dim=1), scores


def greedy_nms(boxes: list[list[float]], scores: list[float], threshold: float) -> list[int]:
    """The definition: take the best, drop what overlaps it, go on."""
    left = sorted(range(len(boxes)), key=lambda index: -scores[index])
    taken = []
    while left:
        best = left.pop(0)
        taken.append(best)
        left = [other for other in left if iou(boxes[best], boxes[other]) <= threshold]
    return taken


def iou(one: list[float], other: list[float]) -> float:
    """Of two boxes; 0 where they have no area."""
    sides = [max(0.0, min(one[k + 2], other[k + 2]) - max(one[k], other[k])) for k in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    common = sides[0] * sides[1]
    return common / (sum(areas) - common) if sum(areas) > common else 0.0


def bilinear(plane: Tensor, y: float, x: float) -> Tensor:
    """One sample; beyond one cell outside of the plane there is nothing."""
    height, width = plane.shape
    if not (-1.0 <= y <= height and -1.0 <= x <= width):
        return plane.new_zeros(())
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    value = plane.new_zeros(())
    for row, column in itertools.product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
        weight = max(0.0, 1.0 - abs(y - row)) * max(0.0, 1.0 - abs(x - column))
        value = value + weight * plane[min(row, height - 1), min(column, width - 1)]
    return value


def bin_mean(plane: Tensor, region: list[float], place: tuple[int, int], pooling: RegionPooling) -> Tensor:
    """One bin of one region, sample by sample."""
    shift = 0.5 if pooling.aligned else 0.0
    x0, y0, x1, y1 = (value * pooling.spatial_scale - shift for value in region)
    width, height = (side if pooling.aligned else max(side, 1.0) for side in (x1 - x0, y1 - y0))
    step_y, step_x = height / pooling.pooled_height, width / pooling.pooled_width
    count_y, count_x = (
        pooling.sampling_ratio if pooling.sampling_ratio > 0 else math.ceil(step) for step in (step_y, step_x)
    )
    samples = [
        bilinear(plane, y0 + (place[0] + (i + 0.5) / count_y) * step_y, x0 + (place[1] + (j + 0.5) / count_x) * step_x)
        for i in range(count_y)
        for j in range(count_x)
    ]
    return torch.stack(samples).sum() / max(1, count_y * count_x)


def slow_roi_align(features: Tensor, regions: Tensor, pooling: RegionPooling) -> Tensor:
    """Bin by bin."""
    bins = list(itertools.product(range(pooling.pooled_height), range(pooling.pooled_width)))
    rows = [
        torch.stack([bin_mean(plane, region[1:], place, pooling) for place in bins])
        for region in regions.tolist()
        for plane in features[int(region[0])]
    ]
    shape = (len(regions), features.shape[1], pooling.pooled_height, pooling.pooled_width)
    return torch.stack(rows).reshape(shape)


REGIONS = torch.tensor(
    [[0, 3.0, 5.0, 17.0, 12.5], [1, -6.0, -9.0, 9.0, 40.0], [1, 8.0, 8.0, 8.4, 8.2], [0, 20.0, 2.0, 60.0, 33.0]],
    dtype=torch.float64,
)


@pytest.mark.parametrize("seed", range(6))
def test_nms_keeps_what_the_greedy_definition_keeps(seed: int) -> None:
    """In the same order, whatever the threshold."""
    boxes, scores = some_boxes(60, seed)
    for threshold in (0.0, 0.3, 0.5, 0.9):
        assert nms(boxes, scores, threshold).tolist() == greedy_nms(boxes.tolist(), scores.tolist(), threshold)


def test_nms_agrees_with_the_suppression_of_the_product() -> None:
    """Both are used on the same boxes."""
    boxes, scores = some_boxes(80, 11)
    assert nms(boxes, scores, 0.5).tolist() == suppressed(boxes, scores, 0.5).tolist()


def test_nms_of_nothing_is_nothing() -> None:
    """A slice without a candidate."""
    assert nms(torch.zeros((0, 4)), torch.zeros(0), 0.5).tolist() == []


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [2, 0])
def test_roi_align_is_the_mean_of_bilinear_samples(*, aligned: bool, sampling_ratio: int) -> None:
    """Regions inside, across the border, smaller than a cell, larger than the map."""
    features = torch.rand((2, 3, 9, 11), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    pooling = RegionPooling(0.25, 3, 2, sampling_ratio, aligned)
    torch.testing.assert_close(
        roi_align(features, REGIONS, pooling), slow_roi_align(features, REGIONS, pooling), rtol=1e-9, atol=1e-9
    )


def test_roi_align_hands_back_the_gradient_of_its_definition() -> None:
    """To the features, for a weighting of all bins."""
    generator = torch.Generator().manual_seed(2)
    features = torch.rand((2, 2, 7, 6), dtype=torch.float64, generator=generator, requires_grad=True)
    pooling = RegionPooling(0.25, 2, 3, 2, False)
    weight = torch.rand((4, 2, 2, 3), dtype=torch.float64, generator=generator)
    ours, truth = (
        torch.autograd.grad((operator(features, REGIONS, pooling) * weight).sum(), features)[0]
        for operator in (roi_align, slow_roi_align)
    )
    torch.testing.assert_close(ours, truth, rtol=1e-9, atol=1e-9)


def test_roi_align_of_no_region_is_empty_but_has_a_gradient() -> None:
    """Where a level of a pyramid gets no region."""
    features = torch.rand((1, 3, 4, 4), requires_grad=True)
    pooled = roi_align(features, torch.zeros((0, 5)), RegionPooling(0.5, 7, 7, 2, False))
    assert pooled.shape == (0, 3, 7, 7)
    pooled.sum().backward()  # type: ignore[no-untyped-call]  # torch has no type for it


def test_torchvision_imports_and_its_operators_are_differentiable() -> None:
    """On every build of torch, also under autocast."""
    operators = torchvision_module("ops")
    boxes, scores = some_boxes(30, 3)
    assert operators.nms(boxes, scores, 0.5).tolist() == nms(boxes, scores, 0.5).tolist()
    features = torch.rand((2, 3, 9, 11), requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = operators.roi_align(features, REGIONS.float(), (3, 2), 0.25, 2)
    pooling = RegionPooling(0.25, 3, 2, 2, False)
    torch.testing.assert_close(pooled, roi_align(features, REGIONS.float(), pooling))
    assert torch.autograd.grad(pooled.sum(), features)[0].abs().sum() > 0


def test_a_build_that_brings_operators_is_left_alone() -> None:
    """Nothing is defined where the operators are there."""
    done = subprocess.run([sys.executable, "-c", BUILD_WITH_OPERATORS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_the_baselines_know_torchvision() -> None:
    """The node runs without it."""
    root = Path(__file__).resolve().parents[2]
    modules = [path for package in ("dicom_node", "pipeline", "storage") for path in (root / package).rglob("*.py")]
    assert len(modules) > 50, "the check looked at too few files"
    users = {path.parent.name for path in modules if re.search(r"(import|from|\") ?torchvision", path.read_text())}
    assert users == {"baselines"}


def test_torchvision_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(BaselineError, match=r"pip install '\.\[baselines\]'"):
        build_baseline(BaselineKind.SSD)


def test_yolov3_needs_no_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is all our own."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with torch.inference_mode():
        assert len(build_baseline(BaselineKind.YOLO_V3).detect(torch.rand(2, 4, 32, 32))) == 2
