"""A clock that is set back by a day: nothing that was put off waits for that day."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import ComprehensiveSRStorage

from builders.batches import RefusingRetriever, one_series, plan, runner_of
from builders.clock import FakeClock
from builders.delivered import BACK_OFF, index_with_result
from builders.find_scp import find_scp
from builders.index import build_index, received, view_of
from builders.troubled_pacs import troubled_pacs
from config.settings import NodeSettings, Settings
from config.storage import StorageSettings
from dicom_node.outbox import BackOff, Outbox
from storage.commitment_records import Reference
from storage.index import Index
from storage.lifecycle import Event

DAY = timedelta(days=1)


@pytest.fixture
def clock() -> FakeClock:
    """Of the index and of who works on it."""
    return FakeClock()


def set_back(clock: FakeClock) -> None:
    """By a day, as where a battery was empty."""
    clock.set_wall_clock(clock.now() - DAY)


def test_the_end_of_the_longest_pause_is_never_passed_by_one(clock: FakeClock) -> None:
    """Also not by one of a machine whose clock is a little ahead."""
    back_off = BackOff(first_s=900, maximum_s=600, give_up_after_s=1)
    longest = clock.now() + timedelta(seconds=back_off.wait_s(9, jitter=1.0))
    assert longest + timedelta(minutes=5) < back_off.latest_from(clock.now())


def test_results_go_out(tmp_path: Path, clock: FakeClock) -> None:
    """Those that were tried, and those that never were."""
    index, uids = index_with_result(tmp_path, clock, objects=2)
    with troubled_pacs(sop_class_uids=[ComprehensiveSRStorage]) as pacs:
        pacs.statuses[uids[0]] = 0xA700
        outbox = Outbox(index, pacs.peer, own_aet="NODE", back_off=BACK_OFF, clock=clock)
        outbox.send_due()
        assert view_of(index).deliveries[0].tries == 1
        pacs.statuses.clear()
        assert outbox.send_due() == 0
        set_back(clock)
        assert outbox.send_due() == 2


def test_earlier_studies_are_searched_for(tmp_path: Path, clock: FakeClock) -> None:
    """The study would else go on without them."""
    index = build_index(tmp_path, clock)
    index.record_received([received()])
    index.apply("1.2.3", Event.COMPLETED, why="q")
    index.fetches.plan("1.2.3", peers=["pacs"])
    set_back(clock)
    assert index.fetches.take_due("pacs") is None
    assert index.fetches.take_due("pacs", latest=BACK_OFF.latest_from(clock.now()))


def test_callers_hear_of_what_is_kept(tmp_path: Path, clock: FakeClock) -> None:
    """A modality deletes nothing before."""
    ledger = build_index(tmp_path, clock).commitments
    ledger.ask("CT1", "1.2.9", [Reference(sop_class_uid="1.2", sop_instance_uid="1.3")])
    set_back(clock)
    held_for = timedelta(minutes=2)
    assert ledger.take_inquiry(held_for=held_for) is None
    assert ledger.take_inquiry(held_for=held_for, latest=clock.now() + 2 * held_for)
    assert ledger.take_inquiry(held_for=held_for, latest=clock.now() + 2 * held_for) is None


def test_destinations_are_asked_what_they_keep(tmp_path: Path, clock: FakeClock) -> None:
    """What was to be asked in an hour."""
    index, _ = index_with_result(tmp_path, clock, objects=1)
    (due,) = index.due_deliveries(destination="pacs", limit=9)
    index.delivery_succeeded(due.delivery_id, "0x0000")
    index.commitments.plan("pacs", since=clock.now() - DAY)
    set_back(clock)
    assert index.commitments.next_due("pacs") is None
    assert index.commitments.next_due("pacs", latest=BACK_OFF.latest_from(clock.now()))


def test_batches_go_on(tmp_path: Path, clock: FakeClock) -> None:
    """Of a PACS that was left alone for half a minute."""
    index: Index = build_index(tmp_path, clock)
    settings = Settings(
        node=NodeSettings(ae_title="NODE", data_dir=tmp_path), storage=StorageSettings(free_floor_bytes=0)
    )
    index.batches.begin(plan(), {"1.2.1": "20190101"})
    failing = RefusingRetriever()
    with find_scp(one_series) as peer:
        runner = runner_of(settings, index, peer, failing, clock)
        runner.run_due()
        runner.run_due()
        assert failing.asked == ["1.2.1"]
        set_back(clock)
        runner.run_due()
    assert failing.asked == ["1.2.1"] * 2
