"""How studies of batches end, and what is kept of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.batches import analyse, fetch, next_line, plan
from builders.clock import FakeClock
from builders.index import build_index, result_files
from config.settings import NodeSettings, Settings
from dicom_node.batch.ends import GONE, note_ends
from dicom_node.clock import SystemClock
from dicom_node.worker_duties import WorkerDuties
from storage.batch_records import BatchState, BatchStudyState
from storage.index import Index


@pytest.fixture
def index(tmp_path: Path, each_engine: str) -> Iterator[Index]:
    """A batch of two studies, of which one is here and analysed."""
    made = build_index(tmp_path, FakeClock())
    made.batches.begin(plan(), {"1.2.1": "20190101", "1.2.2": "20200101"})
    fetch(made)
    analyse(made, *result_files())
    yield made
    made.close()


@pytest.mark.parametrize("state", [BatchState.PAUSED, BatchState.CANCELLED])
def test_a_batch_that_asks_for_nothing_notes_what_ended(index: Index, state: BatchState) -> None:
    """What is here is analysed in any case, and the table says so."""
    index.batches.move(1, state)
    note_ends(index)
    view = index.batches.view(1)
    assert (view.state, view.studies[BatchStudyState.ANALYSED], view.in_flight) == (state, 1, 0)


def test_ends_are_noted_without_a_pacs_that_may_be_asked(index: Index, tmp_path: Path) -> None:
    """The batch is done when its last study is, whoever is in the configuration then."""
    settings = Settings(node=NodeSettings(data_dir=tmp_path))
    fetch(index)
    analyse(index, *result_files("2.25.2"))
    WorkerDuties(settings, index, clock=SystemClock()).wanted()["batches"].make().run()
    assert index.batches.view(1).state is BatchState.DONE


def test_a_study_that_did_not_come_before_its_batch_was_cancelled_is_cancelled(index: Index) -> None:
    """Nothing waits in a batch that asks for nothing, until it is resumed."""
    line = next_line(index)
    index.batches.asked(line, is_own=True)
    index.batches.move(1, BatchState.CANCELLED)
    index.batches.put_off(line, "pacs: failed", tries=1, next_try_at=line.asked_at or FakeClock().now())
    assert index.batches.view(1).studies[BatchStudyState.CANCELLED] == 1
    assert index.batches.move(1, BatchState.RUNNING).studies[BatchStudyState.WAITING] == 1


def test_a_study_that_was_deleted_before_its_end_was_noted_does_not_stay_in_analysis(index: Index) -> None:
    """It can be fetched again; else the batch would never be done."""
    line = next_line(index)
    index.batches.asked(line, is_own=True)
    index.batches.fetched(line)
    note_ends(index)
    ends = {line.state: line.words for line in index.batches.lines(1)}
    assert ends[BatchStudyState.FAILED] == GONE
    assert index.batches.view(1).state is BatchState.DONE
