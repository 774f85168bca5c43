"""Results on their way to the destinations."""

from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, claim, claimed_study, make_ready, received, result_files, state_of, to
from storage.errors import IllegalTransitionError, NothingToSendError
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import DueDelivery

pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the index."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Index:
    """An index with one study whose result waits for the destinations PACS and ARCHIVE."""
    made = build_index(tmp_path, clock)
    made.finish_succeeded(claimed_study(made), result_files(), destinations=to("PACS", "ARCHIVE"), why="2 lesions")
    return made


def due(index: Index, destination: str = "PACS") -> DueDelivery:
    """The one delivery that is due."""
    (delivery,) = index.due_deliveries(destination=destination, limit=10)
    return delivery


def progress_of(index: Index) -> list[str]:
    """States of the deliveries."""
    view = index.study("1.2.3")
    assert view is not None
    return [delivery.state for delivery in view.deliveries]


def test_each_dicom_object_goes_to_each_destination(index: Index, clock: FakeClock) -> None:
    """What is not DICOM stays here."""
    report, _ = result_files()
    for destination in ("PACS", "ARCHIVE"):
        delivery = due(index, destination)
        assert (delivery.file, delivery.tries, delivery.created_at) == (report, 0, clock.now())
    assert state_of(index) is State.PROCESSED


def test_the_study_is_delivered_with_the_last_object(index: Index) -> None:
    """Not before: success is said last."""
    index.delivery_succeeded(due(index).delivery_id, "0x0000 success")
    assert state_of(index) is State.SENDING
    index.delivery_succeeded(due(index, "ARCHIVE").delivery_id, "0x0000 success")
    assert state_of(index) is State.DELIVERED
    assert index.due_deliveries(destination="PACS", limit=10) == ()


def test_a_postponed_delivery_is_due_at_its_time(index: Index, clock: FakeClock) -> None:
    """Tries are counted, the last answer is kept."""
    index.delivery_failed_for_now(
        due(index).delivery_id, "no connection", next_try_at=clock.now() + timedelta(seconds=5)
    )
    assert index.due_deliveries(destination="PACS", limit=10) == ()
    clock.advance(5)
    assert due(index).tries == 1
    assert (state_of(index), progress_of(index)) == (State.SENDING, ["waiting", "waiting"])


def test_the_one_that_waits_longest_goes_first(index: Index, clock: FakeClock) -> None:
    """So that a backlog drains in order; the limit holds."""
    clock.advance(1)
    index.finish_succeeded(claimed_study(index, "1.4"), result_files("2.25.4"), destinations=to("PACS"), why="fine")
    assert [d.study_instance_uid for d in index.due_deliveries(destination="PACS", limit=10)] == ["1.2.3", "1.4"]
    assert len(index.due_deliveries(destination="PACS", limit=1)) == 1


def test_giving_up_is_seen_at_once_and_stops_no_other_delivery(index: Index) -> None:
    """One dead destination does not keep a result from the other."""
    index.delivery_gave_up(due(index).delivery_id, "0xA900 refused")
    assert state_of(index) is State.DELIVERY_FAILED
    index.delivery_succeeded(due(index, "ARCHIVE").delivery_id, "0x0000 success")
    assert (state_of(index), progress_of(index)) == (State.DELIVERY_FAILED, ["failed", "delivered"])


def test_a_resend_sends_everything_again(index: Index) -> None:
    """After the PACS administrator has mended the PACS, or lost what was there."""
    index.delivery_gave_up(due(index).delivery_id, "0xA900 refused")
    index.delivery_succeeded(due(index, "ARCHIVE").delivery_id, "0x0000 success")
    assert index.resend("1.2.3", destinations=to("PACS", "ARCHIVE")) is State.SENDING
    for destination in ("PACS", "ARCHIVE"):
        assert due(index, destination).tries == 0
        index.delivery_succeeded(due(index, destination).delivery_id, "0x0000 success")
    assert state_of(index) is State.DELIVERED


def test_a_resend_reaches_a_destination_that_is_new(tmp_path: Path, clock: FakeClock) -> None:
    """The result was made before any peer was configured."""
    index = build_index(tmp_path, clock)
    index.finish_succeeded(claimed_study(index), result_files(), destinations=[], why="fine")
    assert state_of(index) is State.PROCESSED
    with pytest.raises(NothingToSendError):
        index.resend("1.2.3", destinations=())
    assert state_of(index) is State.PROCESSED
    index.resend("1.2.3", destinations=to("PACS"))
    index.delivery_succeeded(due(index).delivery_id, "0x0000 success")
    assert state_of(index) is State.DELIVERED


