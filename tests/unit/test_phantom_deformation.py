"""How a phantom lies in a scan, and what is known about it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from builders.phantoms import SMALL_SCAN, patient_with, small_study
from pipeline.phantom import Course, PhantomStudy, Scan, render_study
from pipeline.phantom.axes import build_axes
from pipeline.phantom.deformation import build_deformation

POINTS_LPS = np.random.default_rng(3).uniform(-90.0, 90.0, (200, 3))
MOVED_SCAN = replace(
    SMALL_SCAN,
    rotation_deg=(2.0, -1.0, 5.0),
    elastic_mm=4.0,
    shift_mm=(8.0, -5.0, 6.0),
    breath=0.95,
)


@cache
def moved_study(scan: Scan = MOVED_SCAN) -> PhantomStudy:
    """The patient of `small_study`, lying otherwise."""
    return render_study(patient_with(Course.ADVANCED), 8.0, scan=scan)


def test_truth_of_registration_leads_back_to_the_lungs() -> None:
    """Lungs of a moved scan, carried to the anatomy by the stored truth, cover the lungs of a scan at rest."""
    moved, still = moved_study(), small_study(Course.ADVANCED)
    index = np.argwhere(moved.lung_mask > 0)
    points = np.array(moved.origin_lps_mm) + (index * moved.spacing_mm)[:, ::-1]
    home = (moved.frame.patient_mm(points) - still.origin_lps_mm)[:, ::-1] / still.spacing_mm
    found = ndimage.map_coordinates((still.lung_mask > 0).astype(np.float32), home.T, order=1)
    assert found.mean() > 0.93
    unmoved = ndimage.map_coordinates((still.lung_mask > 0).astype(np.float32), index.T.astype(float), order=1)
    assert unmoved.mean() < found.mean() - 0.04


def test_truth_of_registration_has_an_inverse() -> None:
    """There and back is less than a twentieth of a millimetre."""
    frame = moved_study().frame
    assert frame.scan_mm(frame.patient_mm(POINTS_LPS)) == pytest.approx(POINTS_LPS, abs=0.05)


def test_lesions_move_with_the_lung() -> None:
    """Their centres, carried to the anatomy, are where they are in a scan at rest."""
    moved, still = moved_study(), small_study(Course.ADVANCED)
    large = max(still.lesions, key=lambda lesion: lesion.volume_ml)
    again = next(lesion for lesion in moved.lesions if lesion.number == large.number)
    home = moved.frame.patient_mm(np.array([again.centre_lps_mm]))[0]
    assert home == pytest.approx(large.centre_lps_mm, abs=3.5)


def test_a_positive_turn_about_z_brings_the_left_side_to_the_back() -> None:
    """Right-handed in LPS: x turns towards y."""
    axes = build_axes(np.full(3, -60.0), np.full(3, 60.0), 6.0)
    deformation = build_deformation(axes, rotation_deg=(0.0, 0.0, 5.0), elastic_mm=0.0, seed=0)
    assert deformation is not None
    z, y, x = deformation.scan_mm(np.array([[0.0, 0.0, 40.0]]))[0]
    assert (z, y, x) == pytest.approx((0.0, 40.0 * np.sin(np.radians(5.0)), 40.0 * np.cos(np.radians(5.0))), abs=0.01)


def test_bends_have_the_size_that_was_asked_for() -> None:
    """Root mean square of the displacement, and smooth: no fold anywhere."""
    axes = build_axes(np.full(3, -120.0), np.full(3, 120.0), 3.0)
    deformation = build_deformation(axes, rotation_deg=(0.0, 0.0, 0.0), elastic_mm=5.0, seed=2)
    assert deformation is not None
    length = np.sqrt((deformation.displacement_mm**2).sum(axis=0).mean())
    assert length == pytest.approx(5.0, rel=0.25)
    assert max(np.abs(np.gradient(part, 3.0)).max() for part in deformation.displacement_mm) < 0.7


def test_no_posture_is_no_deformation() -> None:
    """The voxels of a patient who lies still come straight from the anatomy."""
    axes = build_axes(np.zeros(3), np.full(3, 9.0), 3.0)
    assert build_deformation(axes, rotation_deg=(0.0, 0.0, 0.0), elastic_mm=0.0, seed=1) is None
    assert small_study(Course.ADVANCED).frame.patient_mm(POINTS_LPS) == pytest.approx(POINTS_LPS)


def test_the_seed_of_a_bend_decides_it() -> None:
    """The same again, another for another seed."""
    axes = build_axes(np.full(3, -60.0), np.full(3, 60.0), 6.0)
    bends = [build_deformation(axes, rotation_deg=(0.0, 0.0, 0.0), elastic_mm=3.0, seed=seed) for seed in (1, 1, 2)]
    first, again, other = (bend.displacement_mm for bend in bends if bend is not None)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_scan_can_be_laid_on_the_slices_of_another() -> None:
    """First slice and number as given, wherever the patient lies."""
    still = small_study(Course.ADVANCED)
    scan = replace(MOVED_SCAN, start_mm=still.origin_lps_mm[2], slices=len(still.volume_hu))
    moved = moved_study(scan)
    assert moved.volume_hu.shape == still.volume_hu.shape
    assert moved.origin_lps_mm == pytest.approx(still.origin_lps_mm)
