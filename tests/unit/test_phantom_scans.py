"""What a phantom scanner does to a picture."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from builders.phantoms import SMALL_SCAN, patient_with, small_study
from pipeline.phantom import Course, Scan, render_study
from pipeline.phantom.reconstruction import PADDING_HU, reconstruct
from pipeline.study import Float32Array

SCAN = Scan(matrix=96, fov_mm=384.0, noise_hu=20.0)


def water_cylinder(width_mm: float = 300.0, height_mm: float = 200.0) -> Float32Array:
    """Three slices of an elliptic body of water in air, (3, 96, 96), 4 mm pixels."""
    rows, columns = (np.mgrid[:96, :96] - 47.5) * 4.0
    inside = (rows / (0.5 * height_mm)) ** 2 + (columns / (0.5 * width_mm)) ** 2 < 1.0
    return np.repeat(np.where(inside, 0.0, -1000.0)[None], 3, axis=0).astype(np.float32)


def middle(picture: Float32Array) -> Float32Array:
    """The middle of the body."""
    return picture[:, 36:60, 36:60]


def test_noise_has_the_standard_deviation_of_the_scan() -> None:
    """In the middle of the body, without bias."""
    noise = middle(reconstruct(water_cylinder(), SCAN))
    assert noise.std() == pytest.approx(20.0, rel=0.15)
    assert abs(noise.mean()) < 3.0


def test_a_lower_exponent_makes_blotchier_noise() -> None:
    """More of it is left after smoothing."""
    fine, blotchy = (middle(reconstruct(water_cylinder(), replace(SCAN, noise_exponent=e))) for e in (0.8, 0.0))
    left = [ndimage.gaussian_filter(noise, (0, 2, 2)).std() for noise in (fine, blotchy)]
    assert left[1] > 1.5 * left[0]


def test_waxy_pictures_lose_noise_and_keep_edges() -> None:
    """A third of the noise is gone; the step from water to air is as high."""
    fine = replace(SCAN, fov_mm=144.0)
    plain, waxy = (reconstruct(water_cylinder(), replace(fine, waxy=amount)) for amount in (0.0, 1.0))
    assert middle(waxy).std() < 0.7 * middle(plain).std()
    assert waxy[1, 48, 48] - waxy[1, 48, 3] == pytest.approx(1000.0, abs=60.0)


def test_streaks_run_along_x_through_wide_bodies_only() -> None:
    """Rows differ more than columns do; a slim body has none."""
    quiet = replace(SCAN, noise_hu=0.0, streaks_hu=30.0)
    wide, slim = (reconstruct(water_cylinder(width), quiet) for width in (370.0, 180.0))
    plain = reconstruct(water_cylinder(370.0), replace(quiet, streaks_hu=0.0))
    streaks = middle(wide - plain)
    assert streaks.mean(axis=2).std() > 3 * streaks.mean(axis=1).std()
    assert middle(slim).std() < 1.0


def test_hardening_makes_bands_next_to_contrast_medium() -> None:
    """Brighter and darker than water beside a dense vessel; nothing without one."""
    body = water_cylinder()
    body[:, 46:50, 46:50] = 500.0
    picture = reconstruct(body, replace(SCAN, noise_hu=0.0, hardening=0.5))
    beside = picture[:, 44:52, 30:42] - reconstruct(body, replace(SCAN, noise_hu=0.0))[:, 44:52, 30:42]
    assert np.abs(beside).max() > 5.0
    plain = reconstruct(water_cylinder(), replace(SCAN, noise_hu=0.0, hardening=0.5))
    assert np.abs(middle(plain)).max() < 1.0


def test_nothing_is_reconstructed_outside_the_circle() -> None:
    """Padding there, the picture inside."""
    picture = reconstruct(water_cylinder(), replace(SCAN, circle_mm=240.0))
    rows, columns = (np.mgrid[:96, :96] - 47.5) * 4.0
    outside = np.hypot(rows, columns) > 120.0
    assert np.all(picture[:, outside] == PADDING_HU)
    assert np.all(picture[:, ~outside] != PADDING_HU)


def test_a_beating_heart_has_a_wide_border() -> None:
    """More voxels beside it are neither lung nor blood; the truth stays."""
    quiet = replace(SMALL_SCAN, noise_hu=0.0)
    patient = patient_with(Course.HEALTHY)
    still, beating = (render_study(patient, 8.0, scan=replace(quiet, pulse_mm=beat)) for beat in (0.0, 10.0))
    between = [
        np.count_nonzero((s.volume_hu > -600) & (s.volume_hu < -250) & (s.lung_mask > 0)) for s in (still, beating)
    ]
    assert between[1] > 1.05 * between[0]
    assert np.array_equal(still.lung_mask, beating.lung_mask)


def test_breathing_during_the_scan_blurs_the_base_and_not_the_apex() -> None:
    """The picture changes where the diaphragm moves."""
    quiet = replace(SMALL_SCAN, noise_hu=0.0)
    patient = patient_with(Course.HEALTHY)
    still, moving = (render_study(patient, 8.0, scan=replace(quiet, breathing_mm=mm)) for mm in (0.0, 14.0))
    change = np.abs(moving.volume_hu.astype(float) - still.volume_hu).mean(axis=(1, 2))
    assert change[2:12].mean() > 3 * change[-8:-3].mean()


def test_less_air_makes_denser_lungs_up_to_expiration() -> None:
    """Even a scan that asks for more has a mean density of at most -690 HU."""
    patient = patient_with(Course.HEALTHY)
    means = []
    for aeration in (1.0, 0.8, 0.3):
        study = render_study(patient, 8.0, scan=replace(SMALL_SCAN, aeration=aeration))
        means.append(np.median(study.volume_hu[study.lung_mask > 0]))
    assert means[0] + 15 < means[1] < means[2] < -640


def test_defaults_add_no_artefact() -> None:
    """A default scan is one without posture, movement, streaks, bands or padding."""
    scan = Scan()
    assert not any((*scan.rotation_deg, scan.elastic_mm, scan.breathing_mm, scan.pulse_mm, scan.waxy, scan.streaks_hu))
    assert scan.hardening == 0.0
    assert scan.circle_mm is None
    assert small_study(Course.HEALTHY).volume_hu[0, 0, 0] > PADDING_HU
