"""Turns of processes that write into the index beside each other."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.deadline import until
from builders.index import build_index, received
from storage import database
from storage.errors import DiskError, IndexBusyError
from storage.turns import turn_at


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The lock of a folder, as another process has it: flock(2) goes by the open file."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def is_free(folder: Path) -> bool:
    """Whether nobody has the lock, and nobody waits for it either once it was had."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def waiting() -> list[threading.Thread]:
    """The threads that wait for a turn."""
    return [thread for thread in threading.enumerate() if thread.name == "turn"]


def descriptors() -> int:
    """That this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_who_waits_has_the_turn_as_soon_as_it_is_free(tmp_path: Path) -> None:
    """However long the one before takes within the time."""
    had = threading.Event()

    def take() -> None:
        with turn_at(tmp_path, within_s=60):
            had.set()

    waiter = threading.Thread(target=take)
    with held(tmp_path):
        waiter.start()
        assert not had.wait(0.2)
    assert had.wait(20)
    waiter.join(timeout=20)
    assert is_free(tmp_path)


def test_a_lock_that_is_held_for_too_long_is_said_with_what_to_do(tmp_path: Path) -> None:
    """Each time after the same time, and one thread waits however often; once it is free all goes on, nothing is left."""
    before = descriptors()
    with held(tmp_path):
        for _ in range(4):
            said = pytest.raises(IndexBusyError, match=r"more than 0\.1 s: `lslocks` names it")
            with said, turn_at(tmp_path, within_s=0.1):
                pytest.fail("somebody else has the lock")
            assert said.excinfo is not None and said.excinfo.value.retryable
        assert len(waiting()) == 1
    with turn_at(tmp_path, within_s=20):
        assert not is_free(tmp_path)
    until(lambda: not waiting(), within_s=20, what="the wait that was given up ends")
    assert is_free(tmp_path)
    assert descriptors() == before


def test_a_folder_that_is_gone_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """In our words."""
    with pytest.raises(DiskError), turn_at(tmp_path / "gone", within_s=1):
        pytest.fail("there is no such folder")


@pytest.mark.sqlite
def test_an_instance_whose_turn_does_not_come_is_refused_and_taken_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender sends it again; what was taken before is there."""
    monkeypatch.setattr(database, "TURN_TIMEOUT_S", 0.1)
    index = build_index(tmp_path, FakeClock())
    index.record_received([received(number=1)])
    with held(tmp_path), pytest.raises(IndexBusyError):
        index.record_received([received(number=2)])
    assert len(index.stored_instances("1.2.3")) == 1
    index.record_received([received(number=2)])
    assert len(index.stored_instances("1.2.3")) == 2
    index.close()
