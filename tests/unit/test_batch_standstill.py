"""Why a batch does not go on, and what takes it up again."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from builders.batches import RefusingRetriever, fetch, next_line, one_series, plan, runner_of
from builders.clock import FakeClock
from builders.find_scp import find_scp
from builders.index import build_index, claim, state_of
from config.settings import NodeSettings, Peer, Settings
from config.storage import StorageSettings
from dicom_node.batch.ends import note_ends
from dicom_node.batch.retry import retry_failed
from dicom_node.batch.standstill import why_not_now, with_standstill
from dicom_node.batch.words import batch_lines
from dicom_node.status import node_status
from storage.batch_records import BatchState, BatchStudyState
from storage.errors import IllegalBatchStepError
from storage.index import Index
from storage.lifecycle import State

FLOOR, MARGIN = 1000, 100


@pytest.fixture
def clock() -> FakeClock:
    """Stands until it is set on."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Iterator[Index]:
    """A batch of two studies of which nothing is here."""
    made = build_index(tmp_path, clock)
    made.batches.begin(plan(), {"1.2.1": "20190101", "1.2.2": "20200101"})
    yield made
    made.close()


@pytest.fixture
def disk() -> Iterator[SimpleNamespace]:
    """Of the data folder; `free` is what is free on it."""
    usage = SimpleNamespace(free=FLOOR + 2 * MARGIN)
    with mock.patch("storage.disk.shutil.disk_usage", return_value=usage):
        yield usage


def node(folder: Path, **changes: object) -> Settings:
    """With a floor."""
    storage = StorageSettings(free_floor_bytes=FLOOR, association_margin_bytes=MARGIN)
    return Settings(node=NodeSettings(ae_title="NODE", data_dir=folder), storage=storage).model_copy(update=changes)


def fail(index: Index) -> None:
    """The next study is given up."""
    index.batches.end(next_line(index), BatchStudyState.FAILED, "pacs: failed")


@pytest.mark.parametrize(("missing", "asked"), [(1, []), (0, ["1.2.1"])])
def test_nothing_is_asked_for_that_the_listener_may_refuse(
    index: Index, tmp_path: Path, clock: FakeClock, disk: SimpleNamespace, missing: int, asked: list[str]
) -> None:
    """A listener that refused takes associations again from floor and twice the margin on; `batch status` says why."""
    disk.free -= missing
    settings, retriever = node(tmp_path), RefusingRetriever()
    with find_scp(one_series) as peer:
        runner_of(settings, index, peer, retriever, clock).run_due()
    assert retriever.asked == asked
    waits = "fewer than 1.172 KiB are free in the data folder" if missing else ""
    assert why_not_now(index.batches.view(1), settings, now=clock.now()) == waits


def test_a_disk_that_fills_up_meanwhile_costs_no_study_a_try(
    index: Index, tmp_path: Path, clock: FakeClock, disk: SimpleNamespace
) -> None:
    """Our own refusal comes back as a failure of the PACS."""
    retriever = RefusingRetriever(meanwhile=lambda: setattr(disk, "free", FLOOR - 1))
    with find_scp(one_series) as peer:
        runner = runner_of(node(tmp_path), index, peer, retriever, clock)
        for _ in range(10):
            disk.free = FLOOR + 2 * MARGIN
            runner.run_due()
            clock.advance(3600)
    assert len(retriever.asked) == 10
    assert [line.tries for line in index.batches.lines(1)] == [0, 0]
    assert index.batches.view(1).studies == {BatchStudyState.WAITING: 2}


def test_a_retry_asks_again_for_what_was_given_up(index: Index) -> None:
    """The batch was done and runs on; its studies have all their tries."""
    fail(index)
    fail(index)
    note_ends(index, Settings())
    assert index.batches.view(1).state is BatchState.DONE
    view = retry_failed(index, 1)
    assert (view.state, view.studies) == (BatchState.RUNNING, {BatchStudyState.WAITING: 2})
    assert {(line.tries, line.words, line.ended_at) for line in index.batches.lines(1)} == {(0, "", None)}


