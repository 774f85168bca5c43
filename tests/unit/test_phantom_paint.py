"""Lesions painted into given lungs."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from builders.phantoms import small_study
from pipeline.phantom import Course, Painted, paint_lesions, paint_lesions_over_time
from pipeline.phantom.axes import Field, build_axes
from pipeline.phantom.irregular import Grain, LungDisease
from pipeline.phantom.kinetics import STATIC_GROUND_GLASS
from pipeline.phantom.lesions import LesionPlan, build_lesion
from pipeline.phantom.paint import NOT_KNOWN, paint_day, take_apart
from pipeline.study import Int16Array, UInt8Array


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
    largest = np.bincount(first.lesion_labels[first.lesion_labels > 0]).argmax()
    assert np.any((first.lesion_labels == largest) & (peak.lesion_labels == largest))


def _noisy_lungs(slice_spacing_mm: float) -> tuple[Int16Array, UInt8Array, tuple[float, float, float]]:
    """A block of lung with noise, and one straight vessel along x."""
    rng = np.random.default_rng(3)
    volume_hu = rng.normal(-860.0, 25.0, (16, 64, 64))
    volume_hu[:, 30:33, :] = rng.normal(40.0, 25.0, (16, 3, 64))
    return volume_hu.astype(np.int16), np.ones((16, 64, 64), np.uint8), (slice_spacing_mm, 1.5, 1.5)


def _everywhere(rise_from_hu: float) -> LungDisease:
    """Ground glass that fills the block, without any grain."""
    plan = LesionPlan(
        number=1,
        centre_mm=(20.0, 48.0, 48.0),
        radius_mm=200.0,
        stretch=(1.0, 1.0, 1.0),
        ground_glass_hu=rise_from_hu,
        softness_mm=2.0,
        roughness=0.1,
        kinetics=STATIC_GROUND_GLASS,
        mottle_hu=0.0,
    )
    even = Grain(seed=1, patchy=0.0, mottle=0.0, lines=0.0, haze_mm=0.0, fray_mm=0.0, solid_hu=10.0)
    deep = Field(values=np.full((2, 2, 2), 50.0, np.float32), axes=build_axes(np.zeros(3), np.full(3, 90.0), 90.0))
    return LungDisease(lesions=(build_lesion(plan, np.random.default_rng(1), deep),), grain=even)


def test_a_lesion_keeps_the_noise_and_the_vessels_of_the_scan() -> None:
    """Density is not added on top of a vessel, and the lesion is about as noisy as the lung was."""
    lungs = take_apart(*_noisy_lungs(2.5))
    painted = paint_day(lungs, _everywhere(-550.0), day=5.0).volume_hu[:, 8:24, 8:-8]
    assert np.median(painted) == pytest.approx(-550.0, abs=40.0)
    assert 15.0 < np.diff(painted.astype(float), axis=2).std() / np.sqrt(2.0) < 32.0
    vessel = paint_day(lungs, _everywhere(-550.0), day=5.0).volume_hu[:, 31]
    assert np.abs(vessel - lungs.volume_hu[:, 31]).mean() < 25.0


def test_thick_slices_hold_the_mean_of_a_lesion() -> None:
    """A small lesion between two places of a thick slice fades; thin slices show it whole."""
    rises = []
    for spacing in (2.5, 10.0):
        volume_hu, mask, spacing_mm = _noisy_lungs(spacing)
        lungs = take_apart(volume_hu, mask, spacing_mm)
        middle = 7 * spacing
        nodule = _everywhere(-300.0)
        plan = replace(nodule.lesions[0].plan, radius_mm=3.5, centre_mm=(middle, 20.0, 48.0))
        field = Field(values=np.full((2, 2, 2), 50.0, np.float32), axes=lungs.axes.crop((slice(0, 2),) * 3))
        body = build_lesion(plan, np.random.default_rng(2), field)
        painted = paint_day(lungs, replace(nodule, lesions=(body,)), day=5.0)
        rises.append(float((painted.volume_hu - lungs.volume_hu).max()))
    assert rises[1] < 0.9 * rises[0]


def test_the_same_seed_paints_the_same() -> None:
    """Cases can be made again."""
    volume_hu, mask, spacing_mm = _noisy_lungs(5.0)
    first, second = (
        paint_lesions(volume_hu, mask, spacing_mm, rng=np.random.default_rng(8), course=Course.ADVANCED)
        for _ in range(2)
    )
    assert np.array_equal(first.volume_hu, second.volume_hu)
    assert np.array_equal(first.lesion_kind, second.lesion_kind)


def test_faint_borders_are_neither_lesion_nor_healthy() -> None:
    """What hardly changed the lung is marked as not known and has no number."""
    volume_hu, mask, spacing_mm = _noisy_lungs(5.0)
    painted = paint_lesions(volume_hu, mask, spacing_mm, rng=np.random.default_rng(8), course=Course.ADVANCED)
    faint = painted.lesion_kind == NOT_KNOWN
    assert faint.any()
    assert not painted.lesion_labels[faint].any()
    assert (painted.lesion_labels[(painted.lesion_kind > 0) & ~faint] > 0).all()
