"""Which alerts begin, and when they are over."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, claimed_study, database_url, received, result_files, to
from config.alerts import AlertsSettings
from config.settings import NodeSettings, Peer, Settings
from config.storage import StorageSettings
from dicom_node.alerts.duty import AlertWatch
from dicom_node.alerts.working_time import is_silent_too_long
from storage.database import open_engine
from storage.index import Index
from storage.lifecycle import Event

FRIDAY_NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def settings(folder: Path, **alerts: object) -> Settings:
    """A node with one destination that tells by a webhook; only the rules that are given hold."""
    off = dict.fromkeys(
        ("nothing_received_hours", "waiting_minutes", "destination_down_minutes", "certificate_days"), 0.0
    )
    one = Settings(
        node=NodeSettings(data_dir=folder),
        storage=StorageSettings(free_floor_bytes=0),
        peers=(Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, receives_results=True),),
    )
    said = {"webhook_url": "http://127.0.0.1:9/", "study_failed": False, **off, **alerts}
    return one.model_copy(update={"alerts": one.alerts.model_copy(update=said)})


def watch(one: Settings, clock: FakeClock) -> AlertWatch:
    """Watches a node."""
    return AlertWatch(one, open_engine(database_url(one.data_dir)), clock=clock)


@pytest.fixture
def clock() -> FakeClock:
    """Stands on a Friday at noon."""
    return FakeClock(FRIDAY_NOON)


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Index:
    """An empty one."""
    return build_index(tmp_path, clock)


def messages(seen: AlertWatch) -> list[tuple[str, bool]]:
    """What is to be told: subject, and whether it is over."""
    return [(message.subject, message.is_over) for message in seen.ledger.to_tell("webhook")]


def test_each_alert_is_told_once_and_once_when_it_is_over(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """However often the node looks, and over a restart."""
    one = settings(tmp_path, destination_down_minutes=15.0)
    index.outages.note("pacs", "down", next_try_at=clock.now())
    watch(one, clock).look()
    assert messages(watch(one, clock)) == []
    clock.advance(16 * 60)
    for _ in range(3):
        watch(one, clock).look()
    assert messages(watch(one, clock)) == [("destination down: pacs", False)]
    assert [alert.subject for alert in index.alerts.standing()] == ["destination down: pacs"]
    index.outages.end("pacs")
    for _ in range(3):
        watch(one, clock).look()
    assert messages(watch(one, clock)) == [("destination down: pacs", False), ("destination down: pacs", True)]
    assert index.alerts.standing() == ()


def test_study_that_waits_too_long(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """In a state that it should leave by itself."""
    claimed_study(index)
    clock.advance(61 * 60)
    seen = watch(settings(tmp_path, waiting_minutes=60.0), clock)
    seen.look()
    assert messages(seen) == [("queue: processing", False)]


@pytest.mark.parametrize(("destinations", "told"), [((), []), (("pacs",), [("queue: processed", False)])])
def test_analysed_study_waits_only_where_something_is_to_be_sent(
    tmp_path: Path, clock: FakeClock, index: Index, destinations: tuple[str, ...], told: list[tuple[str, bool]]
) -> None:
    """Where a rule sends nothing, or nobody receives results, it has ended."""
    index.finish_succeeded(claimed_study(index), result_files(), destinations=to(*destinations), why="analysed")
    clock.advance(61 * 60)
    seen = watch(settings(tmp_path, waiting_minutes=60.0), clock)
    seen.look()
    assert messages(seen) == told


def test_failed_study(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """Over when it was run again."""
    index.finish_failed(claimed_study(index), "broken", retryable=False, maximum_attempts=1)
    seen = watch(settings(tmp_path, study_failed=True), clock)
    seen.look()
    index.apply("1.2.3", Event.RETRIED, why="again")
    seen.look()
    assert messages(seen) == [("study failed: pipeline_failed", False), ("study failed: pipeline_failed", True)]


@pytest.mark.parametrize(("hour", "is_told"), [(12, False), (13, True), (20, False)])
def test_silence_counts_in_working_time(
    tmp_path: Path, clock: FakeClock, index: Index, monkeypatch: pytest.MonkeyPatch, hour: int, is_told: bool
) -> None:
    """From the beginning of the day on: nobody sends at night."""
    _use_utc(monkeypatch)
    clock.set_wall_clock(FRIDAY_NOON - timedelta(days=1))
    index.record_received([received(received_at=clock.now())])
    clock.set_wall_clock(FRIDAY_NOON.replace(hour=hour, minute=0))
    seen = watch(settings(tmp_path, nothing_received_hours=4.5), clock)
    seen.look()
    assert bool(messages(seen)) is is_told


def test_silence_is_over_with_an_object_not_with_the_day(
    tmp_path: Path, clock: FakeClock, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the evening and on Saturday it stands."""
    _use_utc(monkeypatch)
    index.record_received([received(received_at=FRIDAY_NOON - timedelta(hours=20))])
    clock.set_wall_clock(FRIDAY_NOON.replace(hour=14))
    seen = watch(settings(tmp_path, nothing_received_hours=4.0), clock)
    seen.look()
    clock.set_wall_clock(FRIDAY_NOON + timedelta(days=1))
    seen.look()
    assert messages(seen) == [("nothing received", False)]
    index.record_received([received("1.2.9", received_at=clock.now())])
    seen.look()
    assert messages(seen)[-1] == ("nothing received", True)