def test_a_resend_leaves_a_destination_alone_that_receives_nothing_any_more(index: Index, clock: FakeClock) -> None:
    """The PACS was replaced: what it had stays known, what it did not take is sent to it no more."""
    index.delivery_succeeded(due(index).delivery_id, "0x0000 success")
    index.outages.note("ARCHIVE", "down", next_try_at=clock.now() + timedelta(days=1))
    assert index.resend("1.2.3", destinations=to("NEW")) is State.SENDING
    assert progress_of(index) == ["delivered", "superseded", "waiting"]
    assert index.outages.of("ARCHIVE") is not None
    index.delivery_succeeded(due(index, "NEW").delivery_id, "0x0000 success")
    assert (state_of(index), progress_of(index)) == (State.DELIVERED, ["delivered", "superseded", "delivered"])


def test_nothing_is_sent_again_to_those_who_receive_nothing_any_more(index: Index) -> None:
    """The study stays as it was: nobody else is there."""
    for destination in ("PACS", "ARCHIVE"):
        index.delivery_succeeded(due(index, destination).delivery_id, "0x0000 success")
    with pytest.raises(NothingToSendError):
        index.resend("1.2.3", destinations=())
    assert (state_of(index), progress_of(index)) == (State.DELIVERED, ["delivered", "delivered"])


def test_nothing_is_sent_again_of_a_study_that_runs(index: Index) -> None:
    """Its new result follows by itself."""
    index.apply("1.2.3", Event.RETRIED, why="operator")
    with pytest.raises(IllegalTransitionError):
        index.resend("1.2.3", destinations=to("PACS"))


def test_a_study_without_a_result_has_nothing_to_send(tmp_path: Path, clock: FakeClock) -> None:
    """The error says what to do instead."""
    index = build_index(tmp_path, clock)
    index.record_received([received()])
    with pytest.raises(NothingToSendError):
        index.resend("1.2.3", destinations=to("PACS"))


def test_a_late_instance_stops_what_was_not_sent_yet(index: Index) -> None:
    """The new result supersedes the old; what is in the PACS stays there."""
    index.delivery_succeeded(due(index).delivery_id, "0x0000 success")
    index.record_received([received(number=2)])
    assert progress_of(index) == ["delivered", "superseded"]
    assert index.due_deliveries(destination="ARCHIVE", limit=10) == ()


def test_only_the_newest_result_is_sent(index: Index) -> None:
    """After a rerun the old objects are superseded and the new ones wait."""
    index.apply("1.2.3", Event.RETRIED, why="operator")
    index.apply("1.2.3", Event.PRIORS_SETTLED, why="none")
    index.finish_succeeded(claim(index), result_files("2.25.2"), destinations=to("PACS"), why="fine")
    assert due(index).file.sop_instance_uid == "2.25.2"
    assert progress_of(index) == ["superseded", "superseded", "waiting"]
    newest = index.latest_result("1.2.3")
    assert newest is not None
    assert (newest.revision, newest.folder) == (2, Path("/data/results/r1"))


def test_an_object_that_arrived_after_it_was_superseded_is_known_to_be_there(index: Index) -> None:
    """It was under way; the truth is written down, the study is not moved by it."""
    under_way = due(index)
    index.record_received([received(number=2)])
    index.delivery_succeeded(under_way.delivery_id, "0x0000 success")
    assert progress_of(index) == ["delivered", "superseded"]
    assert state_of(index) is State.RECEIVING


@pytest.mark.parametrize("answer", ["for now", "for good"])
def test_a_superseded_delivery_that_fails_stays_superseded(index: Index, clock: FakeClock, answer: str) -> None:
    """Nobody tries it again and the study does not fail because of it."""
    under_way = due(index)
    index.record_received([received(number=2)])
    if answer == "for now":
        index.delivery_failed_for_now(under_way.delivery_id, "no connection", next_try_at=clock.now())
    else:
        index.delivery_gave_up(under_way.delivery_id, "0xA900 refused")
    assert progress_of(index) == ["superseded", "superseded"]
    assert (state_of(index), index.due_deliveries(destination="PACS", limit=10)) == (State.RECEIVING, ())


def test_a_discarded_study_sends_nothing_more(index: Index) -> None:
    """The operator saw that it is wrong."""
    index.apply("1.2.3", Event.DISCARDED, why="wrong patient")
    assert index.due_deliveries(destination="PACS", limit=10) == ()


def test_what_is_due_survives_a_restart(index: Index, tmp_path: Path, clock: FakeClock) -> None:
    """It is a row, not a job in memory."""
    index.close()
    assert due(build_index(tmp_path, clock)).study_instance_uid == "1.2.3"


def test_a_study_that_is_ready_again_keeps_its_old_results_in_the_history(index: Index) -> None:
    """The steps can be read back in order."""
    index.record_received([received(number=2)])
    make_ready(index)
    view = index.study("1.2.3")
    assert view is not None
    states = [entry.to_state for entry in view.history]
    assert states[-5:] == [State.PROCESSING, State.PROCESSED, State.RECEIVING, State.WAITING_FOR_PRIORS, State.READY]
