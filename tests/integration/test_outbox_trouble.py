"""Destinations in trouble: down for hours, slow, refusing, aborting, silent; with real associations, the clock scaled."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ComprehensiveSRStorage

from builders.clock import FakeClock
from builders.delivered import BACK_OFF, add_result, index_with_result
from builders.index import build_index, state_of, to, view_of
from builders.troubled_pacs import TroubledPacs, troubled_pacs
from dicom_node.outbox import Outbox
from storage.index import Index
from storage.lifecycle import State

MINUTE_S = 60.0
STUDIES = 200


@pytest.fixture
def pacs() -> Iterator[TroubledPacs]:
    """A PACS that is well until a test says otherwise."""
    with troubled_pacs(sop_class_uids=[ComprehensiveSRStorage]) as running:
        yield running


def outbox_of(index: Index, pacs: TroubledPacs, clock: FakeClock, *, answer_timeout_s: float = 20.0) -> Outbox:
    """A fresh one, as after a restart of the worker."""
    return Outbox(index, pacs.peer, own_aet="NODE", back_off=BACK_OFF, clock=clock, answer_timeout_s=answer_timeout_s)


def send_for(outbox: Outbox, clock: FakeClock, *, seconds: float, step_s: float) -> None:
    """Let the outbox look each `step_s`."""
    for _ in range(int(seconds / step_s)):
        outbox.send_due()
        clock.advance(step_s)


def test_two_hundred_results_wait_out_a_night_and_drain_without_a_stampede(tmp_path: Path, pacs: TroubledPacs) -> None:
    """8 hours down: one probe at a time, 10 minutes apart, however many wait; then each object once, in order."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    expected = [uid for number in range(STUDIES) for uid in add_result(index, tmp_path, f"1.2.{number + 3}")]
    pacs.reject(True)
    outbox = outbox_of(index, pacs, clock)
    send_for(outbox, clock, seconds=10 * MINUTE_S, step_s=2)
    send_for(outbox, clock, seconds=8 * 60 * MINUTE_S, step_s=MINUTE_S)
    assert 45 <= pacs.requests <= 70
    assert view_of(index, "1.2.3").deliveries[0].tries == 0
    assert "rejected" in view_of(index, "1.2.3").deliveries[0].last_status
    probes = pacs.requests
    pacs.reject(False)
    send_for(outbox, clock, seconds=13 * MINUTE_S, step_s=2)
    assert [uid for uid, _ in pacs.received] == expected
    assert pacs.requests - probes == STUDIES / 50
    assert pacs.most_at_once == 1
    assert index.counts_by_state()[State.DELIVERED] == STUDIES


def test_a_kept_copy_that_cannot_be_read_is_no_outage_of_the_destination(tmp_path: Path, pacs: TroubledPacs) -> None:
    """It waits for itself; what others made goes out at once."""
    clock = FakeClock()
    index, (unreadable,) = index_with_result(tmp_path, clock, objects=1)
    path = tmp_path / f"{unreadable}.dcm"
    path.unlink()
    path.mkdir()
    outbox = outbox_of(index, pacs, clock)
    send_for(outbox, clock, seconds=10 * MINUTE_S, step_s=30)
    assert index.outages.of("pacs") is None
    uids = add_result(index, tmp_path, "1.2.4")
    assert outbox.send_due() == 1
    assert [uid for uid, _ in pacs.received] == uids
    (delivery,) = view_of(index).deliveries
    assert delivery.state == "waiting"
    assert "check the disk of the data folder" in delivery.last_status


def test_a_restart_does_not_shorten_the_pause_and_a_resend_does(tmp_path: Path, pacs: TroubledPacs) -> None:
    """The outage is in the index; whoever repaired the PACS need not wait."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock, objects=1)
    pacs.reject(True)
    send_for(outbox_of(index, pacs, clock), clock, seconds=MINUTE_S, step_s=1)
    before = pacs.requests
    outage = index.outages.of("pacs")
    assert outage is not None
    assert outage.next_try_at > clock.now()
    assert view_of(index).deliveries[0].next_try_at == outage.next_try_at
    outbox_of(index, pacs, clock).send_due()
    assert pacs.requests == before
    pacs.reject(False)
    index.resend("1.2.3", destinations=to("pacs"))
    outbox_of(index, pacs, clock).send_due()
    assert [uid for uid, _ in pacs.received] == uids


def test_a_clock_that_is_set_back_does_not_lengthen_the_pause(tmp_path: Path, pacs: TroubledPacs) -> None:
    """A day's step back would else stop the sending for a day."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock, objects=1)
    pacs.reject(True)
    outbox = outbox_of(index, pacs, clock)
    outbox.send_due()
    pacs.reject(False)
    index.outages.note("pacs", "down", next_try_at=FakeClock(clock.now()).now().replace(year=2027))
    outbox.send_due()
    assert [uid for uid, _ in pacs.received] == uids


