"""Lesions over the days of a disease."""

import numpy as np
import pytest

from builders.phantoms import patient_with, small_study
from pipeline.phantom import Course
from pipeline.phantom.kinetics import Kinetics, draw_kinetics

LESION = Kinetics(
    onset_day=-2.0,
    rise_days=6.0,
    consolidation_lag_days=5.0,
    consolidation_peak=0.5,
    resolution_day=12.0,
    resolution_days=5.0,
)


def test_lesion_grows_then_shrinks_then_goes() -> None:
    """One lesion over five weeks."""
    sizes = [LESION.radius_share(day) for day in (-3.0, 0.0, 5.0, 11.0, 18.0, 24.0, 60.0)]
    assert sizes[0] == 0.0 < sizes[1] < sizes[2] < sizes[3]
    assert sizes[3] > sizes[4] > sizes[5] > sizes[6] == 0.0


def test_consolidation_follows_ground_glass_and_leaves_first() -> None:
    """The share of consolidation is small at onset, large at the peak, small again before the lesion is gone."""
    shares = [LESION.consolidation_share(day) for day in (-1.0, 10.0, 24.0)]
    assert shares[0] < 0.1 * shares[1]
    assert shares[2] < 0.1 * shares[1]
    assert LESION.radius_share(24.0) > 0.0


def test_severe_disease_does_not_recover() -> None:
    """No lesion of a severe course shrinks within two months."""
    rng = np.random.default_rng(0)
    lesions = [draw_kinetics(rng, Course.SEVERE) for _ in range(20)]
    assert all(lesion.radius_share(60.0) >= lesion.radius_share(20.0) for lesion in lesions)


@pytest.mark.parametrize(("course", "first", "second"), [(Course.ADVANCED, 0.0, 10.0), (Course.ABSORPTION, 14.0, 0.0)])
def test_total_volume_follows_the_course(course: Course, first: float, second: float) -> None:
    """The earlier or later day has less disease, as the course says."""
    volumes = [sum(lesion.volume_ml for lesion in small_study(course, day).lesions) for day in (first, second)]
    assert volumes[0] < 0.7 * volumes[1]


def test_lesions_keep_their_numbers_over_days() -> None:
    """The same number is at the same place in both studies."""
    early, late = (
        {lesion.number: lesion for lesion in small_study(Course.ADVANCED, day).lesions} for day in (6.0, 10.0)
    )
    shared = early.keys() & late.keys()
    assert shared
    distances = [np.linalg.norm(np.subtract(early[n].centre_lps_mm, late[n].centre_lps_mm)) for n in shared]
    assert np.median(distances) < 8.0


def test_lesions_are_numbered_from_one() -> None:
    """Numbers have no gaps and no look-alike has one."""
    patient = patient_with(Course.ADVANCED)
    assert [lesion.plan.number for lesion in patient.lesions] == list(range(1, len(patient.lesions) + 1))
    assert all(body.plan.number == 0 for body in patient.look_alikes)
