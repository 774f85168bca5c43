"""Results on their way, with a real index and real associations."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import ComprehensiveSRStorage

from builders.clock import FakeClock
from builders.delivered import BACK_OFF, DAY_S, STUDY, add_result, index_with_result
from builders.index import received, state_of, view_of
from builders.ports import free_port
from builders.scripted_scp import scripted_scp
from config.settings import Peer
from dicom_node.outbox import Outbox
from storage.failpoints import arm
from storage.index import Index
from storage.lifecycle import Event, State


def finished_study(folder: Path, clock: FakeClock) -> Index:
    """A study whose SR waits to be sent to `pacs`."""
    index, _ = index_with_result(folder, clock, objects=1)
    return index


def send_with(answer: Callable[[int], int | None], index: Index, clock: FakeClock, *, rounds: int = 1) -> list[bytes]:
    """Let the outbox look `rounds` times, far enough apart; returns what the peer got."""
    with scripted_scp(answer, sop_class_uids=[ComprehensiveSRStorage]) as scp:
        outbox = Outbox(index, scp.peer, own_aet="NODE", back_off=BACK_OFF, clock=clock)
        for _ in range(rounds):
            outbox.send_due()
            clock.advance(800)
        return [encoded for _, encoded in scp.received]


def test_a_study_is_delivered_when_the_peer_took_its_result(tmp_path: Path) -> None:
    """Success of the last object moves the study; a second look sends nothing."""
    clock = FakeClock()
    index = finished_study(tmp_path, clock)
    assert len(send_with(lambda n: 0x0000, index, clock, rounds=2)) == 1
    assert state_of(index) is State.DELIVERED


def test_a_busy_peer_gets_the_same_bytes_again(tmp_path: Path) -> None:
    """A resend is the same object, bit by bit."""
    clock = FakeClock()
    index = finished_study(tmp_path, clock)
    sent = send_with(lambda n: 0xA700 if n == 0 else 0x0000, index, clock, rounds=2)
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert state_of(index) is State.DELIVERED


def test_a_refusal_for_good_is_shown_and_not_repeated(tmp_path: Path) -> None:
    """The study says that a delivery failed, with the status."""
    clock = FakeClock()
    index = finished_study(tmp_path, clock)
    assert len(send_with(lambda n: 0xA900, index, clock, rounds=3)) == 1
    view = index.study(STUDY)
    assert view is not None
    assert view.state is State.DELIVERY_FAILED
    assert "0xA900" in view.deliveries[0].last_status


def test_a_peer_that_is_down_for_hours_gets_the_result_once_it_is_up(tmp_path: Path) -> None:
    """An outage is no failure."""
    clock = FakeClock()
    index = finished_study(tmp_path, clock)
    down = Peer(name="pacs", ae_title="SCRIPTED", host="127.0.0.1", port=free_port(), receives_results=True)
    outbox = Outbox(index, down, own_aet="NODE", back_off=BACK_OFF, clock=clock)
    for _ in range(4):
        outbox.send_due()
        clock.advance(3600)
    outage = index.outages.of("pacs")
    assert outage
    assert outage.words.startswith(f"127.0.0.1:{down.port} refused the connection")
    assert state_of(index) in {State.PROCESSED, State.SENDING}
    assert len(send_with(lambda n: 0x0000, index, clock)) == 1
    assert state_of(index) is State.DELIVERED


def test_a_delivery_gives_up_after_days_not_after_tries(tmp_path: Path) -> None:
    """A week of refusals ends in a state that people see."""
    clock = FakeClock()
    index = finished_study(tmp_path, clock)
    send_with(lambda n: 0xA700, index, clock, rounds=5)
    assert state_of(index) is State.SENDING
    clock.advance(8 * DAY_S)
    send_with(lambda n: 0xA700, index, clock)
    assert state_of(index) is State.DELIVERY_FAILED


@pytest.mark.parametrize("happens", ["a late image", "discarded"])
def test_what_is_superseded_while_the_peer_is_slow_is_not_sent(tmp_path: Path, happens: str) -> None:
    """The object that was under way is in the PACS, and its record says why that is no good news; another study goes on."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock, objects=3)
    others = add_result(index, tmp_path, "1.2.4")

    def answer(number: int) -> int:
        if number == 0 and happens == "discarded":
            index.apply(STUDY, Event.DISCARDED, why="wrong patient")
        elif number == 0:
            index.record_received([received(STUDY, 2)])
        return 0x0000

    with scripted_scp(answer, sop_class_uids=[ComprehensiveSRStorage]) as scp:
        assert Outbox(index, scp.peer, own_aet="NODE", back_off=BACK_OFF, clock=clock).send_due() == 2
        assert [uid for uid, _ in scp.received] == [uids[0], *others]
    deliveries = view_of(index, STUDY).deliveries
    assert [one.state for one in deliveries] == ["delivered", "superseded", "superseded"]
    assert deliveries[0].last_status == "status 0x0000 Success; superseded while it was under way"
    assert state_of(index) is (State.SKIPPED if happens == "discarded" else State.RECEIVING)


def test_a_peer_for_which_nothing_is_left_is_not_called_out_of_reach(tmp_path: Path) -> None:
    """All was superseded while the association was opened; the next result does not wait for a pause."""
    clock = FakeClock()
    index = finished_study(tmp_path, clock)

    def discard(failpoint: str) -> None:
        if failpoint == "send.assoc_open":
            index.apply(STUDY, Event.DISCARDED, why="wrong patient")

    arm(discard)
    try:
        assert send_with(lambda n: 0x0000, index, clock) == []
    finally:
        arm(None)
    assert index.outages.of("pacs") is None
    assert view_of(index, STUDY).deliveries[0].tries == 0


def test_waits_double_up_to_the_maximum() -> None:
    """5 s, 10 s, 20 s ... 10 min, spread by a fifth."""
    assert [BACK_OFF.wait_s(tries, jitter=0.5) for tries in (1, 2, 3, 30)] == [5, 10, 20, 600]
    assert BACK_OFF.wait_s(1, jitter=0.0) == 4
    assert BACK_OFF.wait_s(1, jitter=1.0) == pytest.approx(6)