def test_a_retry_analyses_again_what_failed_in_the_pipeline(index: Index) -> None:
    """The PACS is not asked for it: it is here."""
    uid = fetch(index)
    index.finish_failed(claim(index), "broken", retryable=False, maximum_attempts=1)
    note_ends(index, Settings())
    assert index.batches.view(1).studies[BatchStudyState.FAILED] == 1
    assert retry_failed(index, 1).studies == {BatchStudyState.ANALYSING: 1, BatchStudyState.WAITING: 1}
    assert state_of(index, uid) is State.WAITING_FOR_PRIORS


PACS = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, query_retrieve="move")


@pytest.mark.parametrize(
    ("peers", "waits"),
    [
        ((PACS,), ""),
        ((), "the configuration has no peer pacs"),
        ((PACS.model_copy(update={"query_retrieve": "none"}),), "pacs has no query_retrieve: dicom-node ae change"),
    ],
)
def test_a_batch_whose_pacs_may_not_be_asked_says_so(
    index: Index, tmp_path: Path, clock: FakeClock, disk: SimpleNamespace, peers: tuple[Peer, ...], waits: str
) -> None:
    """It runs on as soon as it may be."""
    seen = with_standstill(index.batches.view(1), node(tmp_path, peers=peers), now=clock.now())
    assert (seen.waits.startswith(waits), bool(seen.waits)) == (True, bool(waits))


def test_a_batch_says_that_it_waits_for_its_hours_or_for_the_end_of_one(
    tmp_path: Path, clock: FakeClock, disk: SimpleNamespace
) -> None:
    """By the very rule that its runner goes by."""
    index = build_index(tmp_path, clock)
    begin = clock.now().astimezone() + timedelta(hours=1)
    hours = f"{begin:%H:%M}-{begin + timedelta(hours=1):%H:%M}"
    index.batches.begin(plan(hours=hours), {"1.2.1": ""})
    index.batches.begin(plan(per_hour=1), {"1.2.2": "", "1.2.3": ""})
    index.batches.asked(next_line(index, 2), is_own=True)
    by_hours, by_rate = (why_not_now(view, node(tmp_path), now=clock.now()) for view in index.batches.views())
    assert by_hours == f"outside its hours {hours}"
    assert by_rate == "per_hour is reached: 1 asked for in the last hour"
    clock.advance(3601)
    assert not any(why_not_now(view, node(tmp_path), now=clock.now()) for view in index.batches.views())
    index.close()


def test_a_batch_that_paused_itself_says_what_is_to_be_put_right(
    index: Index, tmp_path: Path, clock: FakeClock, disk: SimpleNamespace
) -> None:
    """It waits for an administrator; one that somebody paused does not."""
    retriever = RefusingRetriever(reason="pacs: does not know NODE (0xA801)", retryable=False)
    with find_scp(one_series) as peer:
        runner_of(node(tmp_path), index, peer, retriever, clock).run_due()
    paused = index.batches.view(1)
    assert batch_lines(paused)[1] == (
        "  paused itself: pacs: does not know NODE (0xA801); when that is put right: dicom-node batch resume 1"
    )
    (alert,) = node_status(node(tmp_path), index, clock=clock).alerts
    assert alert.startswith("batch 1 paused itself: pacs: does not know NODE")
    index.batches.move(1, BatchState.RUNNING)
    by_somebody = index.batches.move(1, BatchState.PAUSED)
    assert len(batch_lines(by_somebody)) == 1
    assert node_status(node(tmp_path), index, clock=clock).alerts == ()


@pytest.mark.parametrize("state", [BatchState.PAUSED, BatchState.CANCELLED])
def test_what_has_no_place_where_a_batch_stands_is_refused(index: Index, state: BatchState) -> None:
    """With the reason; nothing is changed."""
    index.batches.move(1, state)
    before = index.batches.view(1)
    with pytest.raises(IllegalBatchStepError, match=f"batch 1 is {state}: only one that runs"):
        index.batches.move(1, state)
    words = "has no failed study" if state is BatchState.PAUSED else "`batch resume` takes it up first"
    with pytest.raises(IllegalBatchStepError, match=words):
        retry_failed(index, 1)
    assert index.batches.view(1) == before
