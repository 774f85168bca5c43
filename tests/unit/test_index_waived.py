"""What an administrator waives by saying that it is one person although something contradicts."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from builders.index import JANE, NOON, database_url
from builders.married_patient import MAIDEN, MARRIED, MISTYPED, OTHER_JANE, index_of_jane, said_by_admin, study
from config.settings import PriorsSettings
from dicom_node.priors import PriorSelection, chest_words, select_priors
from storage.database import open_engine, writing
from storage.errors import AlreadyMergedError
from storage.index import Index
from storage.known_words import known_words
from storage.link_models import WaivedContradiction
from storage.patient_index import PatientIndex
from storage.records import Demographics

pytestmark = pytest.mark.usefixtures("each_engine")

BOB = Demographics(patient_name="Stranger^Bob", birth_date="19800505", sex="M")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Jane's study from before her marriage, and one from after it."""
    return index_of_jane(tmp_path)


@pytest.fixture
def patients(index: Index, tmp_path: Path) -> PatientIndex:
    """What administrators say, as the operator admin."""
    return said_by_admin(tmp_path)


def selected(index: Index, uid: str) -> PriorSelection:
    """What a study is compared with."""
    candidates = index.prior_candidates(uid, maximum_age_days=730)
    return select_priors(
        index.demographics_of(uid), candidates, acquired_at=NOON, maximum_count=9, chest=chest_words(PriorsSettings())
    )


def linked(index: Index, uid: str) -> list[str]:
    """The same by UID."""
    return [prior.study_instance_uid for prior in selected(index, uid).linked]


def test_an_assignment_waives_nothing_that_was_not_shown(index: Index, patients: PatientIndex) -> None:
    """Whoever else comes under the same ID is refused, with the reason, in both directions."""
    patients.assign("1.2", JANE, although_contradicting=True)
    assert linked(index, "1.2") == ["1.1"]
    index.record_received([study("1.8", BOB, days_ago=200), study("1.9", BOB, days_ago=0)])
    assert linked(index, "1.2") == ["1.1"]
    assert linked(index, "1.9") == ["1.8"]
    refused = {one.study_instance_uid: one.reason for one in selected(index, "1.9").refused}
    assert set(refused) == {"1.1", "1.2"}
    assert "the birth date and sex and name differ" in refused["1.2"]


def test_a_merge_waives_nothing_that_was_not_shown(index: Index, patients: PatientIndex) -> None:
    """Nor for those who come under either ID."""
    index.record_received([study("1.3", MAIDEN, days_ago=300, patient=OTHER_JANE)])
    patients.merge(JANE, OTHER_JANE, although_contradicting=True)
    assert linked(index, "1.2") == ["1.3", "1.1"]
    index.record_received([study("1.8", BOB, days_ago=0), study("1.9", BOB, days_ago=1, patient=OTHER_JANE)])
    assert (linked(index, "1.8"), linked(index, "1.9")) == (["1.9"], [])


def test_a_new_name_is_said_once_for_later_studies_too(index: Index, patients: PatientIndex) -> None:
    """However it is spelled; the old name, the birth date and the sex must still be those that were shown."""
    patients.assign("1.2", JANE, although_contradicting=True)
    index.record_received([study("1.5", replace(MARRIED, patient_name="ROE^JANE^MARY"), days_ago=5)])
    assert linked(index, "1.5") == ["1.2", "1.1"]
    index.record_received([study("1.6", replace(MARRIED, patient_name="Poe^Jane"), days_ago=4)])
    assert linked(index, "1.6") == []
    index.record_received([study("1.7", replace(MARRIED, birth_date="19500201"), days_ago=3)])
    assert linked(index, "1.7") == []


def test_a_study_that_leaves_out_what_was_shown_stands_in_for_nobody(index: Index, patients: PatientIndex) -> None:
    """One of another birth date is not linked under the old name because an old study has no date."""
    patients.assign("1.2", JANE, although_contradicting=True)
    index.record_received([study("1.3", replace(MAIDEN, birth_date=""), days_ago=300)])
    index.record_received([study("1.9", replace(MARRIED, birth_date="19800505"), days_ago=0)])
    assert linked(index, "1.9") == []
    assert linked(index, "1.2") == ["1.3", "1.1"]


