"""What `status` says."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from builders.cli import run
from builders.clock import FakeClock
from builders.index import SEG, build_index, claimed_study, received, result_files, to
from config.settings import NodeSettings, Peer, Settings
from dicom_node.clock import SystemClock
from dicom_node.status import SILENT_AFTER_S, node_status
from storage.lifecycle import State
from storage.records import ClassAnswer


def _settings(folder: Path) -> Settings:
    peer = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, receives_results=True)
    return Settings(node=NodeSettings(data_dir=folder), peers=(peer,))


def test_every_state_is_counted(tmp_path: Path) -> None:
    """States without a study are named too, so that a script finds each key."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    index.record_received([received("1.2.3"), received("1.2.4")])

    status = node_status(_settings(tmp_path), index, clock=clock)

    assert status.studies == dict.fromkeys(State, 0) | {State.RECEIVING: 2}


def test_a_process_that_fell_silent_is_not_alive(tmp_path: Path) -> None:
    """Its last sign of life is old."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    index.beat("listen", "")
    clock.advance(SILENT_AFTER_S + 1)
    index.beat("work", "")

    listen, work = node_status(_settings(tmp_path), index, clock=clock).processes

    assert (listen.is_alive, work.is_alive) == (False, True)


def test_the_age_of_a_sign_of_life_is_told_and_no_process_is_called_alive(tmp_path: Path) -> None:
    """A process that was stopped a moment ago left a fresh sign too; fresh ones are told from old ones."""
    build_index(tmp_path, SystemClock()).beat("listen", "")
    aged = build_index(tmp_path, FakeClock(datetime.now(UTC) - timedelta(seconds=SILENT_AFTER_S + 10)))
    aged.beat("work", "")
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{tmp_path}"\n')

    lines = run(file, "status").stdout.splitlines()

    listen, work = (next(line for line in lines if line.startswith(name)) for name in ("listen:", "work:"))
    assert re.fullmatch(r"listen: last sign of life \d s ago, process \d+", listen)
    assert re.fullmatch(r"work: last sign of life 4\d s ago: is it running\?, process \d+", work)


def test_what_is_due_is_counted_per_destination(tmp_path: Path) -> None:
    """Only DICOM objects are sent."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    index.finish_succeeded(claimed_study(index), result_files(), destinations=to("pacs"), why="found")

    (pacs,) = node_status(_settings(tmp_path), index, clock=clock).destinations

    assert (pacs.name, pacs.due_deliveries) == ("pacs", 1)


def test_what_a_destination_takes_is_told_by_its_newest_answers(tmp_path: Path) -> None:
    """Nothing is said of one that was never asked."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    (before,) = node_status(_settings(tmp_path), index, clock=clock).destinations
    refused = ClassAnswer(sop_class_uid=SEG, transfer_syntax_uid="", refusal="not supported", at=clock.now())
    index.note_answers("pacs", [refused])

    (after,) = node_status(_settings(tmp_path), index, clock=clock).destinations

    assert before.roles == ()
    assert after.answers == (refused,)
    (segmentations,) = [choice for choice in after.roles if choice.role == "segmentations"]
    assert segmentations.words == "segmentations declined (refuses Segmentation, Secondary Capture Image)"


def test_the_room_on_the_disk_is_told_with_the_floor(tmp_path: Path) -> None:
    """Both decide whether senders are refused."""
    clock = FakeClock()

    disk = node_status(_settings(tmp_path), build_index(tmp_path, clock), clock=clock).disk

    assert 0 < disk.free_bytes <= disk.total_bytes
    storage = Settings().storage
    assert disk.floor_bytes == storage.free_floor_bytes
    assert disk.refused_below_bytes == storage.free_floor_bytes + storage.association_margin_bytes


def test_a_held_study_is_an_alert_until_somebody_decides(tmp_path: Path) -> None:
    """It says what to do."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    index.record_received([received(), received(number=2, birth_date="19991231")])

    held = node_status(_settings(tmp_path), index, clock=clock).alerts
    index.release_held("1.2.3", 1, by="admin")

    assert held == ("1 study names two patients, nothing of it is run: dicom-node study list --state held",)
    assert node_status(_settings(tmp_path), index, clock=clock).alerts == ()


def test_an_alert_that_stands_is_told_until_it_is_over(tmp_path: Path) -> None:
    """With the time since when; mail and webhook tell the same."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    index.alerts.settle({"destination down: pacs": "pacs cannot be reached"}, channels=())

    (alert,) = node_status(_settings(tmp_path), index, clock=clock).alerts
    index.alerts.settle({}, channels=())

    assert alert == f"pacs cannot be reached (since {clock.now():%Y-%m-%d %H:%M} UTC)"
    assert node_status(_settings(tmp_path), index, clock=clock).alerts == ()
