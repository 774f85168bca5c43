"""Memory of processes that run for months: one heap for all threads, garbage by the clock, free pages back to the system."""

import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

COLLECT_S = 2.0
"""Between two collections: what a burst leaves behind meanwhile is memory."""

_ARENA_MAX = -8
"""M_ARENA_MAX of mallopt(3)."""


def share_one_heap() -> None:
    """Let all threads take their memory from one heap; for a process that begins, before its threads.

    glibc would give each thread an arena of its own, each of which keeps what a long life scatters over it. Python's
    threads take turns anyway.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


class TimedCollection:
    """A collection of garbage every few seconds, however many connections come.

    An association and its threads refer to each other, so only a collection frees them. pynetdicom collects after every
    60 connections, on the thread that accepts: a whole heap each time, for which a burst of connections waits so long that
    its backlog overflows and the system drops who comes next for a second.
    """

    def __init__(self) -> None:
        """The first one is not due at once."""
        self._due_at_s = time.monotonic() + COLLECT_S

    def collect_when_due(self) -> bool:
        """Collect where the time has come; whether it had."""
        if time.monotonic() < self._due_at_s:
            return False
        gc.collect()
        self._due_at_s = time.monotonic() + COLLECT_S
        return True


def give_back() -> None:
    """Collect garbage, and give the pages that nobody uses any more back to the system (malloc_trim(3)).

    Otherwise the heap keeps the most that was ever needed of it, up to the topmost piece that is in use.
    """
    gc.collect()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def _malloc_trim() -> Callable[[int], int] | None:
    """The function of glibc; None where the C library has none, as musl."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


@contextmanager
def loading() -> Iterator[None]:
    """Collect nothing while packages are loaded: what they make stays, and each collection would go through all of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def leave_out_what_stays() -> None:
    """Leave all objects of now out of later collections; for a process that has loaded what it needs, once."""
    gc.collect()
    gc.freeze()
