"""What a plug-in is given stays as it is: whoever writes into it is named, and nothing is measured on what is left."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.grids import cube_grid
from pipeline.checked import CheckedDetector, CheckedSegmenter
from pipeline.errors import PlugInError
from pipeline.plug_points import StudyOnGrid
from pipeline.study import Int16Array, UInt8Array

SHAPE = (4, 6, 8)
WROTE = r"acme \(acme-ct 2\.1\) broke its contract: it wrote into an array that it was given; let it work on a copy"

Write = Callable[[NDArray[Any]], object]


def write_by_force(array: NDArray[Any]) -> None:
    """As torch and compiled code do, which do not ask numpy."""
    array.setflags(write=True)
    array[0] = 0


WRITES: dict[str, Write] = {
    "assigned": lambda array: array.__setitem__(slice(None), 0),
    "into-out": lambda array: np.clip(array, 0, 1, out=array),
    "by-force": write_by_force,
}


class Writing:
    """A plug-in that writes into an array of the current study, then answers with what it has."""

    def __init__(self, write: Write, name: str = "") -> None:
        """`name` of the detector's array, "" for the grid."""
        self._write = write
        self._name = name

    def segment(self, volume_hu: Int16Array, _: object) -> UInt8Array:
        """No lungs."""
        self._write(volume_hu)
        return np.zeros(SHAPE, np.uint8)

    def detect(self, studies: Any, grid: Any, _: object) -> object:
        """Nothing."""
        self._write(getattr(studies[-1], self._name) if self._name else grid.affine_lps_from_kji)
        return None


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_segmenter_that_writes_into_the_volume_is_named(write: Write) -> None:
    """Instead of a study that is too dense, or a mean of HU that nobody doubts."""
    segmenter = CheckedSegmenter(Writing(write), "acme (acme-ct 2.1)")
    with pytest.raises(PlugInError, match=f"the lung segmenter {WROTE}"):
        segmenter.segment(np.full(SHAPE, -850, np.int16), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("name", ["volume_hu", "lung_mask", "valid", ""])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_detector_that_writes_into_what_it_sees_is_named(write: Write, name: str) -> None:
    """Instead of a lung mask that is empty."""
    lungs = np.ones(SHAPE, np.uint8)
    study = StudyOnGrid(volume_hu=np.full(SHAPE, -850, np.int16), lung_mask=lungs, valid=lungs > 0)
    detector = CheckedDetector(Writing(write, name), "acme (acme-ct 2.1)")
    with pytest.raises(PlugInError, match=f"the lesion detector {WROTE}"):
        detector.detect([study], cube_grid(SHAPE), [0.0])


def test_the_node_may_write_into_its_own_arrays_afterwards() -> None:
    """Only what the plug-in sees is read-only."""
    volume_hu = np.full(SHAPE, -850, np.int16)
    mask = CheckedSegmenter(Writing(lambda _: None), "acme").segment(volume_hu, (1.0, 1.0, 1.0))
    volume_hu[:], mask[:] = 0, 1
    assert not volume_hu.any()


def test_a_segmenter_that_answers_in_one_array_does_not_change_its_first_answer() -> None:
    """Studies of a patient are segmented one after the other."""

    class Reusing:
        answer = np.zeros(SHAPE, np.uint8)

        def segment(self, volume_hu: Int16Array, _: object) -> UInt8Array:
            self.answer[:] = volume_hu
            return self.answer

    segmenter = CheckedSegmenter(Reusing(), "acme")
    first, second = (segmenter.segment(np.full(SHAPE, side, np.int16), (1.0, 1.0, 1.0)) for side in (1, 2))
    assert (first.max(), second.max()) == (1, 2)