def test_a_birth_date_is_waived_for_the_assigned_study_alone(index: Index, patients: PatientIndex) -> None:
    """Another one with that date may be of somebody else."""
    index.record_received([study("1.3", MISTYPED, days_ago=50)])
    patients.assign("1.3", JANE, although_contradicting=True)
    index.record_received([study("1.4", MISTYPED, days_ago=20), study("1.5", MAIDEN, days_ago=10)])
    assert linked(index, "1.3") == ["1.2", "1.1"]
    assert linked(index, "1.4") == ["1.3"]
    assert linked(index, "1.5") == ["1.3", "1.1"]


def test_a_birth_date_is_waived_between_two_ids_and_not_within_one(index: Index, patients: PatientIndex) -> None:
    """As it was shown."""
    index.record_received([study("1.3", MISTYPED, days_ago=50, patient=OTHER_JANE)])
    patients.merge(OTHER_JANE, JANE, although_contradicting=True)
    index.record_received([study("1.4", MISTYPED, days_ago=20), study("1.5", MAIDEN, days_ago=10)])
    assert linked(index, "1.5") == ["1.3", "1.1"]
    assert linked(index, "1.4") == ["1.3"]


def test_what_is_taken_back_waives_nothing(index: Index, patients: PatientIndex) -> None:
    """The study is again one like any other."""
    patients.assign("1.2", JANE, although_contradicting=True)
    patients.unassign("1.2")
    assert linked(index, "1.2") == []
    patients.assign("1.2", JANE, although_contradicting=False)
    assert linked(index, "1.2") == []


def test_what_was_waived_is_told_and_kept(index: Index, patients: PatientIndex) -> None:
    """To whom says it, and to whom asks later."""
    (told,) = patients.assign("1.2", JANE, although_contradicting=True)
    assert (told.said, told.other_said, told.attributes) == (MARRIED, MAIDEN, ("name",))
    ((kept,),) = [one.waives for one in patients.patient(JANE).assignments]
    assert (kept.said, kept.other_said, kept.attributes) == (MARRIED, MAIDEN, ("name",))
    assert patients.assign("1.2", JANE, although_contradicting=False) == ()


def test_a_statement_from_before_this_was_kept_waives_nothing(
    index: Index, patients: PatientIndex, tmp_path: Path
) -> None:
    """Nobody knows any more what was shown; it can be said again."""
    index.record_received([study("1.3", MAIDEN, days_ago=300, patient=OTHER_JANE)])
    patients.assign("1.2", JANE, although_contradicting=True)
    patients.merge(JANE, OTHER_JANE, although_contradicting=True)
    with writing(open_engine(database_url(tmp_path))) as connection:
        connection.execute(delete(WaivedContradiction))
    assert linked(index, "1.2") == []
    patients.merge(JANE, OTHER_JANE, although_contradicting=True)
    assert linked(index, "1.2") == ["1.3", "1.1"]


def test_a_merge_is_said_again_only_where_something_new_contradicts(index: Index, patients: PatientIndex) -> None:
    """What contradicts within one ID is not part of it."""
    index.record_received([study("1.3", MAIDEN, days_ago=300, patient=OTHER_JANE)])
    (told,) = patients.merge(JANE, OTHER_JANE, although_contradicting=True)
    assert told.attributes == ("name",)
    with pytest.raises(AlreadyMergedError):
        patients.merge(JANE, OTHER_JANE, although_contradicting=True)
    index.record_received([study("1.4", MISTYPED, days_ago=50, patient=OTHER_JANE)])
    assert linked(index, "1.4") == []
    patients.merge(JANE, OTHER_JANE, although_contradicting=True)
    assert linked(index, "1.4") == ["1.2", "1.1"]
    assert len(patients.patient(JANE).merges) == 2


def test_what_is_kept_with_a_statement_is_struck_out_of_a_support_bundle(
    index: Index, patients: PatientIndex, tmp_path: Path
) -> None:
    """It may stay longer than the study."""
    index.record_received([study("1.3", replace(MAIDEN, patient_name="Quimby^Jane"), days_ago=9, patient=OTHER_JANE)])
    patients.merge(JANE, OTHER_JANE, although_contradicting=True)
    engine = open_engine(database_url(tmp_path))
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE study SET patient_name = ''")
    assert "quimby" in known_words(engine).words