@pytest.mark.parametrize(
    ("rules", "last", "not_yet", "told"),
    [
        ({"nothing_received_hours": 10.0}, "Thu 12:00", "Fri 11:59", "Fri 12:01"),
        ({"nothing_received_hours": 20.0}, "Thu 12:00", "Mon 11:59", "Mon 12:01"),
        ({"nothing_received_hours": 4.0}, "Thu 15:00", "Fri 11:59", "Fri 12:01"),
        ({"working_from_hour": 20, "working_to_hour": 6}, "Thu 12:00", "Thu 23:59", "Fri 00:01"),
        ({"working_from_hour": 20, "working_to_hour": 6}, "Thu 23:00", "Fri 02:59", "Fri 03:01"),
        ({"working_from_hour": 20, "working_to_hour": 6}, "Fri 12:00", "Fri 23:59", "Sat 00:01"),
        ({"working_from_hour": 20, "working_to_hour": 6}, "Sat 07:00", "Mon 23:59", "Tue 00:01"),
        ({"working_from_hour": 24, "working_to_hour": 24}, "Thu 12:00", "Thu 15:59", "Thu 16:01"),
        (
            {"nothing_received_hours": 24.0, "working_from_hour": 0, "working_to_hour": 24},
            "Thu 12:00",
            "Fri 11:59",
            "Fri 12:01",
        ),
        ({"nothing_received_hours": 9.9}, "Thu 07:00", "Thu 17:53", "Thu 17:55"),
    ],
)
def test_no_setting_switches_silence_off_unsaid(
    monkeypatch: pytest.MonkeyPatch, rules: dict[str, float], last: str, not_yet: str, told: str
) -> None:
    """More hours than a working day has go on the next day, and a working day may go over midnight."""
    _use_utc(monkeypatch)
    settings = AlertsSettings.model_validate(rules)
    said = [is_silent_too_long(settings, _moment(last), now=_moment(one)) for one in (not_yet, told)]
    assert said == [False, True]


def test_nearly_full_disk(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """As soon as associations are refused."""
    one = settings(tmp_path).model_copy(update={"storage": StorageSettings(free_floor_bytes=2**62)})
    seen = watch(one, clock)
    seen.look()
    assert messages(seen) == [("disk", False)]


def _moment(text: str) -> datetime:
    """`Thu 12:00` is of the week whose Friday is the 2nd of January; Saturday to Tuesday follow it."""
    name, clock = text.split()
    day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue"].index(name)
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 1, 1, hour, minute, tzinfo=UTC) + timedelta(days=day)


def _use_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
