"""A baseline is evaluated on the same slices and by the same rules as Space-Time-Net."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.baselines.detector import CHUNK_SLICES, NO_BOX_LOGIT, BaselineDetector
from pipeline.baselines.net import BaselineNet
from pipeline.boxes import SliceBoxes
from pipeline.space_time import Encoder
from pipeline.training.cases import CaseStudy

SHAPE = (CHUNK_SLICES + 2, 40, 50)


class FakeNet(BaselineNet):
    """Finds the same boxes on every slice, and keeps what it was shown."""

    def __init__(self, boxes: list[list[float]], scores: list[float]) -> None:
        """In pixels of the padded slice."""
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.found = SliceBoxes(boxes=torch.tensor(boxes).reshape(-1, 4), scores=torch.tensor(scores))
        self.shown: list[Tensor] = []

    def losses(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Never asked."""
        raise NotImplementedError

    def detect(self, images: Tensor) -> list[SliceBoxes]:
        """The same boxes."""
        self.shown.append(images)
        return [self.found] * len(images)

    def shared_encoder(self) -> Encoder | None:
        """None."""
        return None


def study(hu: int) -> CaseStudy:
    """One value everywhere; lung in the left half, except in the last slice."""
    truth = np.zeros((3, *SHAPE), np.uint8)
    truth[0, :-1, :, :25] = 1
    return CaseStudy(day=0.0, volume_hu=np.full(SHAPE, hu, np.int16), truth=truth)


def test_only_the_newest_study_is_read_padded_with_air() -> None:
    """In chunks, rows and columns up to multiples of 32, the window as everywhere."""
    net = FakeNet([], [])
    BaselineDetector("fake", net).read([study(-1300), study(300)])
    assert [tuple(images.shape) for images in net.shown] == [(CHUNK_SLICES, 4, 64, 64), (2, 4, 64, 64)]
    assert (net.shown[0][:, :3, :40, :50] == 1.0).all()
    assert net.shown[0][0, 1, 50, 60] == pytest.approx(300 / 1600)
    assert net.shown[0][:, 3].sum() == CHUNK_SLICES * 40 * 25


def test_boxes_outside_the_lungs_are_no_claim_about_them() -> None:
    """A fifth of a box must lie in the lungs; then it is clipped to the slice."""
    net = FakeNet([[20.0, 30.0, 45.0, 60.0], [22.0, 5.0, 47.0, 9.0], [-3.0, 1.0, 10.0, 8.0]], [0.9, 0.8, 0.7])
    reading = BaselineDetector("fake", net).read([study(0)])
    assert reading.boxes[0].boxes.tolist() == [[20.0, 30.0, 45.0, 40.0], [0.0, 1.0, 10.0, 8.0]]
    assert reading.boxes[0].scores.tolist() == pytest.approx([0.9, 0.7])
    assert len(reading.boxes[-1].boxes) == 0


def test_the_best_box_in_the_lungs_gives_the_logit_of_the_slice() -> None:
    """Also where it is too faint to be reported as a box."""
    net = FakeNet([[30.0, 5.0, 45.0, 15.0], [2.0, 5.0, 12.0, 15.0]], [0.9, 0.02])
    reading = BaselineDetector("fake", net).read([study(0)])
    assert reading.slice_logits[0] == pytest.approx(math.log(0.02 / 0.98), abs=1e-4)
    assert len(reading.boxes[0].boxes) == 0
    assert reading.slice_logits[-1] == pytest.approx(NO_BOX_LOGIT) == pytest.approx(-6.0, abs=0.02)
    assert reading.slice_logits.shape == (SHAPE[0],)


def test_a_box_of_full_score_has_a_finite_logit() -> None:
    """A score may round to one."""
    reading = BaselineDetector("fake", FakeNet([[2.0, 5.0, 12.0, 15.0]], [1.0])).read([study(0)])
    assert np.isfinite(reading.slice_logits).all()


def test_a_baseline_draws_no_mask_and_does_not_look_back() -> None:
    """Its boxes stand for the lesions."""
    detector = BaselineDetector("fake", FakeNet([], []))
    assert detector.read([study(0)]).lesion_probability is None
    assert not detector.looks_back
    assert detector.name == "fake"
