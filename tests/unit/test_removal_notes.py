"""What is being deleted stays deleted, also when the index is made anew in the middle; what arrived anew stays."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest

from builders.clock import FakeClock
from builders.index import NOON
from builders.kept_images import keep_images
from config.retention import RetentionSettings
from config.settings import NodeSettings, Settings
from dicom_node.audit.events import Party
from dicom_node.audit.trail import audit_trail
from dicom_node.reindex import reindex
from dicom_node.retention import Retention
from storage.database import open_engine
from storage.errors import DataFolderInUseError, DiskFullError
from storage.failpoints import KEEPING_FAILPOINTS, VARIABLE, arm
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import Event
from storage.locks import lock_data_dir
from storage.removal_notes import RemovalNote, noted_files, plan_removal, removal_notes
from storage.removals import remove_files
from storage.verifying import verify

OLD, NEW = "1.2.826.1", "1.2.826.2"
_RUN = "from storage.failpoints import arm_from_environment as arm; arm(); from dicom_node.cli import main; main()"


class Node:
    """A node with a study that is deleted next, with a result, and one that is being received."""

    def __init__(self, folder: Path) -> None:
        """Three images of each."""
        self.data_dir = folder / "data"
        self.clock = FakeClock()
        self.settings = Settings(node=NodeSettings(data_dir=self.data_dir), retention=RetentionSettings(days=1))
        self.old = [self.data_dir / kept.relative_path for kept in keep_images(self.data_dir, 1, 2, 3, study=OLD)]
        keep_images(self.data_dir, 1, 2, 3, study=NEW, PatientID="P2")
        for path in self.data_dir.glob("objects/*/*.dcm"):
            os.utime(path, (NOON.timestamp() - 86_400, NOON.timestamp() - 86_400))
        reindex(self.settings, clock=self.clock)
        self.results = ResultStore(self.data_dir).folder_of(OLD)
        (self.results / "r1").mkdir(parents=True)
        (self.results / "r1" / "sr.dcm").write_bytes(b"report")
        self.index = Index(open_engine(self.settings.database_url), now=self.clock.now)
        self.index.apply(OLD, Event.DISCARDED, why="for the test")
        self.clock.advance(10 * 86_400)

    @property
    def database(self) -> Path:
        """The file of the index."""
        return self.data_dir / "index.sqlite"

    def delete(self) -> int:
        """Delete what the rules say; how many studies that were."""
        engine = open_engine(self.settings.database_url)
        trail = audit_trail(self.settings, clock=self.clock)
        try:
            return Retention(self.settings, engine, clock=self.clock, trail=trail, by=Party(user_id="WORK")).run()
        finally:
            engine.dispose()

    def remove_files(self) -> int:
        """Remove what is noted."""
        engine = open_engine(self.settings.database_url)
        try:
            return remove_files(engine, self.data_dir, now=self.clock.now)
        finally:
            engine.dispose()

    def delete_until(self, failpoint: str) -> None:
        """Delete in a process that is killed at a failpoint."""
        config = self.data_dir.parent / "node.toml"
        config.write_text(f'[node]\ndata_dir = "{self.data_dir}"\n[retention]\ndays = 1\n')
        command = [sys.executable, "-c", _RUN, "--config", str(config), "retention", "run"]
        environment = os.environ | {VARIABLE: f"{failpoint}:1"}
        done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
        assert done.returncode == -9, done.stderr

    def instances(self, study: str) -> int:
        """How many the index has, opened anew."""
        index = Index(open_engine(self.settings.database_url), now=self.clock.now)
        try:
            return len(index.stored_instances(study))
        finally:
            index.close()

    def assert_nothing_is_left(self) -> None:
        """No file, no result, no note of the study."""
        assert not [path for path in (*self.old, self.results) if path.exists()]
        assert [*removal_notes(self.data_dir), *(self.data_dir / "removed").iterdir()] == []

    def assert_whole(self) -> None:
        """Files and rows go together, and the study that is being received is there."""
        engine = open_engine(self.settings.database_url)
        report = verify(engine, self.data_dir)
        engine.dispose()
        assert (report.passed, report.unindexed) == (True, ())
        assert self.instances(NEW) == 3


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A fresh one."""
    made = Node(tmp_path)
    yield made
    made.index.close()
    arm(None)


