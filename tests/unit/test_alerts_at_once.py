"""What `status` sees by itself, and whom the worker tells of it when it lasts."""

from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, database_url, received
from config.alerts import AlertsSettings
from config.settings import NodeSettings, PipelineSettings, Settings
from config.storage import StorageSettings
from dicom_node.alerts.at_once import seen_at_once
from dicom_node.alerts.duty import AlertWatch
from dicom_node.status import node_status
from storage.batch_records import BatchPlan
from storage.commitment_records import CommitmentCounts
from storage.database import open_engine
from storage.index import Index


@pytest.fixture
def clock() -> FakeClock:
    """Stands still."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Index:
    """An empty one."""
    return build_index(tmp_path, clock)


def settings(folder: Path, engine: str = "local") -> Settings:
    """A node that tells by a webhook."""
    return Settings(
        node=NodeSettings(data_dir=folder),
        storage=StorageSettings(free_floor_bytes=0),
        pipeline=PipelineSettings.model_validate({"engine": engine}),
        alerts=AlertsSettings(webhook_url="http://127.0.0.1:9/"),
    )


def watch(one: Settings, clock: FakeClock) -> AlertWatch:
    """Watches a node."""
    return AlertWatch(one, open_engine(database_url(one.data_dir)), clock=clock)


def messages(seen: AlertWatch) -> list[tuple[str, bool]]:
    """What is to be told: subject, and whether it is over."""
    return [(message.subject, message.is_over) for message in seen.ledger.to_tell("webhook")]


def test_held_study_is_told_and_said_once(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """By mail and webhook as in `status`; over there as soon as somebody decided, also before the worker looks again."""
    one = settings(tmp_path)
    seen = watch(one, clock)
    index.record_received([received(), received(number=2, birth_date="19991231")])
    seen.look()
    assert messages(seen) == [("studies held", False)]
    (said,) = node_status(one, index, clock=clock).alerts
    assert said.endswith(f"dicom-node study list --state held (since {clock.now():%Y-%m-%d %H:%M} UTC)")
    index.release_held("1.2.3", 1, by="admin")
    assert node_status(one, index, clock=clock).alerts == ()
    seen.look()
    assert messages(seen)[-1] == ("studies held", True)


def test_paused_batch_is_told(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """One that waits for an administrator."""
    plan = BatchPlan(name="", peer="pacs", delivers=False, in_flight=1, per_hour=60, hours="")
    number = index.batches.begin(plan, {"1.2.3": "20200101"})
    (line,) = index.batches.lines(number)
    index.batches.put_off(line, "pacs: does not know NODE", tries=1, next_try_at=clock.now())
    index.batches.pause_itself(number)
    seen = watch(settings(tmp_path), clock)
    seen.look()
    assert messages(seen) == [(f"batch paused: {number}", False)]


def test_commitments_have_a_subject_for_each_destination(tmp_path: Path, clock: FakeClock) -> None:
    """Two kinds, which begin and end by themselves."""
    counts = CommitmentCounts(pending=0, resending=0, failed=1, unconfirmed=2)
    found = seen_at_once(
        settings(tmp_path), held=0, commitments={"pacs": counts}, batches=(), beats=(), now=clock.now()
    )
    assert list(found) == ["not kept: pacs", "never confirmed: pacs"]


def test_dead_node_is_an_alert_of_status(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """Nobody is there to send a mail; a node that was just started, or restarts, is none."""
    index.beat("listen", "")
    index.beat("work", "")
    clock.advance(119)
    assert node_status(settings(tmp_path), index, clock=clock).alerts == ()
    clock.advance(10)
    listener, worker = node_status(settings(tmp_path), index, clock=clock).alerts
    since = f"{clock.now() - timedelta(seconds=129):%Y-%m-%d %H:%M} UTC"
    assert listener == f"the listener left no sign of life since {since}, nothing is received: start it"
    assert worker.startswith(f"the worker left no sign of life since {since}, nothing is analysed")


def test_listener_that_died_beside_a_living_worker_is_told(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """Of a node on one machine too; not at once, for a machine that starts has both silent for a moment."""
    index.beat("listen", "")
    clock.advance(600)
    seen = watch(settings(tmp_path), clock)
    seen.look()
    index.beat("listen", "")
    clock.advance(30)
    seen.look()
    assert messages(seen) == []
    clock.advance(121)
    for _ in range(3):
        seen.look()
        clock.advance(30)
    assert messages(seen) == [("listener silent", False)]
    watch(settings(tmp_path), clock).look()
    assert messages(seen) == [("listener silent", False)]
    index.beat("listen", "")
    seen.look()
    assert messages(seen)[-1] == ("listener silent", True)


def test_cluster_is_told_when_it_does_not_come(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """Its actors take minutes to start; `status` says so meanwhile."""
    one = settings(tmp_path, engine="ray")
    seen = watch(one, clock)
    seen.look()
    assert messages(seen) == []
    assert "no study is analysed" in node_status(one, index, clock=clock).alerts[0]
    clock.advance(301)
    seen.look()
    assert messages(seen) == [("Ray cluster", False)]
