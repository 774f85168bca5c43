"""Attempts that crash, cannot begin, or find no room: the study waits or fails, and the worker goes on."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest

from builders.attempts import attempts_of, end_attempts
from builders.clock import FakeClock
from builders.dispatching import CRASH, SUCCEED, dispatcher, ready_study, settings
from builders.index import build_index, state_of
from config.settings import Settings
from dicom_node.dispatch import Dispatcher
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.job_records import JobOutcome
from storage.errors import DiskFullError
from storage.files import ResultStore
from storage.lifecycle import State
from storage.records import ResultFile


@pytest.fixture(autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    end_attempts()


def test_a_crashing_study_is_tried_again_then_given_up_with_its_log(tmp_path: Path) -> None:
    """The node goes on after the last attempt that the configuration allows."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    crashing = dispatcher(tmp_path, index, CRASH)
    crashing.run_next(Event())
    assert state_of(index) is State.READY
    crashing.run_next(Event())
    assert state_of(index) is State.PIPELINE_FAILED
    assert len(list((tmp_path / "failed-attempts").iterdir())) == 2
    assert not crashing.run_next(Event())


def test_the_folders_of_attempts_are_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    """So are the logs that are kept of them."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    before = os.umask(0)
    try:
        dispatcher(tmp_path, index, CRASH).run_next(Event())
    finally:
        os.umask(before)
    (log,) = (tmp_path / "failed-attempts").iterdir()
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "jobs", log.parent, log)]
    assert modes == [0o750, 0o750, 0o640]


class FullResultStore(ResultStore):
    """One whose disk is full."""

    def keep(self, source: Path, files: Sequence[ResultFile], **of: object) -> tuple[ResultFile, ...]:
        """Refuse, as a full disk does."""
        raise DiskFullError


def test_a_full_disk_costs_the_study_no_try(tmp_path: Path) -> None:
    """The study waits in the queue until there is space, however often it is tried."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    engine = LocalEngine(EngineLimits(time_limit_s=30, memory_limit_bytes=0), server=attempts_of(SUCCEED))
    full = Dispatcher(settings(tmp_path), index, results=FullResultStore(tmp_path), engine=engine)
    for _ in range(3):
        with pytest.raises(DiskFullError):
            full.run_next(Event())
    assert state_of(index) is State.READY
    assert dispatcher(tmp_path, index, SUCCEED).run_next(Event())
    assert state_of(index) is State.PROCESSED


class BrokenEngine:
    """One that cannot even start an attempt."""

    def __init__(self, error: Exception) -> None:
        """Which way it fails."""
        self._error = error

    def follow(self, settings: Settings) -> None:
        """Nothing follows."""

    def run(self, *_: object, **__: object) -> JobOutcome | None:
        """Fail."""
        raise self._error

    def close(self) -> None:
        """Nothing is kept."""


def test_a_disk_that_fills_while_an_attempt_begins_costs_the_study_no_try(tmp_path: Path) -> None:
    """What the attempt needs could not be written: the worker waits, and the study with it."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    engine = BrokenEngine(OSError(errno.ENOSPC, "No space left on device"))
    full = Dispatcher(settings(tmp_path), index, results=ResultStore(tmp_path), engine=engine)
    for _ in range(3):
        with pytest.raises(DiskFullError):
            full.run_next(Event())
    assert state_of(index) is State.READY
    assert list((tmp_path / "jobs").iterdir()) == []


@pytest.mark.parametrize("error", [KeyError("unforeseen"), OSError(errno.ENAMETOOLONG, "File name too long")])
def test_a_study_whose_attempts_cannot_begin_fails_and_the_worker_goes_on(tmp_path: Path, error: Exception) -> None:
    """It may be the study that is at fault: it must not be tried for ever, before all others."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    broken = Dispatcher(settings(tmp_path), index, results=ResultStore(tmp_path), engine=BrokenEngine(error))
    assert [broken.run_next(Event()) for _ in range(3)] == [True, True, False]
    assert state_of(index) is State.PIPELINE_FAILED
    view = index.study("1.2.3")
    assert view is not None
    assert "the node could not run the attempt" in view.reason


def test_a_damaged_record_of_model_packs_fails_the_attempt_and_not_the_worker(tmp_path: Path) -> None:
    """Nothing ran, so there is no log to keep."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "current.json").write_text("{")
    assert dispatcher(tmp_path, index, SUCCEED).run_next(Event())
    assert state_of(index) is State.READY
    assert not (tmp_path / "failed-attempts").exists()


def test_a_log_that_cannot_be_kept_changes_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The attempt ends as it ended."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    (tmp_path / "failed-attempts").write_text("no folder")
    assert dispatcher(tmp_path, index, CRASH).run_next(Event())
    assert state_of(index) is State.READY
    assert "the log of attempt 1 cannot be kept" in caplog.text
