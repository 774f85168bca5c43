"""Where what is shown of the lungs ends."""

import numpy as np
import pytest

from pipeline.shown import cut_off, well_shown
from pipeline.study import BoolArray

SHAPE = (30, 40, 60)


def ball(radius: float) -> BoolArray:
    """About (15, 25, 35)."""
    planes, rows, columns = np.indices(SHAPE)
    found: BoolArray = (planes - 15) ** 2 + (rows - 25) ** 2 + (columns - 35) ** 2 <= radius**2
    return found


def circle(radius: float) -> BoolArray:
    """About row 12, column 20 of every slice: its border runs slantwise through the ball."""
    _, rows, columns = np.indices(SHAPE)
    found: BoolArray = np.hypot(rows - 12, columns - 20) <= radius
    return found


@pytest.mark.parametrize(
    ("radius", "is_cut"),
    [(20.0, True), (24.0, True), (26.0, False), (28.0, False)],
    ids=["half", "sixth", "twentieth", "none"],
)
def test_the_border_of_a_circle_may_run_slantwise_through_a_lesion(radius: float, *, is_cut: bool) -> None:
    """A ball of which so much is missing."""
    shown = circle(radius)
    labels = (ball(8.0) & shown).astype(np.uint16)
    box = (slice(7, 24), slice(17, 34), slice(27, 44))
    assert cut_off(labels, [box], shown).tolist() == [False, is_cut]


def test_what_lies_beside_a_cut_through_the_lungs_is_not_well_shown() -> None:
    """12 mm of its slice; other slices are."""
    shown = np.ones(SHAPE, np.bool_)
    shown[10:, :, 40:] = False
    lungs = shown.copy()
    well = well_shown(shown, lungs, (1.0, 2.0, 2.0))
    assert well[:10].all()
    assert well[10:, :, :34].all()
    assert not well[10:, :, 34:].any()


def test_lungs_that_end_before_the_circle_are_well_shown() -> None:
    """And what is shown stays as it was."""
    shown = np.broadcast_to(circle(25.0), SHAPE)
    well = well_shown(shown, circle(22.0), (1.0, 2.0, 2.0))
    assert np.array_equal(well, shown)
