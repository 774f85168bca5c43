"""Lesions painted into given lungs."""

from functools import cache

import numpy as np
from scipy import ndimage

from builders.phantoms import small_study
from pipeline.phantom import Course, Painted, paint_lesions, paint_lesions_over_time


@cache
def _painted() -> Painted:
    healthy = small_study(Course.HEALTHY)
    return paint_lesions(
        healthy.volume_hu,
        healthy.lung_mask,
        healthy.spacing_mm,
        rng=np.random.default_rng(5),
        course=Course.ADVANCED,
    )


def test_paint_changes_nothing_outside_the_lungs() -> None:
    """Voxels 2 mm from the mask keep their HU; none outside gets a label."""
    healthy, painted = small_study(Course.HEALTHY), _painted()
    outside = healthy.lung_mask == 0
    steps = [max(1, round(2.0 / mm)) for mm in healthy.spacing_mm[1:]]
    near = ndimage.binary_dilation(~outside, np.ones([1, *(2 * step + 1 for step in steps)]))
    assert np.array_equal(painted.volume_hu[~near], healthy.volume_hu[~near])
    assert not painted.lesion_labels[outside].any()
    assert painted.lesion_labels.any()


def test_paint_keeps_vessels() -> None:
    """Nothing gets darker, and a vessel is not made brighter than blood."""
    healthy, painted = small_study(Course.HEALTHY), _painted()
    assert np.all(painted.volume_hu >= healthy.volume_hu)
    lesion = painted.lesion_labels > 0
    assert painted.volume_hu[lesion].max() <= max(healthy.volume_hu[lesion].max(), 25 + 2 * 80)


def test_painted_lesions_are_denser_than_before() -> None:
    """Ground-glass and consolidation both show."""
    healthy, painted = small_study(Course.HEALTHY), _painted()
    for kind, rise in ((1, 80), (2, 250)):
        lesion = painted.lesion_kind == kind
        assert (painted.volume_hu[lesion].astype(int) - healthy.volume_hu[lesion]).mean() > rise


def test_paint_over_time_follows_one_course() -> None:
    """Before onset there is nothing, at the peak there is more than at the beginning; numbers stay."""
    healthy = small_study(Course.HEALTHY)
    before, first, peak = paint_lesions_over_time(
        healthy.volume_hu,
        healthy.lung_mask,
        healthy.spacing_mm,
        rng=np.random.default_rng(6),
        course=Course.ADVANCED,
        days=(-20.0, 2.0, 11.0),
    )
    assert np.array_equal(before.volume_hu, healthy.volume_hu)
    assert 0 < np.count_nonzero(first.lesion_labels) < np.count_nonzero(peak.lesion_labels)
    assert set(np.unique(first.lesion_labels)) <= set(np.unique(peak.lesion_labels))
