"""Listeners of several processes, and what those processes hold."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.deadline import until
from builders.listener import RunningListener, association, running_listener
from config.settings import Settings

CONTEXTS = [(CTImageStorage, [ExplicitVRLittleEndian])]
Opened = TypeVar("Opened")
_WITHIN_S = 60.0
_REST_S = 1.5
_OPEN = ("01", "08")
"""ESTABLISHED and CLOSE_WAIT."""


def children_of(pid: int) -> list[int]:
    """Processes that a process started, by any of its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        # A thread may end between being listed and being read.
        with suppress(FileNotFoundError, ProcessLookupError):
            found += (int(child) for child in task.read_text(encoding="ascii").split())
    return sorted(found)


def further_than(known: Sequence[int]) -> set[int]:
    """Processes that this one started besides those that are known."""
    return set(children_of(os.getpid())) - set(known)


def sockets_of(pid: int) -> int:
    """TCP connections that a process holds."""
    links = [_target(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    held = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    rows = Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return sum(row.split()[9] in held for row in rows if row.split()[3] == "01")


def _target(link: Path) -> str:
    """What a link points to; nothing where it is gone meanwhile."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


@contextmanager
def listener_of_two(settings: Settings) -> Iterator[tuple[RunningListener, int]]:
    """A listener in this process with one further process, which takes connections by now; its process ID."""
    before = children_of(os.getpid())
    listen = settings.listen.model_copy(update={"processes": 2})
    with running_listener(settings.model_copy(update={"listen": listen})) as running:
        (child,) = further_than(before)
        until(lambda: serves(running.port, child), within_s=_WITHIN_S, what="the further process serves")
        rest(running.port)
        yield running, child


@contextmanager
def spread(child: int, *openers: Callable[[], AbstractContextManager[Opened]]) -> Iterator[list[Opened]]:
    """Associations of which the further process serves every second one.

    All are opened anew where it does not: the listener gives none away while it calls itself.
    """
    ends_at_s = time.monotonic() + _WITHIN_S
    while True:
        with ExitStack() as stack:
            opened = [stack.enter_context(opener()) for opener in openers]
            if sockets_of(child) == len(openers) // 2:
                yield opened
                return
        assert time.monotonic() < ends_at_s, "the further process gets none"
        time.sleep(_REST_S)


def rest(port: int) -> None:
    """Let the processes close the connections of associations that ended, and the listener count them off."""
    until(lambda: not _served_on(port), within_s=_WITHIN_S, what="the connections are closed")
    time.sleep(_REST_S)


def _served_on(port: int) -> int:
    """Connections at a port that are open, or of which only the caller's end is closed (proc(5), net/tcp)."""
    rows = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return sum(row.split()[1].endswith(f":{port:04X}") and row.split()[3] in _OPEN for row in rows)


def serves(port: int, child: int) -> bool:
    """Whether the second of two associations goes to the child."""
    with association(port, CONTEXTS), association(port, CONTEXTS):
        return sockets_of(child) == 1
