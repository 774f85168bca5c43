"""Merges of patients and assignments of studies."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from builders.clock import FakeClock
from builders.index import JANE, NOON, build_index, database_url, received
from config.settings import PriorsSettings
from dicom_node.priors import chest_words, select_priors
from storage.database import open_engine, reading
from storage.errors import (
    AlreadyMergedError,
    NotAssignedError,
    NotMergedError,
    SamePatientError,
    UnknownPatientError,
    UnknownStudyError,
)
from storage.index import Index
from storage.patient_index import PatientIndex
from storage.prior_records import PriorCandidate
from storage.records import PatientKey

pytestmark = pytest.mark.usefixtures("each_engine")

OLD_JANE = PatientKey(patient_id="99", issuer="OLD")
OLDEST_JANE = PatientKey(patient_id="1", issuer="OLDEST")
NOBODY = PatientKey(patient_id="12345", issuer="")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Jane's study of today and one under each of her older IDs."""
    index = build_index(tmp_path, FakeClock())
    today, days = NOON - timedelta(hours=1), timedelta(days=1)
    index.record_received(
        [
            received("1.1"),
            received("1.2", patient=OLD_JANE, acquired_at=today - 30 * days),
            received("1.3", patient=OLDEST_JANE, acquired_at=today - 60 * days, patient_name="Roe^Jane"),
        ]
    )
    return index


@pytest.fixture
def patients(index: Index, tmp_path: Path) -> PatientIndex:
    """What administrators say, as the operator admin."""
    return PatientIndex(open_engine(database_url(tmp_path)), now=FakeClock().now, by="admin")


def priors(index: Index, study: str = "1.1") -> dict[str, PriorCandidate]:
    """Earlier studies by UID."""
    return {prior.study_instance_uid: prior for prior in index.prior_candidates(study, maximum_age_days=730)}


def test_another_id_or_issuer_is_another_patient_until_somebody_says_otherwise(index: Index) -> None:
    """Equal names prove nothing."""
    assert not priors(index)


def test_a_merge_links_at_once_and_an_unmerge_parts_again(index: Index, patients: PatientIndex) -> None:
    """In whatever order the two are named."""
    patients.merge(JANE, OLD_JANE, although_contradicting=False)
    assert (list(priors(index)), priors(index)["1.2"].is_confirmed) == (["1.2"], False)
    patients.unmerge(OLD_JANE, JANE)
    assert not priors(index)


def test_merges_reach_over_several_patients(index: Index, patients: PatientIndex) -> None:
    """A is B, B is C."""
    patients.merge(OLDEST_JANE, OLD_JANE, although_contradicting=True)
    patients.merge(JANE, OLD_JANE, although_contradicting=False)
    assert [prior.is_confirmed for prior in priors(index).values()] == [False, True]
    patients.unmerge(JANE, OLD_JANE)
    assert not priors(index)
    assert list(priors(index, "1.2")) == ["1.3"]


def test_a_merge_although_contradicting_overrules_names_and_a_plain_one_does_not(
    index: Index, patients: PatientIndex
) -> None:
    """A plain merge only says that the IDs are one; the studies are still compared."""
    candidates = []
    for although_contradicting in (False, True):
        patients.merge(JANE, OLDEST_JANE, although_contradicting=although_contradicting)
        candidates.append(tuple(priors(index).values()))
    jane = index.demographics_of("1.1")
    chest = chest_words(PriorsSettings())
    chosen = [select_priors(jane, one, acquired_at=NOON, maximum_count=3, chest=chest) for one in candidates]
    assert [(len(one.linked), len(one.refused)) for one in chosen] == [(0, 1), (1, 0)]


def test_contradictions_are_listed_before_anything_is_said(index: Index, patients: PatientIndex) -> None:
    """With both studies and all that they say."""
    assert patients.contradictions_of_merge(JANE, OLD_JANE) == ()
    (found,) = patients.contradictions_of_merge(JANE, OLDEST_JANE)
    assert found.attributes == ("name",)
    assert (found.said.patient_name, found.other_said.patient_name) == ("Doe^Jane", "Roe^Jane")
    assert (found.study_instance_uid, found.other_study_instance_uid) == ("1.1", "1.3")
    assert not priors(index)


