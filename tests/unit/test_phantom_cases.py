"""Phantom patients as training and test cases."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from builders.phantoms import small_study
from pipeline.model_input import InputContract
from pipeline.phantom import Course, LookAlike, Scan
from pipeline.training.cases import DESCRIPTION, Case, CaseStudy, load_case, save_case
from pipeline.training.phantom_cases import (
    LEAST_DISEASE_ML,
    RENDERING,
    TEST_SPACINGS_MM,
    Status,
    draw_days,
    is_rendered,
    is_rendered_as,
    render_phantom_case,
    render_test_case,
)
from pipeline.training.phantom_scans import draw_posture, draw_scan, misplaced, model_spacing

CONTRACT = InputContract()
COARSE = InputContract(pixel_mm=8.0)
"""A patient is rendered in a moment on pixels of no real model."""

EMPTY_CASE = Case(
    name="empty",
    source="phantom",
    diseased=False,
    slice_spacing_mm=5.0,
    pixel_mm=1.5,
    studies=(CaseStudy(day=1.0, volume_hu=np.zeros((1, 2, 2), np.int16), truth=np.zeros((3, 1, 2, 2), np.uint8)),),
)


@cache
def drawn_scans(count: int = 300) -> tuple[Scan, ...]:
    """Protocols of thick slices."""
    rng = np.random.default_rng(9)
    spacing = model_spacing(5.0, CONTRACT)
    return tuple(draw_scan(rng, spacing, CONTRACT) for _ in range(count))


def diseased_ml(case: Case, study: CaseStudy) -> float:
    """Volume of all lesions of a study."""
    return float(np.count_nonzero(study.truth[2]) * case.pixel_mm**2 * case.slice_spacing_mm / 1000.0)


@pytest.mark.parametrize(
    ("protocol_mm", "spacing_mm", "averaged"), [(1.25, 2.5, 2), (1.5, 3.0, 2), (2.0, 2.0, 1), (5.0, 5.0, 1)]
)
def test_thin_slices_come_as_slabs(protocol_mm: float, spacing_mm: float, averaged: int) -> None:
    """As the model will see them."""
    spacing = model_spacing(protocol_mm, CONTRACT)
    assert (spacing.spacing_mm, spacing.averaged) == (spacing_mm, averaged)


def test_protocols_are_wide() -> None:
    """Both kernels, low and high noise, with and without each artefact; each within what the scan allows."""
    scans = drawn_scans()
    noise = [scan.noise_hu for scan in scans]
    assert min(noise) < 6.0
    assert max(noise) > 40.0
    for artefact in ("waxy", "streaks_hu", "hardening", "breathing_mm", "pulse_mm", "contrast_hu", "atelectasis"):
        strengths = [getattr(scan, artefact) for scan in scans]
        assert 0.05 < np.mean([strength > 0.0 for strength in strengths]) < 0.95


def test_earlier_studies_lie_as_registration_leaves_them() -> None:
    """On the slices of the newest, 2 mm and half a degree off as a rule."""
    rng = np.random.default_rng(2)
    newest = replace(small_study(Course.HEALTHY), scan=draw_posture(rng, drawn_scans()[0]))
    earlier = [misplaced(rng, scan, newest) for scan in drawn_scans()]
    shifts = [float(np.linalg.norm(scan.shift_mm)) for scan in earlier]
    turns = [abs(scan.rotation_deg[2] - newest.scan.rotation_deg[2]) for scan in earlier]
    assert 1.3 < np.median(shifts) < 2.6
    assert np.percentile(shifts, 90) < 8.0
    assert np.percentile(turns, 85) < 1.0
    assert all(scan.slices == len(newest.volume_hu) and scan.elastic_mm > 0.0 for scan in earlier)


def test_a_training_case_is_on_one_grid_and_says_what_it_holds(tmp_path: Path) -> None:
    """All studies have the shape of the newest; course and look-alikes are read back."""
    render_phantom_case(6, tmp_path, COARSE)
    case = load_case(tmp_path)
    assert {study.volume_hu.shape for study in case.studies} == {case.studies[-1].volume_hu.shape}
    assert [study.day for study in case.studies] == sorted(study.day for study in case.studies)
    assert case.diseased == (Course(case.course) is not Course.HEALTHY)
    assert all(LookAlike(kind) for kind in case.look_alikes)
    assert (tmp_path / "lungs.npz").is_file()


@pytest.mark.parametrize("status", Status)
def test_a_test_case_has_the_status_that_was_asked_for(tmp_path: Path, status: Status) -> None:
    """Disease in the newest study, or none in any."""
    render_test_case(2_000_001, tmp_path, COARSE, status=status)
    case = load_case(tmp_path)
    volumes = [diseased_ml(case, study) for study in case.studies]
    assert case.diseased == (status is Status.DISEASED)
    assert volumes[-1] >= LEAST_DISEASE_ML if case.diseased else not any(volumes)
    assert len(case.studies) in {2, 3}
    assert case.slice_spacing_mm in TEST_SPACINGS_MM


def test_the_same_seed_gives_the_same_case(tmp_path: Path) -> None:
    """To the last voxel."""
    for name in ("first", "again"):
        render_test_case(2_000_003, tmp_path / name, COARSE, status=Status.FREE)
    first, again = (load_case(tmp_path / name) for name in ("first", "again"))
    assert first.look_alikes == again.look_alikes
    for one, other in zip(first.studies, again.studies, strict=True):
        assert np.array_equal(one.volume_hu, other.volume_hu)


@pytest.mark.parametrize(("rendering", "stays"), [(None, False), (RENDERING - 1, False), (RENDERING, True)])
def test_only_a_phantom_of_this_rendering_stays(tmp_path: Path, rendering: int | None, stays: bool) -> None:
    """One that does not say which it came from does not."""
    save_case(tmp_path, replace(EMPTY_CASE, rendering=rendering or 0))
    if rendering is None:
        description = json.loads((tmp_path / DESCRIPTION).read_text(encoding="utf-8"))
        del description["rendering"]
        (tmp_path / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    assert is_rendered(tmp_path) is stays


def test_a_phantom_of_another_rendering_is_rendered_anew(tmp_path: Path) -> None:
    """In its place; after that it stays."""
    save_case(tmp_path, replace(EMPTY_CASE, rendering=RENDERING - 1))
    render_test_case(2_000_003, tmp_path, COARSE, status=Status.FREE)
    rendered = load_case(tmp_path)
    assert (rendered.name, rendered.rendering) == ("phantom-2000003", RENDERING)
    save_case(tmp_path, replace(EMPTY_CASE, rendering=RENDERING))
    render_test_case(2_000_003, tmp_path, COARSE, status=Status.FREE)
    assert load_case(tmp_path).name == "empty"


def test_a_phantom_that_was_free_and_is_to_be_diseased_is_rendered_anew(tmp_path: Path) -> None:
    """More diseased test patients in the folder of an earlier evaluation take the numbers of free ones."""
    save_case(tmp_path, replace(EMPTY_CASE, rendering=RENDERING))
    assert [is_rendered_as(tmp_path, status) for status in (Status.FREE, Status.DISEASED)] == [True, False]
    render_test_case(2_000_003, tmp_path, COARSE, status=Status.DISEASED)
    assert load_case(tmp_path).diseased
    assert [is_rendered_as(tmp_path, status) for status in (Status.FREE, Status.DISEASED)] == [False, True]


def test_a_case_from_before_there_were_courses_loads(tmp_path: Path) -> None:
    """Without course and look-alikes in its description."""
    save_case(tmp_path, EMPTY_CASE)
    description = json.loads((tmp_path / DESCRIPTION).read_text(encoding="utf-8"))
    del description["course"], description["look_alikes"]
    (tmp_path / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    assert load_case(tmp_path).look_alikes == ()


def test_days_ascend_and_may_begin_before_the_disease() -> None:
    """At least a day apart, two to four of them or as many as asked for."""
    rng = np.random.default_rng(0)
    drawn = [draw_days(rng) for _ in range(200)]
    assert all(np.diff(days).min() >= 1.0 and len(days) in {2, 3, 4} for days in drawn)
    assert min(days[0] for days in drawn) < 0.0
    assert len(draw_days(rng, count=3)) == 3
