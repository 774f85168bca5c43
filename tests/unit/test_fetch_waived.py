"""What an administrator waives holds for studies that a PACS has, as for those that are here."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders.index import JANE, NOON
from builders.married_patient import MAIDEN, MARRIED, MISTYPED, OTHER_JANE, index_of_jane, said_by_admin, study
from config.settings import PriorsSettings
from dicom_node.priors import chest_words
from dicom_node.retrieve.answers import SeriesAnswer, StudyAnswer
from dicom_node.retrieve.survey import Limits, Survey, Surveyor
from storage.fetch_records import FoundState
from storage.fetch_tasks import FetchTask
from storage.index import Index
from storage.lifecycle import Event
from storage.patient_index import PatientIndex
from storage.records import Demographics, PatientKey

pytestmark = pytest.mark.usefixtures("each_engine")

LIMITS = Limits(maximum_count=2, maximum_age_days=730, chest=chest_words(PriorsSettings()))


def answer(uid: str, who: Demographics, *, days_ago: float, patient: PatientKey = JANE) -> StudyAnswer:
    """A study of Jane's ID, or another one, that the PACS has."""
    at = NOON - timedelta(days=days_ago)
    return StudyAnswer(
        study_instance_uid=uid,
        patient=patient,
        demographics=who,
        study_date=f"{at:%Y%m%d}",
        acquired_at=at,
        description="CT Thorax",
        modalities=("CT",),
        accession_number="",
    )


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Jane's study from before her marriage, and one from after it."""
    return index_of_jane(tmp_path)


@pytest.fixture
def patients(index: Index, tmp_path: Path) -> PatientIndex:
    """What administrators say, as the operator admin."""
    return said_by_admin(tmp_path)


def surveyed(index: Index, uid: str, answers: Sequence[StudyAnswer]) -> Survey:
    """What becomes of the answers of a PACS, which has one chest series of each study."""
    index.apply(uid, Event.COMPLETED, why="quiet")
    index.fetches.plan(uid, peers=["pacs"])
    task = index.fetches.take_due("pacs")
    assert task is not None
    surveyor = Surveyor(
        task,
        LIMITS,
        held=index.fetches.held,
        candidates=index.prior_candidates(uid, maximum_age_days=730),
        ask_series=lambda of: [
            SeriesAnswer(
                series_instance_uid=f"{of}.1",
                modality="CT",
                description="",
                protocol="",
                body_part="CHEST",
                instance_count=100,
            )
        ],
    )
    return surveyor.decide(answers)


def wanted(survey: Survey) -> list[str]:
    """What is fetched."""
    return [one.study.study_instance_uid for one in survey.wanted]


def others(survey: Survey) -> dict[str, FoundState]:
    """What became of those that are not."""
    return {one.study_instance_uid: one.state for one in survey.others}


def test_a_study_under_the_maiden_name_is_fetched_where_the_new_name_was_waived(
    index: Index, patients: PatientIndex
) -> None:
    """With that birth date and sex; a third name, or the old one with another birth date, is refused as ever."""
    patients.assign("1.2", JANE, although_contradicting=True)
    index.record_received([study("1.5", MARRIED, days_ago=0)])
    found = surveyed(
        index,
        "1.5",
        [
            answer("7.1", MAIDEN, days_ago=30),
            answer("7.2", replace(MAIDEN, patient_name="Poe^Jane"), days_ago=20),
            answer("7.3", MISTYPED, days_ago=10),
        ],
    )
    assert wanted(found) == ["7.1"]
    assert others(found) == {"7.2": FoundState.REFUSED, "7.3": FoundState.REFUSED}
    index.record_received([study("7.1", MAIDEN, days_ago=30)])
    (linked, *_) = index.prior_candidates("1.5", maximum_age_days=730)
    assert (linked.study_instance_uid, linked.is_confirmed) == ("7.1", True)