def test_a_study_belongs_to_whom_it_was_assigned(index: Index, patients: PatientIndex) -> None:
    """It leaves the patient that its images name, until that is undone."""
    assert [one.attributes for one in patients.contradictions_of_assignment("1.3", JANE)] == [("name",)]
    patients.assign("1.2", JANE, although_contradicting=False)
    assert list(priors(index)) == ["1.2"]
    patients.assign("1.2", OLDEST_JANE, although_contradicting=True)
    assert not priors(index)
    assert [(uid, prior.is_confirmed) for uid, prior in priors(index, "1.2").items()] == [("1.3", True)]
    patients.unassign("1.2")
    assert not priors(index, "1.2")


def test_a_current_study_without_an_id_can_be_assigned(index: Index, patients: PatientIndex) -> None:
    """As from an emergency room."""
    unknown = PatientKey(patient_id="", issuer="")
    index.record_received([received("1.9", patient=unknown, acquired_at=NOON)])
    assert not priors(index, "1.9")
    patients.assign("1.9", JANE, although_contradicting=False)
    assert list(priors(index, "1.9")) == ["1.1"]


def test_a_new_name_is_confirmed_by_assigning_the_study_to_its_own_patient(
    index: Index, patients: PatientIndex
) -> None:
    """After a marriage the ID stays and the name does not."""
    married = received("1.8", patient_name="Roe^Jane", acquired_at=NOON)
    index.record_received([married])
    assert not priors(index, "1.8")["1.1"].is_confirmed
    patients.assign("1.8", JANE, although_contradicting=True)
    assert priors(index, "1.8")["1.1"].is_confirmed


def test_everything_that_was_said_stays_with_who_and_when(index: Index, patients: PatientIndex) -> None:
    """Also what was undone."""
    patients.merge(JANE, OLD_JANE, although_contradicting=False)
    patients.unmerge(JANE, OLD_JANE)
    patients.merge(JANE, OLD_JANE, although_contradicting=False)
    patients.assign("1.3", JANE, although_contradicting=True)
    view = patients.patient(JANE)
    assert view.same_person == (OLD_JANE,)
    assert [(merge.made_by, merge.undone_by) for merge in view.merges] == [("admin", "admin"), ("admin", None)]
    assert [(one.study_instance_uid, one.although_contradicting) for one in view.assignments] == [("1.3", True)]
    assert [(one.study_instance_uid, one.is_assigned) for one in view.studies] == [
        ("1.1", False),
        ("1.2", False),
        ("1.3", True),
    ]


def test_nothing_of_what_was_received_is_rewritten(index: Index, patients: PatientIndex, tmp_path: Path) -> None:
    """Results copy the patient from the images, as ever."""

    def rows() -> list[tuple[object, ...]]:
        with reading(open_engine(database_url(tmp_path))) as connection:
            return [
                tuple(row)
                for table in ("study", "instance", "patient")
                for row in connection.execute(text(f"SELECT * FROM {table}"))
            ]

    before = rows()
    patients.merge(JANE, OLD_JANE, although_contradicting=False)
    patients.assign("1.3", JANE, although_contradicting=True)
    assert rows() == before


def test_what_makes_no_sense_is_refused(patients: PatientIndex) -> None:
    """Each with its own words."""
    with pytest.raises(SamePatientError):
        patients.merge(JANE, JANE, although_contradicting=True)
    with pytest.raises(UnknownPatientError):
        patients.merge(JANE, NOBODY, although_contradicting=True)
    with pytest.raises(NotMergedError):
        patients.unmerge(JANE, OLD_JANE)
    with pytest.raises(NotAssignedError):
        patients.unassign("1.1")
    with pytest.raises(UnknownStudyError):
        patients.assign("9.9", JANE, although_contradicting=True)
    patients.merge(JANE, OLD_JANE, although_contradicting=False)
    with pytest.raises(AlreadyMergedError):
        patients.merge(OLD_JANE, JANE, although_contradicting=False)
