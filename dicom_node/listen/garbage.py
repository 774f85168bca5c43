"""Collects what ended associations leave behind, without keeping those that come waiting."""

import gc
import time

COLLECT_S = 2.0
"""Between two collections: what a burst leaves behind meanwhile is memory."""


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


def leave_out_what_stays() -> None:
    """Leave all objects of now out of later collections; for a process that has loaded what it needs, once."""
    gc.collect()
    gc.freeze()
