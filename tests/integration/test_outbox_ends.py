"""How the sending to a destination ends: the worker stops, or nothing waits any more while the destination is down."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from pydicom.uid import ComprehensiveSRStorage

from builders.clock import FakeClock
from builders.deadline import until
from builders.delivered import BACK_OFF, add_result, index_with_result
from builders.index import state_of, view_of
from builders.troubled_pacs import TroubledPacs, troubled_pacs
from dicom_node.outbox import Outbox
from storage.index import Index
from storage.lifecycle import Event, State

_WITHIN_S = 30


@pytest.fixture
def pacs() -> Iterator[TroubledPacs]:
    """A PACS that is well until a test says otherwise."""
    with troubled_pacs(sop_class_uids=[ComprehensiveSRStorage]) as running:
        yield running


def outbox_of(index: Index, pacs: TroubledPacs, clock: FakeClock) -> Outbox:
    """Of a worker that waits for an answer for longer than this test does."""
    return Outbox(index, pacs.peer, own_aet="NODE", back_off=BACK_OFF, clock=clock, answer_timeout_s=600)


def stop_after_first(outbox: Outbox, pacs: TroubledPacs) -> None:
    """Stop while the first object waits for its answer; return when nothing is sent any more."""
    thread = Thread(target=outbox.send_due, daemon=True)
    thread.start()
    until(lambda: pacs.sent, within_s=_WITHIN_S, what="an object is under way")
    outbox.stop()
    thread.join(_WITHIN_S)
    assert not thread.is_alive()


def test_a_destination_that_does_not_answer_holds_up_no_stop(tmp_path: Path, pacs: TroubledPacs) -> None:
    """What waited is sent again, no try counted; the destination is not left alone for our stopping."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock, objects=3)
    pacs.never_answers = frozenset(uids[:1])
    stopped = outbox_of(index, pacs, clock)
    stop_after_first(stopped, pacs)
    assert pacs.sent == uids[:1]
    assert {(delivery.state, delivery.tries) for delivery in view_of(index).deliveries} == {("waiting", 0)}
    assert index.outages.of("pacs") is None
    assert stopped.send_due() == 0
    pacs.never_answers = frozenset()
    assert outbox_of(index, pacs, clock).send_due() == 3
    assert state_of(index) is State.DELIVERED


def test_an_answer_that_comes_in_time_is_taken_and_nothing_is_sent_after_it(tmp_path: Path, pacs: TroubledPacs) -> None:
    """A destination that takes a second for an object would else get it twice."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock, objects=3)
    pacs.answer_after_s = 1.0
    stop_after_first(outbox_of(index, pacs, clock), pacs)
    assert [uid for uid, _ in pacs.received] == uids[:1]
    assert [delivery.state for delivery in view_of(index).deliveries] == ["delivered", "waiting", "waiting"]


def test_a_destination_that_is_back_is_seen_though_nothing_waits_for_it(tmp_path: Path, pacs: TroubledPacs) -> None:
    """Until then nobody asks it whether it keeps what it was sent, and it stands as down."""
    clock = FakeClock()
    index, _ = index_with_result(tmp_path, clock, objects=1)
    pacs.reject(True)
    outbox = outbox_of(index, pacs, clock)
    outbox.send_due()
    index.apply("1.2.3", Event.DISCARDED, why="an operator")
    clock.advance(60)
    outbox.send_due()
    outage = index.outages.of("pacs")
    assert outage
    assert outage.tries == 2
    pacs.reject(False)
    before = pacs.requests
    outbox.send_due()
    assert (pacs.requests, index.outages.of("pacs")) == (before, outage)
    clock.advance(60)
    outbox.send_due()
    assert (pacs.requests, index.outages.of("pacs")) == (before + 1, None)
    add_result(index, tmp_path, "1.2.4")
    assert outbox.send_due() == 1