@pytest.mark.parametrize(
    ("status", "state", "times"),
    [
        (0x0000, State.DELIVERED, 1),
        (0xB000, State.DELIVERED, 1),
        (0x0111, State.DELIVERED, 1),
        (0xA700, State.SENDING, 4),
        (0x0110, State.SENDING, 4),
        (0xA900, State.DELIVERY_FAILED, 1),
        (0xC000, State.DELIVERY_FAILED, 1),
        (0x0122, State.DELIVERY_FAILED, 1),
    ],
    ids=lambda value: f"{value:04X}" if isinstance(value, int) and value > 9 else None,
)
def test_each_status_has_its_consequence_and_is_kept(
    tmp_path: Path, pacs: TroubledPacs, status: int, state: State, times: int
) -> None:
    """A warning is stored, a passing refusal tried again, a lasting one failed; the number is in the index."""
    clock = FakeClock()
    index, (uid,) = index_with_result(tmp_path, clock, objects=1)
    pacs.statuses[uid] = status
    send_for(outbox_of(index, pacs, clock), clock, seconds=4 * 800, step_s=800)
    assert state_of(index) is state
    assert len(pacs.sent) == times
    assert f"0x{status:04X}" in view_of(index).deliveries[0].last_status


def test_objects_of_a_study_keep_their_order_when_one_is_put_off(tmp_path: Path, pacs: TroubledPacs) -> None:
    """What follows it waits with it; another study does not."""
    clock = FakeClock()
    index, mine = index_with_result(tmp_path, clock, objects=3)
    others = add_result(index, tmp_path, "1.2.4", objects=2)
    pacs.statuses[mine[1]] = 0xA700
    outbox = outbox_of(index, pacs, clock)
    outbox.send_due()
    assert [uid for uid, _ in pacs.received] == [mine[0], *others]
    pacs.statuses.clear()
    send_for(outbox, clock, seconds=10, step_s=1)
    assert [uid for uid, _ in pacs.received] == [mine[0], *others, *mine[1:]]


def test_an_object_over_which_the_pacs_breaks_keeps_nobody_waiting_for_good(tmp_path: Path, pacs: TroubledPacs) -> None:
    """It aborts after the last byte, before the answer, each time; all others arrive, in minutes."""
    clock = FakeClock()
    index, mine = index_with_result(tmp_path, clock, objects=3)
    others = add_result(index, tmp_path, "1.2.4", objects=2)
    pacs.aborts_over = frozenset({mine[0]})
    outbox = outbox_of(index, pacs, clock)
    send_for(outbox, clock, seconds=5 * MINUTE_S, step_s=1)
    assert sorted(uid for uid, _ in pacs.received) == sorted([*mine[1:], *others])
    pacs.aborts_over = frozenset()
    send_for(outbox, clock, seconds=20 * MINUTE_S, step_s=10)
    assert len(pacs.received) == 5
    assert state_of(index) is State.DELIVERED


def test_a_pacs_that_accepts_and_never_answers_gets_the_same_object_again(tmp_path: Path, pacs: TroubledPacs) -> None:
    """The association is given up after the time-out; the same UID and bytes follow on the next."""
    clock = FakeClock()
    index, (uid,) = index_with_result(tmp_path, clock, objects=1)
    pacs.never_answers = frozenset({uid})
    outbox_of(index, pacs, clock, answer_timeout_s=0.5).send_due()
    assert pacs.sent == [uid]
    assert state_of(index) is State.SENDING
    assert "no answer" in view_of(index).deliveries[0].last_status
    pacs.never_answers = frozenset()
    clock.advance(MINUTE_S)
    outbox_of(index, pacs, clock).send_due()
    assert [one for one, _ in pacs.received] == [uid]
    assert state_of(index) is State.DELIVERED


def test_a_slow_pacs_is_waited_for(tmp_path: Path, pacs: TroubledPacs) -> None:
    """One association, each object once."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock, objects=3)
    pacs.answer_after_s = 0.7
    outbox_of(index, pacs, clock).send_due()
    assert pacs.sent == uids
    assert pacs.requests == 1
    assert state_of(index) is State.DELIVERED


def test_a_damaged_copy_is_not_sent(tmp_path: Path, pacs: TroubledPacs) -> None:
    """What goes out is what was made, or nothing; the study says what to do."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock)
    damaged, gone = (tmp_path / f"{uid}.dcm" for uid in uids)
    damaged.write_bytes(damaged.read_bytes() + b"\0")
    gone.unlink()
    outbox_of(index, pacs, clock).send_due()
    assert pacs.sent == []
    assert state_of(index) is State.DELIVERY_FAILED
    assert ["kept copy" in one.last_status for one in view_of(index).deliveries] == [True, True]
