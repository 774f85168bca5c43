"""The worker stops while an archive is asked whether it keeps results."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from pydicom.uid import ComprehensiveSRStorage

from builders.clock import FakeClock
from builders.committing_archive import CommittingArchive, committing_archive
from builders.deadline import until
from builders.delivered import BACK_OFF, DAY_S, index_with_result
from builders.index import view_of
from dicom_node.commitment.scu import CommitmentRules, CommitmentScu
from dicom_node.outbox import BackOff, Outbox
from storage.index import Index

_MUCH_LESS_THAN_A_MINUTE_S = 20.0


@pytest.fixture
def archive() -> Iterator[CommittingArchive]:
    """An archive that takes its time for its answer."""
    with committing_archive(sop_class_uids=[ComprehensiveSRStorage]) as running:
        running.may_answer.clear()
        yield running


def scu(index: Index, archive: CommittingArchive, clock: FakeClock) -> CommitmentScu:
    """A fresh one, as after a restart of the worker."""
    silence = BackOff(first_s=3600.0, maximum_s=DAY_S, give_up_after_s=7 * DAY_S)
    rules = CommitmentRules(silence=silence, failure=BACK_OFF, maximum_resends=2, stay_s=0.0)
    return CommitmentScu(index, archive.peer, own_aet="NODE", rules=rules, clock=clock)


def asking(index: Index, archive: CommittingArchive, clock: FakeClock) -> tuple[CommitmentScu, Thread]:
    """A question that waits for its answer, in a thread of its own."""
    Outbox(index, archive.peer, own_aet="NODE", back_off=BACK_OFF, clock=clock).send_due()
    one = scu(index, archive, clock)
    thread = Thread(target=one.ask_due)
    thread.start()
    until(lambda: archive.questions, within_s=20, what="the archive is asked")
    return one, thread


def test_an_archive_that_does_not_answer_holds_up_no_stop_and_is_asked_again(
    tmp_path: Path, archive: CommittingArchive
) -> None:
    """At once after the restart, as if it had not been asked: it did not fail."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock)
    one, thread = asking(index, archive, clock)
    one.stop()
    thread.join(_MUCH_LESS_THAN_A_MINUTE_S)
    assert not thread.is_alive()
    assert not one.ask_due()
    commitment = view_of(index).deliveries[0].commitment
    assert commitment is not None and commitment.words == ""
    archive.may_answer.set()
    assert scu(index, archive, clock).ask_due()
    assert [archive.asked_for(0), archive.asked_for(1)] == [uids, uids]


def test_an_answer_that_comes_as_the_worker_stops_counts(tmp_path: Path, archive: CommittingArchive) -> None:
    """The archive is not asked twice for that."""
    clock = FakeClock()
    index, _ = index_with_result(tmp_path, clock)
    one, thread = asking(index, archive, clock)
    one.stop()
    archive.may_answer.set()
    thread.join(_MUCH_LESS_THAN_A_MINUTE_S)
    assert not thread.is_alive()
    assert not scu(index, archive, clock).ask_due()
    assert len(archive.questions) == 1
