"""Rendered phantom studies and their truth."""

from dataclasses import replace

import numpy as np
import pytest

from builders.phantoms import SMALL_SCAN, patient_with, small_study
from pipeline.phantom import Course, Kernel, build_patient, render_study
from pipeline.phantom.render import render_reconstructions
from pipeline.study import LEFT_LUNG, RIGHT_LUNG


def test_same_seed_gives_the_same_voxels() -> None:
    """A second patient of the same seed is the first one."""
    again = render_study(build_patient(4, course=Course.ADVANCED), 8.0, scan=SMALL_SCAN)
    assert np.array_equal(again.volume_hu, small_study(Course.ADVANCED).volume_hu)
    assert np.array_equal(again.lesion_labels, small_study(Course.ADVANCED).lesion_labels)


def test_another_noise_seed_changes_the_noise_alone() -> None:
    """Two scans of one day differ by noise, not in their truth."""
    first = small_study(Course.ADVANCED)
    other = render_study(patient_with(Course.ADVANCED), 8.0, scan=replace(SMALL_SCAN, seed=1))
    difference = other.volume_hu.astype(int) - first.volume_hu
    assert 0 < difference.std() < 2 * SMALL_SCAN.noise_hu
    assert np.array_equal(other.lung_mask, first.lung_mask)


def test_each_reconstruction_of_one_scan_is_what_a_scan_of_its_own_gives() -> None:
    """Voxels, truth and scan."""
    scans = [replace(SMALL_SCAN, kernel=Kernel.LUNG), replace(SMALL_SCAN, kernel=Kernel.SOFT, noise_hu=5.0)]
    for study, scan in zip(render_reconstructions(patient_with(Course.ADVANCED), 8.0, scans=scans), scans, strict=True):
        alone = render_study(patient_with(Course.ADVANCED), 8.0, scan=scan)
        assert np.array_equal(study.volume_hu, alone.volume_hu)
        assert np.array_equal(study.lesion_labels, alone.lesion_labels)
        assert (study.scan, study.frame.scan, study.lesions) == (scan, scan, alone.lesions)


def test_anatomy_is_the_same_in_every_course() -> None:
    """The course decides the lesions and nothing else."""
    assert np.array_equal(small_study(Course.HEALTHY).lung_mask, small_study(Course.ADVANCED).lung_mask)


def test_right_lung_lies_at_small_x_and_is_larger() -> None:
    """The heart takes room from the left lung; x grows to the patient's left."""
    mask = small_study(Course.HEALTHY).lung_mask
    right, left = (np.argwhere(mask == label) for label in (RIGHT_LUNG, LEFT_LUNG))
    assert right[:, 2].mean() < left[:, 2].mean()
    assert len(right) > 1.03 * len(left)


def test_liver_lies_on_the_right_below_the_lung() -> None:
    """In the lowest slice the right half is solid where the left holds fat, stomach and gas."""
    slice_hu = small_study(Course.HEALTHY).volume_hu[2].astype(float)
    middle = slice_hu.shape[1] // 2
    right, left = slice_hu[25:50, middle - 22 : middle - 8], slice_hu[25:50, middle + 8 : middle + 22]
    assert np.median(right) > 30
    assert left.mean() < right.mean() - 30


def test_spine_lies_at_the_back_and_sternum_in_front() -> None:
    """Bone in the midline: the larger part of it behind the middle of the lungs."""
    study = small_study(Course.HEALTHY)
    bone = np.argwhere(study.volume_hu[10:20, :, 36:44] > 150)
    assert np.median(bone[:, 1]) > np.argwhere(study.lung_mask)[:, 1].mean() + 5


def test_apices_are_at_the_top() -> None:
    """z grows to the head: lungs are narrow there and end in domes below."""
    area = np.count_nonzero(small_study(Course.HEALTHY).lung_mask, axis=(1, 2))
    covered = np.flatnonzero(area)
    assert area[covered[-2]] < 0.4 * area.max()


def test_healthy_patients_have_no_lesions() -> None:
    """Look-alikes are in no truth array."""
    study = small_study(Course.HEALTHY)
    assert not study.lesion_labels.any()
    assert study.lesions == ()


@pytest.mark.parametrize("course", [Course.ADVANCED, Course.SEVERE])
def test_lesions_lie_inside_the_lungs(course: Course) -> None:
    """Labels and kinds cover the same voxels, none of them outside a lung."""
    study = small_study(course)
    assert study.lesion_labels.any()
    assert np.all(study.lung_mask[study.lesion_labels > 0] > 0)
    assert np.array_equal(study.lesion_labels > 0, study.lesion_kind > 0)


def test_lesions_are_denser_than_the_lung_around_them() -> None:
    """Ground-glass is above healthy lung, consolidation above ground-glass."""
    study = small_study(Course.ADVANCED, 10.0)
    healthy = study.volume_hu[(study.lung_mask > 0) & (study.lesion_labels == 0)].mean()
    glass, dense = (study.volume_hu[study.lesion_kind == kind].mean() for kind in (1, 2))
    assert healthy + 100 < glass < dense - 150


def test_truth_of_a_lesion_is_measured_on_its_voxels() -> None:
    """Volume and centre agree with the label array, in LPS."""
    study = small_study(Course.ADVANCED)
    lesion = study.lesions[0]
    voxels = np.argwhere(study.lesion_labels == lesion.number)
    assert lesion.volume_ml == pytest.approx(len(voxels) * np.prod(study.spacing_mm) / 1000)
    centre = np.array(study.origin_lps_mm) + (voxels.mean(axis=0) * study.spacing_mm)[::-1]
    assert lesion.centre_lps_mm == pytest.approx(centre, abs=1e-3)


def test_less_breath_gives_shorter_denser_lungs() -> None:
    """Expiration takes air, not tissue."""
    full = small_study(Course.HEALTHY)
    shallow = render_study(patient_with(Course.HEALTHY), 8.0, scan=replace(SMALL_SCAN, breath=0.9))
    volumes = [np.count_nonzero(study.lung_mask) for study in (shallow, full)]
    assert volumes[0] == pytest.approx(0.9 * volumes[1], rel=0.04)
    assert shallow.volume_hu[shallow.lung_mask > 0].mean() > full.volume_hu[full.lung_mask > 0].mean() + 5


def test_shift_moves_the_patient_in_lps() -> None:
    """The truth moves by what the scan says."""
    moved = render_study(patient_with(Course.ADVANCED), 8.0, scan=replace(SMALL_SCAN, shift_mm=(12.0, -9.0, 20.0)))
    still = max(small_study(Course.ADVANCED).lesions, key=lambda lesion: lesion.volume_ml)
    again = next(lesion for lesion in moved.lesions if lesion.number == still.number)
    assert np.subtract(again.centre_lps_mm, still.centre_lps_mm) == pytest.approx((12.0, -9.0, 20.0), abs=2.5)


def test_contrast_medium_brightens_blood() -> None:
    """The heart is brighter, fat is not."""
    contrast = render_study(patient_with(Course.HEALTHY), 8.0, scan=replace(SMALL_SCAN, contrast_hu=200.0))
    difference = contrast.volume_hu.astype(float) - small_study(Course.HEALTHY).volume_hu
    assert np.count_nonzero(difference > 150) > 300
    assert np.median(difference) == 0