def test_nothing_is_fetched_under_a_name_that_nobody_waived(index: Index, patients: PatientIndex) -> None:
    """Nor where it was taken back."""
    patients.assign("1.2", JANE, although_contradicting=True)
    patients.unassign("1.2")
    index.record_received([study("1.5", MARRIED, days_ago=0)])
    found = surveyed(index, "1.5", [answer("7.1", MAIDEN, days_ago=30)])
    assert (wanted(found), others(found)) == ([], {"7.1": FoundState.REFUSED})


def test_a_birth_date_is_waived_for_the_assigned_study_alone(index: Index, patients: PatientIndex) -> None:
    """The PACS is asked for the studies of the same ID with the right one; those with the wrong one wait for their word."""
    index.record_received([study("1.3", MISTYPED, days_ago=0)])
    patients.assign("1.3", JANE, although_contradicting=True)
    found = surveyed(index, "1.3", [answer("7.1", MAIDEN, days_ago=30)])
    assert wanted(found) == ["7.1"]
    index.record_received([study("1.4", MAIDEN, days_ago=0)])
    found = surveyed(index, "1.4", [answer("7.3", MISTYPED, days_ago=10)])
    assert others(found) == {"7.3": FoundState.REFUSED}


def test_what_was_waived_across_a_merge_reaches_no_study_of_the_same_id(index: Index, patients: PatientIndex) -> None:
    """A birth date that differs between two IDs says nothing of two studies of one."""
    index.record_received([study("1.3", MISTYPED, days_ago=50, patient=OTHER_JANE)])
    patients.merge(OTHER_JANE, JANE, although_contradicting=True)
    index.record_received([study("1.4", MAIDEN, days_ago=0)])
    found = surveyed(index, "1.4", [answer("7.3", MISTYPED, days_ago=10)])
    assert others(found) == {"7.3": FoundState.REFUSED}


def test_a_study_that_is_linked_by_what_was_waived_takes_its_place(index: Index, patients: PatientIndex) -> None:
    """It will be compared with: no other is fetched in its stead, and the PACS's own copy of it is not refused."""
    patients.assign("1.2", JANE, although_contradicting=True)
    index.record_received([study("1.6", MAIDEN, days_ago=20), study("1.5", MARRIED, days_ago=0)])
    answers = [answer("1.6", MAIDEN, days_ago=20), answer("7.1", MARRIED, days_ago=50)]
    found = surveyed(index, "1.5", answers)
    assert wanted(found) == []
    assert others(found) == {"1.6": FoundState.HELD, "7.1": FoundState.NOT_NEEDED}


def test_what_is_here_and_linked_is_not_refused_at_the_pacs(index: Index, patients: PatientIndex) -> None:
    """Its birth date was waived for it alone; another one with that date is refused."""
    index.record_received([study("1.3", MISTYPED, days_ago=50)])
    patients.assign("1.3", JANE, although_contradicting=True)
    index.record_received([study("1.5", MAIDEN, days_ago=0)])
    answers = [answer("1.3", MISTYPED, days_ago=50), answer("7.3", MISTYPED, days_ago=10)]
    assert others(surveyed(index, "1.5", answers)) == {"1.3": FoundState.HELD, "7.3": FoundState.REFUSED}


def task_of(index: Index, uid: str) -> FetchTask | None:
    """What the PACS is asked for a study."""
    index.apply(uid, Event.COMPLETED, why="quiet")
    index.fetches.plan(uid, peers=["pacs"])
    return index.fetches.take_due("pacs")


def test_the_pacs_is_asked_for_the_patient_whom_the_study_was_assigned_to(index: Index, patients: PatientIndex) -> None:
    """What it has under the ID in the images is of somebody else, and is refused; taken back, it is asked for that again."""
    index.record_received([study("1.5", MAIDEN, days_ago=0, patient=OTHER_JANE)])
    patients.assign("1.5", JANE, although_contradicting=False)
    found = surveyed(
        index,
        "1.5",
        [answer("7.1", MAIDEN, days_ago=30), answer("7.2", MAIDEN, days_ago=20, patient=OTHER_JANE)],
    )
    assert (wanted(found), others(found)) == (["7.1"], {"7.2": FoundState.REFUSED})
    index.record_received([study("1.6", MAIDEN, days_ago=0, patient=OTHER_JANE)])
    patients.assign("1.6", JANE, although_contradicting=False)
    patients.unassign("1.6")
    task = task_of(index, "1.6")
    assert (task and task.patient) == OTHER_JANE


