"""What counts of the objects that a destination has not confirmed."""

from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, claim, claimed_study, make_ready, received, result_files, to, view_of
from storage.commitment_records import CommitmentCounts
from storage.index import Index

pytestmark = pytest.mark.usefixtures("each_engine")

NOTHING = CommitmentCounts(pending=0, resending=0, failed=0, unconfirmed=0)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the index."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Index:
    """One result was delivered, and the PACS was asked whether it keeps it."""
    index = build_index(tmp_path, clock)
    index.finish_succeeded(claimed_study(index), result_files("2.25.1"), destinations=to("PACS"), why="first")
    take(index)
    ask(index, clock)
    return index


def take(index: Index) -> None:
    """The PACS takes all that is due."""
    for one in index.due_deliveries(destination="PACS", limit=9):
        index.delivery_succeeded(one.delivery_id, "0x0000")


def ask(index: Index, clock: FakeClock) -> None:
    """The PACS takes the question about all that it took."""
    index.commitments.plan("PACS", since=clock.now() - timedelta(days=1))
    task = index.commitments.next_due("PACS")
    assert task
    transaction_uid = f"2.25.{clock.now():%H%M%S}"
    index.commitments.begin(task.commitment_id, transaction_uid, next_try_at=clock.now() + timedelta(hours=1))


def give_up(index: Index, clock: FakeClock) -> None:
    """The PACS never says anything."""
    clock.advance(8 * 86_400)
    index.commitments.give_up_waiting("PACS", planned_before=clock.now() - timedelta(days=7))


def run_again(index: Index) -> None:
    """An image comes late; the PACS takes the next result."""
    index.record_received([received(number=2)])
    make_ready(index)
    index.finish_succeeded(claim(index), result_files("2.25.2"), destinations=to("PACS"), why="second")
    take(index)


def counts(index: Index) -> CommitmentCounts:
    """What `status` shows of the PACS."""
    return index.commitments.counts_of("PACS")


def test_what_failed_since_it_was_asked_for_is_waited_for_no_more(index: Index) -> None:
    """An operator sent it again, and the PACS refuses it now."""
    assert counts(index).pending == 1
    index.resend("1.2.3", destinations=to("PACS"))
    assert counts(index) == NOTHING
    (delivery,) = index.due_deliveries(destination="PACS", limit=9)
    index.delivery_gave_up(delivery.delivery_id, "0xA900 refused")
    assert counts(index) == NOTHING
    assert view_of(index).deliveries[0].commitment is None


def test_what_is_taken_again_is_asked_for_again(index: Index, clock: FakeClock) -> None:
    """The resend was no loss of the question."""
    index.resend("1.2.3", destinations=to("PACS"))
    clock.advance(60)
    take(index)
    ask(index, clock)
    assert counts(index).pending == 1
    assert view_of(index).deliveries[0].commitment is not None


def test_what_was_never_confirmed_of_a_superseded_result_does_not_count(index: Index, clock: FakeClock) -> None:
    """Of the newest it does: somebody has to look."""
    give_up(index, clock)
    assert counts(index).unconfirmed == 1
    run_again(index)
    assert counts(index) == NOTHING
