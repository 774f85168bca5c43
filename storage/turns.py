"""Turns of processes that write beside each other: a lock of the system, waited for no longer than is said.

flock(2) wakes the next one at once and knows no deadline, so where the lock is not free a thread waits in it. A wait that was
given up ends with the lock, which it leaves at once; until then the process begins no other.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from storage.disk import disk_errors
from storage.errors import IndexBusyError

_given_up: dict[str, Thread] = {}
"""By name of the file; it may have ended since."""


@contextmanager
def turn_at(folder: Path, *, within_s: float) -> Iterator[None]:
    """Hold the lock of a folder, which goes with the process that holds it.

    Args:
        folder: That is there.
        within_s: How long another process may keep it.

    Raises:
        IndexBusyError: It kept it for longer.
        DiskError: The folder cannot be opened, or its file system has no locks.
    """
    with disk_errors():
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            lock(descriptor, f"the folder {folder}", within_s=within_s)
        except TimeoutError as error:
            raise IndexBusyError(error.strerror or "") from error
    try:
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, name: str, *, within_s: float) -> None:
    """Lock an open file; where that fails it is closed, or will be.

    Args:
        descriptor: Of the file.
        name: Of the file, as an administrator knows it; the same each time.
        within_s: How long another process may keep it.

    Raises:
        TimeoutError: It kept it for longer; `strerror` says what to do.
        OSError: The file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _await(name, descriptor, within_s=within_s)
    except OSError:
        os.close(descriptor)
        raise


def _await(name: str, descriptor: int, *, within_s: float) -> None:
    """Return with the lock; without it the descriptor is closed, or will be."""
    ends_at_s = time.monotonic() + within_s
    before = _given_up.get(name)
    if before:
        before.join(within_s)
        if before.is_alive():
            os.close(descriptor)
            raise _held_too_long(name, within_s)
    granted: Future[None] = Future()
    waiter = Thread(target=_lock, args=(descriptor, granted), name="turn", daemon=True)
    waiter.start()
    try:
        granted.result(timeout=max(ends_at_s - time.monotonic(), 0.0))
    except TimeoutError:
        if granted.cancel():
            _given_up[name] = waiter
            raise _held_too_long(name, within_s) from None
        granted.result()
    except KeyboardInterrupt:
        if not granted.cancel():
            os.close(descriptor)
        raise


def _lock(descriptor: int, granted: "Future[None]") -> None:
    """Wait for the lock; nobody has it where it is not wanted any more."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        os.close(descriptor)
        if granted.set_running_or_notify_cancel():
            granted.set_exception(error)
        return
    if granted.set_running_or_notify_cancel():
        granted.set_result(None)
    else:
        os.close(descriptor)


def _held_too_long(name: str, within_s: float) -> TimeoutError:
    words = f"another process has held the lock of {name} for more than {within_s:g} s: `lslocks` names it; end it"
    return TimeoutError(errno.ETIMEDOUT, words)