def test_a_study_without_an_id_that_was_assigned_is_looked_for_at_the_pacs(
    index: Index, patients: PatientIndex
) -> None:
    """As it is compared with what is here."""
    nobody = PatientKey(patient_id="", issuer="")
    index.record_received(
        [study("1.5", MAIDEN, days_ago=0, patient=nobody), study("1.6", MAIDEN, days_ago=0, patient=nobody)]
    )
    patients.assign("1.5", JANE, although_contradicting=False)
    task = task_of(index, "1.5")
    assert (task and task.patient) == JANE
    assert task_of(index, "1.6") is None


def test_what_was_waived_for_an_assigned_study_holds_at_the_pacs_of_the_chosen_patient(
    index: Index, patients: PatientIndex
) -> None:
    """Her wrong birth date was seen; somebody else of that ID is refused."""
    index.record_received([study("1.5", MISTYPED, days_ago=0, patient=OTHER_JANE)])
    patients.assign("1.5", JANE, although_contradicting=True)
    man = Demographics(patient_name="Poe^John", birth_date="19610203", sex="M")
    found = surveyed(index, "1.5", [answer("7.1", MAIDEN, days_ago=30), answer("7.2", man, days_ago=20)])
    assert (wanted(found), others(found)) == (["7.1"], {"7.2": FoundState.REFUSED})


def test_a_study_under_another_id_of_a_merge_is_fetched(index: Index, patients: PatientIndex) -> None:
    """By ID and issuer, with that name, birth date and sex; each once, and no more once the merge is taken back."""
    index.record_received(
        [study("1.3", MAIDEN, days_ago=300, patient=OTHER_JANE), study("1.5", MAIDEN, days_ago=0)],
    )
    patients.merge(JANE, OTHER_JANE, although_contradicting=False)
    there = answer("7.1", MAIDEN, days_ago=30, patient=OTHER_JANE)
    man = Demographics(patient_name="Poe^John", birth_date="19610203", sex="M")
    answers = [
        there,
        there,
        answer("7.2", man, days_ago=20, patient=OTHER_JANE),
        answer("7.3", MAIDEN, days_ago=40, patient=replace(OTHER_JANE, issuer="CITY")),
        answer("7.4", MAIDEN, days_ago=50, patient=PatientKey(patient_id="98", issuer="OLD")),
    ]
    found = surveyed(index, "1.5", answers)
    assert (wanted(found), others(found)) == (["7.1"], dict.fromkeys(["7.2", "7.3", "7.4"], FoundState.REFUSED))
    patients.unmerge(JANE, OTHER_JANE)
    index.record_received([study("1.6", MAIDEN, days_ago=0)])
    assert others(surveyed(index, "1.6", [there])) == {"7.1": FoundState.REFUSED}


def test_what_was_waived_across_a_merge_reaches_the_other_id_at_the_pacs(index: Index, patients: PatientIndex) -> None:
    """Its birth date was seen."""
    index.record_received([study("1.3", MISTYPED, days_ago=300, patient=OTHER_JANE)])
    patients.merge(OTHER_JANE, JANE, although_contradicting=True)
    index.record_received([study("1.5", MAIDEN, days_ago=0)])
    answers = [
        answer("7.1", MISTYPED, days_ago=30, patient=OTHER_JANE),
        answer("7.2", replace(MISTYPED, birth_date="19990101"), days_ago=20, patient=OTHER_JANE),
    ]
    found = surveyed(index, "1.5", answers)
    assert (wanted(found), others(found)) == (["7.1"], {"7.2": FoundState.REFUSED})
    index.record_received([study("7.1", MISTYPED, days_ago=30, patient=OTHER_JANE)])
    (linked, *_) = index.prior_candidates("1.5", maximum_age_days=730)
    assert (linked.study_instance_uid, linked.is_confirmed) == ("7.1", True)
