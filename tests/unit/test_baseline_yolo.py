"""YOLOv3 puts its predictions where its paper says, and blames the right ones."""

import pytest
import torch
from torch import Tensor

from pipeline.baselines.yolo_boxes import OUTPUTS, STRIDES, assignment_of, best_overlap, predictions_of

SIZES = [torch.Size((12, 16)), torch.Size((6, 8)), torch.Size((3, 4))]
ANCHORS = torch.tensor(
    [
        [4.0, 4.0],
        [9.0, 9.0],
        [12.0, 16.0],
        [18.0, 12.0],
        [17.0, 23.0],
        [26.0, 20.0],
        [25.0, 33.0],
        [37.0, 28.0],
        [42.0, 46.0],
    ]
)


def empty_maps() -> list[Tensor]:
    """What the heads would say of two slices of 96 x 128, all zero."""
    return [torch.zeros((2, 3 * OUTPUTS, *size)) for size in SIZES]


def some_boxes() -> Tensor:
    """Small, medium and large ones in the first slice, one at the border of the second."""
    first = [[10.0, 12.0, 15.0, 16.0], [40.0, 30.0, 58.0, 55.0], [60.0, 20.0, 110.0, 75.0]]
    second = [[118.0, 86.0, 128.0, 96.0], 4 * [torch.nan], 4 * [torch.nan]]
    return torch.tensor([first, second])


def test_a_prediction_of_zeros_is_its_anchor_in_the_middle_of_its_cell() -> None:
    """Sigmoid of 0 is the middle, e to the 0 the anchor's own size."""
    boxes = predictions_of(empty_maps(), ANCHORS).boxes[0]
    place = 1 * 12 * 16 + 5 * 16 + 7
    middle = (torch.tensor([7.5, 5.5]) * STRIDES[0]).repeat(2)
    half = torch.cat([-ANCHORS[1], ANCHORS[1]]) / 2
    torch.testing.assert_close(boxes[place], middle + half)


def test_the_prediction_that_answers_for_a_box_can_say_exactly_it() -> None:
    """The offset from its anchor to the box is within reach of a sigmoid, and decodes to the box."""
    boxes = some_boxes()
    wanted = assignment_of(boxes, ANCHORS, SIZES)
    found = predictions_of(empty_maps(), ANCHORS).boxes[wanted.slices, wanted.places]
    truth = boxes[~torch.isnan(boxes[..., 0])]
    torch.testing.assert_close(wanted.boxes, truth)
    shift = ((found[:, :2] + found[:, 2:]) - (truth[:, :2] + truth[:, 2:])).abs() / 2
    side = (found[:, 2:] - found[:, :2]) / (truth[:, 2:] - truth[:, :2])
    assert (shift <= 16.0).all()
    assert (side.log().abs() < 0.7).all()
    assert wanted.slices.tolist() == [0, 0, 0, 1]


def test_lesions_of_other_sizes_answer_at_other_strides() -> None:
    """Small anchors belong to fine maps."""
    places = assignment_of(some_boxes(), ANCHORS, SIZES).places
    levels = torch.bucketize(places, torch.tensor([3 * 12 * 16, 3 * (12 * 16 + 6 * 8)]), right=True)
    assert levels.tolist() == [0, 1, 2, 0]


def test_best_overlap_is_with_the_box_that_is_overlapped_most() -> None:
    """Rows of nan overlap nothing."""
    boxes = some_boxes()
    predicted = torch.tensor([[[40.0, 30.0, 58.0, 55.0]], [[0.0, 0.0, 20.0, 20.0]]])
    assert best_overlap(predicted, boxes).flatten().tolist() == pytest.approx([1.0, 0.0])
