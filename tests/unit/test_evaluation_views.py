"""What a detector gets to see of a patient."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders.training_cases import small_case
from pipeline.evaluation.read_cases import Patient
from pipeline.evaluation.strangers import strangers_of
from pipeline.evaluation.truth import case_truth
from pipeline.evaluation.views import (
    NEWEST_ALONE,
    STAGE_ONE,
    STAGE_TWO,
    View,
    Way,
    control_stages,
    paper_stages,
    shown_studies,
)
from pipeline.training.cases import Case, CaseStudy

STRANGER = small_case(9, studies=2)

TRUTH = case_truth(STRANGER)


def shown(way: Way, *, studies: int = 3, studies_back: int = 0) -> tuple[Case, list[CaseStudy]]:
    """A patient, and what of it is shown."""
    case = small_case(1, studies=studies)
    return case, shown_studies(case, View(way=way, studies_back=studies_back), STRANGER, seed=5)


@pytest.mark.parametrize("way", list(Way))
def test_the_study_that_is_read_comes_last_and_unchanged(way: Way) -> None:
    """Whatever is done to the earlier ones."""
    case, studies = shown(way)
    assert studies[-1] is case.studies[-1]


def test_stage_one_shows_the_newest_study_alone() -> None:
    """To every detector."""
    for looks_back in (True, False):
        assert paper_stages(looks_back=looks_back)[STAGE_ONE](3) == (NEWEST_ALONE,)
    assert len(shown(Way.ALONE)[1]) == 1


def test_stage_two_shows_all_dates() -> None:
    """At once, or one by one; the newest first, because lesions are counted there."""
    assert paper_stages(looks_back=True)[STAGE_TWO](3) == (View(way=Way.ALL_DATES),)
    views = paper_stages(looks_back=False)[STAGE_TWO](3)
    assert [view.studies_back for view in views] == [0, 1, 2]
    assert {view.way for view in views} == {Way.ALONE}


def test_one_date_is_read_the_same_in_both_stages() -> None:
    """There is nothing to look back at, and no control either."""
    stages = {**paper_stages(looks_back=True), **control_stages()}
    assert {views(1) for views in stages.values()} == {(NEWEST_ALONE,)}


def test_an_earlier_study_is_read_without_the_later_ones() -> None:
    """No look into the future."""
    case, studies = shown(Way.ALL_DATES, studies_back=1)
    assert [study.day for study in studies] == [study.day for study in case.studies[:2]]


def test_at_most_three_earlier_studies_are_shown() -> None:
    """As many as the network was trained with."""
    case, studies = shown(Way.ALL_DATES, studies=6)
    assert studies == list(case.studies[-4:])


def test_studies_shuffled_in_time_are_in_wrong_order_on_wrong_days() -> None:
    """Still before the newest, one after the other."""
    case, studies = shown(Way.SHUFFLED_IN_TIME)
    assert studies[0].volume_hu is case.studies[1].volume_hu
    assert studies[1].volume_hu is case.studies[0].volume_hu
    days = [study.day for study in studies]
    assert days == sorted(days)
    assert days[0] != case.studies[0].day


def test_studies_shuffled_in_place_hold_the_same_slices_elsewhere() -> None:
    """Volume and lungs move together."""
    case, studies = shown(Way.SHUFFLED_IN_PLACE)
    before, after = case.studies[0], studies[0]
    assert sorted(plane.tobytes() for plane in after.volume_hu) == sorted(p.tobytes() for p in before.volume_hu)
    assert not np.array_equal(after.volume_hu, before.volume_hu)
    moved = [int(np.flatnonzero((before.volume_hu == plane).all(axis=(1, 2)))[0]) for plane in after.volume_hu]
    assert np.array_equal(after.truth, before.truth[:, moved])


def test_another_patients_studies_come_on_the_patients_grid_and_days() -> None:
    """Resized, so that the lungs lie about where the patient's do."""
    case = small_case(1)
    wide = replace(STRANGER, studies=tuple(_stretched(study) for study in STRANGER.studies))
    studies = shown_studies(case, View(way=Way.OTHER_PATIENT), wide, seed=5)
    assert [study.day for study in studies] == [study.day for study in case.studies]
    assert {study.volume_hu.shape for study in studies} == {case.studies[-1].volume_hu.shape}
    assert set(np.unique(studies[0].truth)) <= {0, 1}


def test_the_same_patient_is_shuffled_the_same_way_every_time() -> None:
    """A reading that is made again is the same."""
    one, other = shown(Way.SHUFFLED_IN_PLACE)[1], shown(Way.SHUFFLED_IN_PLACE)[1]
    assert np.array_equal(one[0].volume_hu, other[0].volume_hu)


def _stretched(study: CaseStudy) -> CaseStudy:
    return replace(study, volume_hu=study.volume_hu.repeat(2, axis=2), truth=study.truth.repeat(2, axis=3))


def cases_of(*counts: int) -> list[Patient]:
    """Patients with so many cases each, mixed up."""
    found = [
        Patient(folder=Path(f"{number}-{index}"), identity=f"p{number}", source="site", truth=TRUTH, fingerprint="")
        for number, count in enumerate(counts)
        for index in range(count)
    ]
    return [found[index] for index in np.random.default_rng(3).permutation(len(found))]


@pytest.mark.parametrize("counts", [(1, 1, 1, 1, 1), (3, 3, 2, 1, 1), (4, 2, 2), (6, 1, 1)])
def test_nobody_stands_in_for_oneself(counts: tuple[int, ...]) -> None:
    """Nor does another case of the same patient; each stands in once, where that can be."""
    found = strangers_of(cases_of(*counts), seed=1)
    assert len(found) == sum(counts)
    assert all(own.name.split("-")[0] != other.name.split("-")[0] for own, other in found.items())
    if 2 * max(counts) <= sum(counts):
        assert set(found) == set(found.values())