def _interrupt_at(failpoint: str) -> None:
    def act(reached: str) -> None:
        if reached == failpoint:
            raise KeyboardInterrupt

    arm(act)


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("failpoint", KEEPING_FAILPOINTS)
def test_a_kill_in_the_middle_of_a_deletion_brings_no_study_back(node: Node, failpoint: str, is_lost: bool) -> None:
    """Nor loses one whose rows had not gone, or of which nothing can say so."""
    node.delete_until(failpoint)
    if is_lost:
        node.database.unlink()
    report = reindex(node.settings, clock=node.clock, anew=True)
    # Killed in the very moment of the commit, and the index is lost as well: the files stay.
    stays = failpoint == "retention.planned" or (failpoint == "retention.rows_gone" and is_lost)
    assert node.instances(OLD) == (3 if stays else 0)
    if not stays:
        assert report.removed == (3 if failpoint == "retention.file_gone" else 4)
        node.assert_nothing_is_left()
    node.assert_whole()
    assert list(removal_notes(node.data_dir)) == []


@pytest.mark.parametrize("failpoint", KEEPING_FAILPOINTS)
def test_the_next_run_ends_what_a_kill_left(node: Node, failpoint: str) -> None:
    """With the index of before; no note stays."""
    node.delete_until(failpoint)
    # The process that was killed had the clock of the machine.
    node.clock.set_wall_clock(datetime.now(UTC))
    node.delete()
    node.assert_nothing_is_left()
    node.assert_whole()


def test_an_object_that_arrived_anew_meanwhile_is_taken_in(node: Node) -> None:
    """The others of its study are gone."""
    _interrupt_at("retention.noted")
    with pytest.raises(KeyboardInterrupt):
        node.delete()
    keep_images(node.data_dir, 2, study=OLD)
    assert reindex(node.settings, clock=node.clock, anew=True).removed == 3
    assert node.instances(OLD) == 1
    assert [path.exists() for path in node.old] == [False, True, False]
    node.assert_whole()


def test_a_file_with_the_inode_of_one_that_is_gone_is_another(node: Node) -> None:
    """File systems give a number again; by its time it is told apart, and removed only where it never got a row."""
    _interrupt_at("retention.noted")
    with pytest.raises(KeyboardInterrupt):
        node.delete()
    arm(None)
    os.utime(node.old[0])
    assert node.remove_files() == 3
    assert node.old[0].exists()
    node.clock.advance(700)
    assert node.remove_files() == 1
    node.assert_nothing_is_left()


def test_a_plan_that_came_to_nothing_is_dropped(node: Node) -> None:
    """The rows are there, and so are the files."""
    plan_removal(node.data_dir, noted_files(node.data_dir, node.old))
    assert node.remove_files() == 0
    assert list(removal_notes(node.data_dir)) == []
    assert node.instances(OLD) == 3
    assert all(path.exists() for path in node.old)


def test_a_full_disk_stops_no_deletion_that_was_planned(node: Node) -> None:
    """Room is what it makes; the note is confirmed by the next step, or dropped."""
    refuse = mock.patch.object(RemovalNote, "confirm", side_effect=DiskFullError("ENOSPC"))
    with refuse, pytest.raises(DiskFullError):
        node.delete()
    assert node.instances(OLD) == 0
    node.delete()
    node.assert_nothing_is_left()


def test_without_a_note_on_disk_nothing_is_deleted(node: Node) -> None:
    """A note that cannot be written."""
    with (
        mock.patch("storage.retention.plan_removal", side_effect=DiskFullError("ENOSPC")),
        pytest.raises(DiskFullError),
    ):
        node.delete()
    assert node.instances(OLD) == 3


def test_a_result_folder_that_is_half_gone_does_not_come_back(node: Node) -> None:
    """It was the one that was meant."""

    def half(path: Path) -> None:
        (path / "r1" / "sr.dcm").unlink()
        raise KeyboardInterrupt

    with mock.patch("storage.removals.shutil.rmtree", side_effect=half), pytest.raises(KeyboardInterrupt):
        node.delete()
    node.database.unlink()
    reindex(node.settings, clock=node.clock)
    node.assert_nothing_is_left()


def test_a_damaged_note_removes_nothing(node: Node) -> None:
    """Whatever is in it."""
    note = plan_removal(node.data_dir, noted_files(node.data_dir, node.old))
    note.confirm()
    note.path.with_suffix(".due").write_bytes(b'[{"path": 1}, "x"')
    assert reindex(node.settings, clock=node.clock, anew=True).removed == 0
    assert node.instances(OLD) == 3


def test_only_one_process_deletes(node: Node) -> None:
    """What one moved aside the other would put back."""
    with lock_data_dir(node.data_dir, "retention"), pytest.raises(DataFolderInUseError):
        node.delete()
