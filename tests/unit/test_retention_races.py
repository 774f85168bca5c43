"""A study is received again in the moment in which retention deletes it."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from builders.clock import FakeClock
from builders.deadline import until
from builders.index import JANE, build_index, database_url, received, state_of
from storage.database import open_engine, reading
from storage.failpoints import arm
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import ReceivedInstance, Recorded
from storage.removal_notes import finish_removals, removal_notes
from storage.removals import bytes_to_be_removed, remove, remove_files
from storage.retention import delete_study, old_studies
from storage.verifying import unindexed_files

DAY_S = 86_400
OLD, OTHER = "1.2.1", "1.2.2"


class Node:
    """An index with a skipped study of two images that retention deletes next, and threads that write beside it."""

    def __init__(self, folder: Path, threads: ThreadPoolExecutor) -> None:
        """The study is ten days old."""
        self.folder = folder
        self.threads = threads
        self.clock = FakeClock()
        self.index: Index = build_index(folder, self.clock)
        self.engine: Engine = open_engine(database_url(folder))
        self.old = [self.instance(OLD, 1), self.instance(OLD, 2)]
        self.paths = [self.put(instance) for instance in self.old]
        self.index.record_received(self.old)
        self.index.apply(OLD, Event.DISCARDED, why="for the test")
        self.clock.advance(10 * DAY_S)

    def instance(self, study: str, number: int) -> ReceivedInstance:
        """One that arrives now."""
        return replace(received(study, number), received_at=self.clock.now())

    def put(self, instance: ReceivedInstance) -> Path:
        """Put the file of an instance into its place as the listener does, in the place of one that is there."""
        path = self.folder / instance.relative_path
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(b"image")
        os.utime(part, (self.clock.now().timestamp(),) * 2)
        part.rename(path)
        return path

    def remove_files(self) -> int:
        """Remove what is noted."""
        return remove_files(self.engine, self.folder, now=self.clock.now)

    def delete(self) -> bool:
        """Delete the study, as it was listed before."""
        (old,) = old_studies(self.engine, before=self.clock.now())
        folder_of = ResultStore(self.folder).folder_of
        return delete_study(self.engine, old, data_dir=self.folder, results_folder=folder_of, at=self.clock.now())

    def beside(self, act: Callable[[], object]) -> Future[object]:
        """What another process does, started; it is over, or waits for a lock, when this returns."""
        future: Future[object] = self.threads.submit(act)
        until(lambda: future.done() or self._somebody_waits(), within_s=30, what="it is over, or waits for a lock")
        return future

    def _somebody_waits(self) -> bool:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        with reading(self.engine) as connection:
            return bool(connection.execute(text(waits)).scalar_one())


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A fresh one."""
    with ThreadPoolExecutor(1) as threads:
        yield Node(tmp_path, threads)
    arm(None)


def once_at(failpoint: str, act: Callable[[], None]) -> None:
    """Do something when the failpoint is reached for the first time."""

    def action(reached: str) -> None:
        if reached == failpoint:
            arm(None)
            act()

    arm(action)


on_server = pytest.mark.usefixtures("on_postgres")
"""On SQLite there is one writer, and nobody is beside it."""
on_each_engine = pytest.mark.usefixtures("each_engine")


@on_server
def test_an_instance_that_comes_while_its_study_is_deleted_is_kept(node: Node) -> None:
    """It waits for the deletion, and begins the study anew, under the patient that went with it."""
    late: list[Future[object]] = []
    instance = node.instance(OLD, 3)
    once_at("retention.planned", lambda: late.append(node.beside(lambda: node.index.record_received([instance]))))
    assert node.delete()
    assert late[0].result(timeout=30) == (Recorded.NEW,)
    assert [one.path for one in node.index.stored_instances(OLD)] == [Path(instance.relative_path)]
    assert state_of(node.index, OLD) is State.RECEIVING


@on_server
def test_a_study_that_an_instance_reopens_just_now_is_not_deleted(node: Node) -> None:
    """The deletion waits for the listener, and looks again."""
    deletion: list[Future[object]] = []
    once_at("index.before_commit", lambda: deletion.append(node.beside(node.delete)))
    node.index.record_received([node.instance(OLD, 3)])
    assert deletion[0].result(timeout=30) is False
    assert len(node.index.stored_instances(OLD)) == 3
    assert state_of(node.index, OLD) is State.RECEIVING


@on_server
def test_a_patient_of_whom_another_study_arrives_just_now_is_kept(node: Node) -> None:
    """The old study goes nevertheless."""
    deletion: list[Future[object]] = []
    once_at("index.before_commit", lambda: deletion.append(node.beside(node.delete)))
    node.index.record_received([node.instance(OTHER, 1)])
    assert deletion[0].result(timeout=30) is True
    (view,) = node.index.find_studies()
    assert (view.study_instance_uid, view.patient) == (OTHER, JANE)


@on_each_engine
def test_a_file_that_came_again_before_the_deletion_stays_until_its_row_is_there(node: Node) -> None:
    """The listener has put it in its place, and waits for its turn to write; the other file goes at once."""
    came_again, gone = node.paths
    node.put(node.old[0])
    assert node.delete()
    assert (node.remove_files(), came_again.exists(), gone.exists()) == (1, True, False)
    assert bytes_to_be_removed(node.engine, node.folder) == came_again.stat().st_size
    node.index.record_received([node.old[0]])
    node.clock.advance(700)
    assert (node.remove_files(), came_again.exists()) == (0, True)
    assert bytes_to_be_removed(node.engine, node.folder) == 0
    assert unindexed_files(node.engine, node.folder) == ()


@on_each_engine
def test_a_file_that_came_again_and_never_gets_a_row_goes_later(node: Node) -> None:
    """Its sender was never told Success; no clock that is set keeps it for ever, or makes it go at once."""
    came_again, _ = node.paths
    node.put(node.old[0])
    node.clock.set_wall_clock(node.clock.now() - timedelta(days=1))
    node.put(node.old[0])
    assert node.delete()
    assert (node.remove_files(), came_again.exists()) == (1, True)
    node.clock.advance(700)
    assert (node.remove_files(), came_again.exists()) == (1, False)


def test_a_file_that_came_again_is_taken_in_where_the_index_is_lost(node: Node) -> None:
    """The note on disk says nothing of it."""
    came_again, gone = node.paths
    node.put(node.old[0])
    assert node.delete()
    assert finish_removals(node.folder, remove=remove, are_rows_gone=lambda paths: bool(paths)) == 1
    assert (came_again.exists(), gone.exists(), list(removal_notes(node.folder))) == (True, False, [])
