"""Scores of slices as they were acquired."""

import numpy as np
import pytest

from pipeline.orient import lps_from_source
from pipeline.plug_points import Detection, StudyDetection
from pipeline.slice_scores import slice_scores
from pipeline.study import Float64Array, Grid, Volume

SPACING_MM, SLAB_MM = 1.25, 2.5
LOGITS = np.array([-4.0, 4.0, -4.0], np.float32)


def acquired(directions: Float64Array, slices: int) -> Volume:
    """A volume of 4 x 4 pixels whose k, j, i run along the columns of `directions`, first voxel at the origin."""
    affine = np.eye(4)
    affine[:3, :3] = directions
    grid = Grid(shape=(slices, 4, 4), affine_lps_from_kji=affine)
    return Volume(volume_hu=np.zeros(grid.shape, np.int16), grid=grid, slice_headers=())


def axial(direction: float, slices: int) -> Volume:
    """Slices that go up (1) or down (-1) the patient."""
    return acquired(np.array([[0, 0, 1.0], [0, 1.0, 0], [direction * SPACING_MM, 0, 0]]), slices)


def detected(first_mm: float) -> tuple[Detection, StudyDetection]:
    """Three slabs, of which the middle one shows a lesion; the first lies at `first_mm`."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]]
    affine[2, 0], affine[2, 3] = SLAB_MM, first_mm
    nothing = np.zeros((3, 4, 4), np.float32)
    study = StudyDetection(
        lesion_probability=nothing, consolidation_probability=nothing, slice_findings=(), slice_logits=LOGITS
    )
    return Detection(grid=Grid(shape=(3, 4, 4), affine_lps_from_kji=affine), studies=(study,)), study


def test_the_slice_at_the_lesion_scores_highest_and_slices_without_lung_score_nothing() -> None:
    """Slabs of two slices are read at the place of each slice."""
    detection, study = detected(2.5)
    scores = slice_scores(detection, study, lps_from_source(axial(1.0, 12)))

    assert len(scores) == 12
    assert int(np.argmax(scores)) == 4
    assert scores[0] == scores[9] == scores[11] == 0.0
    assert scores[4] == pytest.approx(1 / (1 + np.exp(-4.0)))
    assert scores[2] == pytest.approx(1 / (1 + np.exp(4.0)))


def test_scores_follow_the_slices_of_a_series_that_runs_down() -> None:
    """The k-th score is that of the k-th source slice, whichever way they run."""
    detection, study = detected(-7.5)
    scores = slice_scores(detection, study, lps_from_source(axial(-1.0, 12)))

    assert int(np.argmax(scores)) == 4


def test_slices_of_a_coronal_series_have_no_scores() -> None:
    """The detector never looked at such a slice."""
    detection, study = detected(0.0)
    coronal = acquired(np.array([[0, 0, 1.0], [1.0, 0, 0], [0, -1.0, 0]]), 4)

    assert slice_scores(detection, study, lps_from_source(coronal)) == ()
