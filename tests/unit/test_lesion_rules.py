"""Which pieces of a lesion mask are no lesions."""

import numpy as np
import pytest

from pipeline.lesion_rules import without_sheets
from pipeline.study import BoolArray

SPACING_MM = (2.5, 1.5, 1.5)
SHAPE = (40, 60, 60)
Place = tuple[slice, ...]
LUNG = np.s_[5:35, 5:55, 5:55]


def left_of(*places: Place) -> BoolArray:
    """What is kept of pieces in a lung that is a box."""
    lungs, lesion = np.zeros(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
    lungs[LUNG] = True
    for place in places:
        lesion[place] = True
    return without_sheets(lesion, lungs, SPACING_MM)


@pytest.mark.parametrize("place", [np.s_[5:7, 20:45, 10:40], np.s_[33:35, 20:45, 10:40], np.s_[5:9, 6:54, 6:54]])
def test_a_sheet_on_the_diaphragm_or_under_the_apex_is_no_lesion(place: Place) -> None:
    """A thin wide piece that ends in lung on one side only is made of voxels that are filled in part."""
    assert not left_of(place).any()


@pytest.mark.parametrize(
    "place",
    [np.s_[20:22, 20:45, 10:40], np.s_[5:7, 20:28, 10:18], np.s_[5:12, 10:50, 10:50], np.s_[5:35, 20:45, 5:7]],
    ids=["within the lung", "small and round", "thick", "on the chest wall"],
)
def test_every_other_piece_is_kept(place: Place) -> None:
    """Thickness, width and place must all fit before anything is dropped."""
    assert left_of(place)[place].all()


def test_a_sheet_that_hangs_on_a_lesion_is_kept_with_it() -> None:
    """A piece is dropped as a whole or not at all."""
    lesion, sheet = np.s_[5:25, 10:40, 10:40], np.s_[5:7, 10:50, 10:50]
    kept = left_of(lesion, sheet)
    assert kept[lesion].all()
    assert kept[sheet].all()


def test_a_lesion_at_the_end_of_the_series_is_kept() -> None:
    """Where the series ends in the lung there is no border, however thin the piece is."""
    lungs, lesion = np.ones(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
    lesion[:2, 10:50, 10:50] = True
    assert np.array_equal(without_sheets(lesion, lungs, SPACING_MM), lesion)


def test_nothing_stays_nothing() -> None:
    """A healthy study has no pieces."""
    assert not left_of().any()
