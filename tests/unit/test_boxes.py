"""Boxes in the plane."""

import torch

from pipeline.boxes import BOX_STRIDES, BoxMaps, box_overlap, decode_boxes, suppressed


def empty_maps(*, slices: int = 2, side: int = 64) -> list[BoxMaps]:
    """Maps that claim nothing anywhere."""
    return [
        BoxMaps(
            class_logits=torch.full((slices, 1, side // stride, side // stride), -20.0),
            distances=torch.full((slices, 4, side // stride, side // stride), 4.0),
            quality_logits=torch.full((slices, 1, side // stride, side // stride), 20.0),
        )
        for stride in BOX_STRIDES
    ]


def test_a_map_that_claims_nothing_gives_no_boxes() -> None:
    """Every slice gets its own, empty, answer."""
    found = decode_boxes(empty_maps(), score_threshold=0.1)
    assert [len(slice_boxes.boxes) for slice_boxes in found] == [0, 0]


def test_a_box_lies_about_the_middle_of_its_cell() -> None:
    """Cell (row 2, column 3) at stride 8 is about x 28, y 20."""
    maps = empty_maps()
    maps[0].class_logits[1, 0, 2, 3] = 20.0
    maps[0].distances[1, :, 2, 3] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    none, found = decode_boxes(maps, score_threshold=0.5)
    assert len(none.boxes) == 0
    assert found.boxes.tolist() == [[27.0, 18.0, 31.0, 24.0]]


def test_only_the_best_of_overlapping_boxes_stays() -> None:
    """The best comes first; one that stands alone stays too."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [1.0, 0, 11, 10], [40.0, 40, 50, 50]])
    assert suppressed(boxes, torch.tensor([0.6, 0.9, 0.5]), 0.5).tolist() == [1, 2]


def test_overlap_of_a_box_with_itself_is_one_and_with_a_stranger_zero() -> None:
    """Intersection over union."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [5.0, 0, 15, 10], [40.0, 40, 50, 50]])
    torch.testing.assert_close(box_overlap(boxes[:1], boxes)[0], torch.tensor([1.0, 1.0 / 3.0, 0.0]))


def test_no_more_boxes_than_the_maximum() -> None:
    """The best ones are kept."""
    maps = empty_maps(slices=1)
    maps[0].class_logits.fill_(3.0)
    maps[0].class_logits[0, 0, 0, 0] = 9.0
    maps[0].distances.fill_(1.0)
    (found,) = decode_boxes(maps, score_threshold=0.1, maximum=5)
    assert len(found.boxes) == 5
    assert found.boxes[0].tolist() == [3.0, 3.0, 5.0, 5.0]
