"""How studies of batches end, and what is kept of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.batches import analyse, fetch, next_line, plan, result_on_disk
from builders.clock import FakeClock
from builders.index import build_index, database_url, make_ready, result_files
from builders.two_patients import johns
from config.retention import RetentionSettings
from config.settings import NodeSettings, Settings
from dicom_node.audit.events import AuditEvent, Outcome, Party
from dicom_node.batch.ends import GONE, note_ends
from dicom_node.batch.table import Row, table_rows
from dicom_node.clock import SystemClock
from dicom_node.retention import Retention
from dicom_node.worker_duties import WorkerDuties
from storage.batch_records import BatchState, BatchStudyState
from storage.database import open_engine
from storage.files import ResultStore
from storage.index import Index


class NoTrail:
    """A trail that keeps nothing."""

    def record(self, event: AuditEvent, *, outcome: Outcome = Outcome.SUCCESS, words: str = "") -> None:
        """Forget."""


@pytest.fixture
def index(tmp_path: Path, each_engine: str) -> Iterator[Index]:
    """A batch of two studies, of which one is here and analysed."""
    made = build_index(tmp_path, FakeClock())
    made.batches.begin(plan(), {"1.2.1": "20190101", "1.2.2": "20200101"})
    fetch(made)
    analyse(made, result_on_disk(results_folder(tmp_path, "1.2.1")))
    yield made
    made.close()


def results_folder(data_dir: Path, uid: str) -> Path:
    """Of the first result of a study."""
    return ResultStore(data_dir).folder_of(uid) / "r1"


def row_of(index: Index, uid: str) -> Row:
    """Of the table."""
    return {row["study_instance_uid"]: row for row in table_rows(index, 1, with_patients=False)}[uid]


@pytest.mark.parametrize("state", [BatchState.PAUSED, BatchState.CANCELLED])
def test_a_batch_that_asks_for_nothing_notes_what_ended(index: Index, state: BatchState) -> None:
    """What is here is analysed in any case, and the table says so."""
    index.batches.move(1, state)
    note_ends(index, Settings())
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
    note_ends(index, Settings())
    ends = {line.state: line.words for line in index.batches.lines(1)}
    assert ends[BatchStudyState.FAILED] == GONE
    assert index.batches.view(1).state is BatchState.DONE


def test_what_was_found_is_in_the_table_when_retention_has_deleted_the_study(index: Index, tmp_path: Path) -> None:
    """An archive of years has no room for every study; nothing is deleted before the batch has noted it."""
    settings = Settings(node=NodeSettings(data_dir=tmp_path), retention=RetentionSettings(days=1))
    clock = FakeClock()
    clock.advance(400 * 86_400)
    engine = open_engine(database_url(tmp_path))
    retention = Retention(settings, engine, clock=clock, trail=NoTrail(), by=Party(user_id="WORK"))
    assert retention.run() == 0
    note_ends(index, Settings())
    assert retention.run() == 1
    row = row_of(index, "1.2.1")
    assert index.study("1.2.1") is None
    assert not results_folder(tmp_path, "1.2.1").exists()
    assert (row["state"], row["patient_score"], row["lesions"], row["lesion_volume_ml"]) == ("analysed", 0.75, 2, 3.5)
    assert (row["stage"], row["images"], row["qualifications"]) == ("progressive", 3, "thick_slices")
    engine.dispose()


def test_the_table_says_what_was_found_when_the_study_ended(index: Index, tmp_path: Path) -> None:
    """Whatever becomes of the file."""
    note_ends(index, Settings())
    result_on_disk(results_folder(tmp_path, "1.2.1"), score=0.25)
    assert row_of(index, "1.2.1")["patient_score"] == 0.75


def test_what_was_found_in_the_images_of_one_patient_never_stands_beside_another(index: Index, tmp_path: Path) -> None:
    """The study is released to whom its later images name: the row is empty until those are analysed."""
    note_ends(index, Settings())
    index.record_received([johns(study_instance_uid="1.2.1")])
    index.release_held("1.2.1", 2, by="admin")
    (row, _) = table_rows(index, 1, with_patients=True)
    assert (row["patient_id"], row["patient_score"], row["stage"]) == ("0815", None, None)
    make_ready(index, "1.2.1")
    analyse(index, result_on_disk(ResultStore(tmp_path).folder_of("1.2.1") / "r2", score=0.25))
    assert row_of(index, "1.2.1")["patient_score"] == 0.25


def test_what_ended_under_an_older_version_is_read_from_its_result(index: Index, tmp_path: Path) -> None:
    """As long as it is here; the row stays when it is not."""
    (line,) = index.batches.in_analysis()
    index.batches.end(line, BatchStudyState.ANALYSED, "1 lesion")
    assert row_of(index, "1.2.1")["patient_score"] == 0.75
    (results_folder(tmp_path, "1.2.1") / "findings.json").unlink()
    row = row_of(index, "1.2.1")
    assert (row["state"], row["patient_score"]) == ("analysed", None)


def test_a_study_ends_once(index: Index) -> None:
    """What was noted stays."""
    (line,) = index.batches.in_analysis()
    note_ends(index, Settings())
    index.batches.end(line, BatchStudyState.FAILED, "too late")
    assert row_of(index, "1.2.1")["state"] == "analysed"
