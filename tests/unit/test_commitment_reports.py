"""What a destination says that it does not keep, and what becomes of it."""

from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import (
    build_index,
    claim,
    claimed_study,
    database_url,
    make_ready,
    received,
    result_files,
    state_of,
    to,
    view_of,
)
from dicom_node.commitment.words import commitment_in_words
from storage.commitment_records import CommitmentReport, Keeping
from storage.database import open_engine
from storage.index import Index
from storage.lifecycle import Event, State
from storage.study_lists import Sent, StudyLists, StudyQuery

pytestmark = pytest.mark.usefixtures("each_engine")

OLD, NEW = "2.25.1", "2.25.2"
TRANSACTION = "2.25.71"


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the index."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Index:
    """An index with one study whose result was delivered, and about which the destination was asked."""
    made = build_index(tmp_path, clock)
    made.finish_succeeded(claimed_study(made), result_files(OLD), destinations=to("PACS"), why="first")
    deliver(made)
    made.commitments.plan("PACS", since=clock.now() - timedelta(days=1))
    task = made.commitments.next_due("PACS")
    assert task is not None
    made.commitments.begin(task.commitment_id, TRANSACTION, next_try_at=clock.now() + timedelta(hours=1))
    return made


def deliver(index: Index) -> None:
    """The destination takes all that is due."""
    for one in index.due_deliveries(destination="PACS", limit=9):
        index.delivery_succeeded(one.delivery_id, "0x0000")


def run_again(index: Index) -> None:
    """An image comes late; the result over all of them is delivered."""
    index.record_received([received(number=2)])
    make_ready(index)
    index.finish_succeeded(claim(index), result_files(NEW), destinations=to("PACS"), why="second")
    deliver(index)


def lose_the_old(index: Index, *, maximum_resends: int) -> None:
    """The destination reports that it does not have the first result."""
    report = CommitmentReport(transaction_uid=TRANSACTION, committed=frozenset(), failed={OLD: 0x0112})
    index.commitments.note_report(report, destinations={"PACS"}, maximum_resends=maximum_resends)


def keeping(index: Index) -> list[tuple[str, str, str | None]]:
    """State of each delivery by the object, and whether the destination keeps it."""
    deliveries = view_of(index).deliveries
    return [(one.sop_instance_uid, one.state, one.commitment.state if one.commitment else None) for one in deliveries]


@pytest.mark.parametrize("maximum_resends", [0, 3])
def test_a_late_report_about_a_result_that_was_superseded_disturbs_nothing(index: Index, maximum_resends: int) -> None:
    """The newer result is there: the old one is not sent after it, and the study stays delivered."""
    run_again(index)
    lose_the_old(index, maximum_resends=maximum_resends)
    assert state_of(index) is State.DELIVERED
    assert index.due_deliveries(destination="PACS", limit=9) == ()
    assert sorted(keeping(index)) == [(OLD, "delivered", Keeping.FAILED), (NEW, "delivered", None)]
    assert index.commitments.counts_of("PACS").failed == 0


@pytest.mark.parametrize("maximum_resends", [0, 3])
def test_a_report_about_a_study_that_runs_again_disturbs_nothing(index: Index, maximum_resends: int) -> None:
    """Its next result follows by itself; where none does, nothing that was taken is called failed."""
    index.apply("1.2.3", Event.RETRIED, why="operator")
    lose_the_old(index, maximum_resends=maximum_resends)
    assert state_of(index) is State.WAITING_FOR_PRIORS
    assert keeping(index) == [(OLD, "delivered", Keeping.FAILED)]


def test_what_is_not_kept_of_the_newest_result_is_told(index: Index) -> None:
    """With nothing left to try the study failed, and a resend sends it."""
    lose_the_old(index, maximum_resends=0)
    assert state_of(index) is State.DELIVERY_FAILED
    assert keeping(index) == [(OLD, "failed", Keeping.FAILED)]
    assert index.commitments.counts_of("PACS").failed == 1
    index.resend("1.2.3", destinations=to("PACS"))
    deliver(index)
    assert state_of(index) is State.DELIVERED


def said_of(index: Index, uid: str) -> str:
    """What people read of an object."""
    (one,) = [one for one in view_of(index).deliveries if one.sop_instance_uid == uid]
    assert one.commitment is not None
    return commitment_in_words("PACS", one.commitment)


def in_list(folder: Path) -> Sent:
    """How far the study is, as the list says it."""
    engine = open_engine(database_url(folder))
    try:
        (line,) = StudyLists(engine).page(StudyQuery()).lines
    finally:
        engine.dispose()
    return line.sent


def test_what_is_superseded_before_it_is_sent_again_is_not_said_to_be_sent_again(index: Index, tmp_path: Path) -> None:
    """Nobody sends it any more; the newer result counts."""
    lose_the_old(index, maximum_resends=3)
    assert said_of(index, OLD) == "not kept by PACS (no such object instance (0x0112)): sent again, time 1"
    run_again(index)
    words = "no such object instance (0x0112); it was superseded before it was sent again"
    assert said_of(index, OLD) == f"not kept by PACS ({words}), sent again 0 times"
    assert sorted(keeping(index)) == [(OLD, "superseded", Keeping.FAILED), (NEW, "delivered", None)]
    counts = index.commitments.counts_of("PACS")
    assert (counts.resending, counts.failed) == (0, 0)
    assert in_list(tmp_path) == Sent(delivered=1)


def test_what_the_destination_refuses_when_it_is_sent_again_is_not_kept(index: Index, tmp_path: Path) -> None:
    """It is not being sent any more: somebody has to look."""
    lose_the_old(index, maximum_resends=3)
    assert index.commitments.counts_of("PACS").resending == 1
    (again,) = index.due_deliveries(destination="PACS", limit=9)
    index.delivery_gave_up(again.delivery_id, "0xA900 refused")
    words = "no such object instance (0x0112); it was given up when it was sent again"
    assert said_of(index, OLD) == f"not kept by PACS ({words}), sent again 1 time"
    counts = index.commitments.counts_of("PACS")
    assert (counts.resending, counts.failed) == (0, 1)
    assert in_list(tmp_path) == Sent(failed=1, not_kept=1)
    index.resend("1.2.3", destinations=to("PACS"))
    deliver(index)
    assert keeping(index)[0][1] == "delivered"


def test_what_was_not_kept_of_an_older_result_marks_no_study_in_the_list(index: Index, tmp_path: Path) -> None:
    """The newer result has it in its place."""
    run_again(index)
    lose_the_old(index, maximum_resends=3)
    assert in_list(tmp_path) == Sent(delivered=1)


def test_what_becomes_of_an_older_result_does_not_move_the_study(tmp_path: Path, clock: FakeClock) -> None:
    """Its object was under way when the study ran again; of the newer result nobody gets anything."""
    index = build_index(tmp_path, clock)
    index.finish_succeeded(claimed_study(index), result_files(OLD), destinations=to("PACS"), why="first")
    (under_way,) = index.due_deliveries(destination="PACS", limit=9)
    index.apply("1.2.3", Event.RETRIED, why="operator")
    index.apply("1.2.3", Event.PRIORS_SETTLED, why="none")
    index.finish_succeeded(claim(index), result_files(NEW), destinations=(), why="second")
    index.delivery_succeeded(under_way.delivery_id, "0x0000")
    assert keeping(index) == [(OLD, "delivered", None)]
    assert state_of(index) is State.PROCESSED
