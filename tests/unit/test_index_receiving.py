"""Received instances in the index."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import JANE, NOON, SR, build_index, claimed_study, make_ready, received, result_files, to, view_of
from storage.errors import UnknownStudyError
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import PatientKey, Recorded

pytestmark = pytest.mark.usefixtures("each_engine")

JOHN = PatientKey(patient_id="0815", issuer="CITY")


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the index."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Index:
    """An empty index."""
    return build_index(tmp_path, clock)


def test_a_first_instance_makes_a_study_that_is_received(index: Index) -> None:
    """With what the sender said about patient and study."""
    assert index.record_received([received()]) == (Recorded.NEW,)
    view = view_of(index)
    assert (view.state, view.revision, view.instance_count, view.series_count) == (State.RECEIVING, 1, 1, 1)
    assert (view.patient, view.accession_number, view.description) == (JANE, "A1", "Chest")
    assert [(entry.event, entry.from_state) for entry in view.history] == [(Event.INSTANCE_ARRIVED, None)]


def test_an_empty_batch_is_nothing(index: Index) -> None:
    """No transaction, no answer."""
    assert index.record_received([]) == ()


def test_a_resend_changes_nothing(index: Index) -> None:
    """Same instance, same bytes: in one batch and in a later one."""
    assert index.record_received([received(), received()]) == (Recorded.NEW, Recorded.DUPLICATE)
    before = view_of(index)
    assert index.record_received([received()] * 3) == (Recorded.DUPLICATE,) * 3
    assert view_of(index) == before


def test_a_resend_does_not_reopen_a_study_that_went_on(index: Index) -> None:
    """There is nothing new to run."""
    index.record_received([received()])
    make_ready(index)
    index.record_received([received()])
    assert view_of(index).state is State.READY


def test_one_batch_may_bring_many_studies(index: Index) -> None:
    """Group commit mixes the objects of several associations."""
    batch = [received(study, number) for number in range(3) for study in ("1.1", "1.2")]
    assert set(index.record_received(batch)) == {Recorded.NEW}
    assert [view_of(index, study).instance_count for study in ("1.1", "1.2")] == [3, 3]


def test_a_copy_with_other_bytes_is_kept_and_not_used(index: Index) -> None:
    """The first stays the one that is used; the copy may come again like any other instance."""
    first = received()
    copy = received(content="edited")
    assert index.record_received([first, copy, copy]) == (Recorded.NEW, Recorded.CONFLICT, Recorded.DUPLICATE)
    assert index.record_received([copy]) == (Recorded.DUPLICATE,)
    view = view_of(index)
    assert (view.instance_count, view.conflict_count, view.has_identity_conflict) == (1, 1, False)
    assert [stored.sha256 for stored in index.stored_instances("1.2.3")] == [first.sha256]
    assert view.history[-1].event is Event.CONFLICT_FOUND


def test_a_copy_with_other_bytes_does_not_reopen_the_study(index: Index) -> None:
    """What would be run is the same as before."""
    index.record_received([received()])
    make_ready(index)
    index.record_received([received(content="edited")])
    assert view_of(index).state is State.READY


def test_the_same_uid_in_another_series_or_study_is_another_instance(index: Index) -> None:
    """Only study, series and SOP Instance UID together name an instance."""
    first = received()
    other_series = received(series_instance_uid="1.2.3.2", content="b")
    other_study = received("1.9", sop_instance_uid=first.sop_instance_uid, content="c")
    assert index.record_received([first, other_series, other_study]) == (Recorded.NEW,) * 3
    assert (view_of(index).series_count, view_of(index).instance_count) == (2, 2)


def test_another_patient_under_the_same_study_uid_is_marked_and_never_mixed_in(index: Index) -> None:
    """The study stays with its first patient, what came of the other is kept and not used."""
    index.record_received([received()])
    assert index.record_received([received(number=2, patient=JOHN)]) == (Recorded.OTHER_PATIENT,)
    view = view_of(index)
    assert (view.patient, view.instance_count, view.conflict_count) == (JANE, 1, 1)
    assert index.study_has_identity_conflict("1.2.3")
    assert len(index.stored_instances("1.2.3")) == 1
    assert "another patient" in view.history[-1].why


def test_another_patient_holds_a_study_that_went_on(index: Index) -> None:
    """Nothing is run until an operator decides."""
    index.record_received([received()])
    make_ready(index)
    index.record_received([received(number=2, patient=JOHN)])
    assert view_of(index).state is State.HELD


def test_each_kind_of_conflict_is_told_once_and_counted_always(index: Index) -> None:
    """A thousand of them do not flood the history."""
    index.record_received([received()])
    for number in range(3):
        index.record_received([received(content=f"edited {number}"), received(number=10 + number, patient=JOHN)])
    events = [entry.event for entry in view_of(index).history]
    assert (events.count(Event.CONFLICT_FOUND), events.count(Event.PATIENT_CONTRADICTED)) == (1, 1)
    assert view_of(index).conflict_count == 6


@pytest.mark.parametrize("issuer", ["", "CITY"])
def test_an_issuer_that_is_left_out_contradicts_nothing(index: Index, issuer: str) -> None:
    """A dose report of another device often has none."""
    index.record_received([received(patient=PatientKey(patient_id="4711", issuer=issuer))])
    assert index.record_received([received(number=2, patient=PatientKey(patient_id="4711", issuer=""))]) == (
        Recorded.NEW,
    )


def test_the_same_id_of_another_issuer_is_another_patient(index: Index) -> None:
    """The ID counts only together with its issuer."""
    index.record_received([received()])
    other = PatientKey(patient_id=JANE.patient_id, issuer="COUNTY")
    assert index.record_received([received(number=2, patient=other)]) == (Recorded.OTHER_PATIENT,)


def test_our_own_result_that_comes_back_runs_nothing(index: Index) -> None:
    """A PACS that routes everything to everybody would else keep the node busy for ever."""
    claim = claimed_study(index)
    index.finish_succeeded(claim, result_files("2.25.7"), destinations=to("PACS"), why="done")
    returned = received(
        number=9, sop_instance_uid="2.25.7", sop_class_uid=SR, series_instance_uid="2.25.8", modality="SR"
    )
    assert index.record_received([returned]) == (Recorded.OWN_RESULT,)
    view = view_of(index)
    assert (view.state, view.instance_count, view.series_count) == (State.PROCESSED, 1, 1)
    assert len(index.stored_instances("1.2.3")) == 1


def test_a_late_instance_reopens_the_study(index: Index, clock: FakeClock) -> None:
    """The whole study will run again, and the rule of completeness counts from the reopening."""
    index.record_received([received()])
    make_ready(index)
    clock.advance(500)
    index.record_received([received(number=2, received_at=clock.now())])
    activity = index.studies_in(State.RECEIVING)[0]
    assert (activity.first_instance_at, activity.last_instance_at) == (clock.now(), clock.now())
    assert activity.instance_count == 2


def test_the_study_was_acquired_when_its_earliest_ct_image_was(index: Index) -> None:
    """A dose report or a scout sent first does not decide."""
    index.record_received(
        [
            received(number=1, modality="SR", series_instance_uid="1.2.3.9", acquired_at=NOON - timedelta(days=9)),
            received(number=2, acquired_at=NOON - timedelta(minutes=5)),
            received(number=3, acquired_at=NOON - timedelta(minutes=7)),
            received(number=4, acquired_at=None),
        ]
    )
    assert view_of(index).acquired_at == NOON - timedelta(minutes=7)


def test_gaps_in_what_the_study_says_are_filled_and_nothing_is_overwritten(index: Index) -> None:
    """The first instance may be a poor one."""
    index.record_received([received(patient_name="", accession_number="")])
    index.record_received([received(number=2, patient_name="Doe^Jane", accession_number="A7", birth_date="")])
    demographics = index.demographics_of("1.2.3")
    assert (demographics.patient_name, demographics.birth_date) == ("Doe^Jane", "19500102")
    assert view_of(index).accession_number == "A7"


def test_several_threads_may_record_at_once(index: Index) -> None:
    """Twenty senders of the same study: every instance is there once."""

    def send() -> None:
        answers.extend(index.record_received([received(number=number) for number in range(10)]))

    answers: list[Recorded] = []
    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers.count(Recorded.NEW), answers.count(Recorded.DUPLICATE)) == (10, 70)
    assert view_of(index).instance_count == 10


def test_an_unknown_study_is_said_to_be_unknown(index: Index) -> None:
    """The message names no UID; the error carries it."""
    with pytest.raises(UnknownStudyError) as unknown:
        index.apply("1.2.3", Event.DISCARDED, why="test")
    assert unknown.value.study_instance_uid == "1.2.3"
    assert "1.2.3" not in str(unknown.value)
    assert index.study("1.2.3") is None
