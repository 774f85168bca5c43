"""Signs of life of the processes."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, or_, select

from storage.models import ProcessBeat
from storage.records import Heartbeat

_OF_ALL_MACHINES = frozenset({"work"})
"""Only one is active, wherever it runs; those that stand by are known by their sessions (storage.active)."""
_KEPT_FOR = timedelta(days=7)
"""A machine that is silent for so long was taken out."""


def leave(
    connection: Connection, process: str, info: str, *, machine: str, needs_restart: Sequence[str], at: datetime
) -> None:
    """Put a sign of life of this process in the place of its last one."""
    is_gone = ProcessBeat.process == process
    # One without a name shares with nobody: whoever did before is gone.
    if machine and process not in _OF_ALL_MACHINES:
        is_gone &= or_(ProcessBeat.machine.in_([machine, ""]), ProcessBeat.at < at - _KEPT_FOR)
    connection.execute(delete(ProcessBeat).where(is_gone))
    values = {"process": process, "machine": machine, "pid": os.getpid(), "at": at, "info": info}
    connection.execute(insert(ProcessBeat).values(**values, needs_restart="\n".join(needs_restart)))


def end(connection: Connection, process: str) -> None:
    """A process came to its end, and leaves none."""
    connection.execute(delete(ProcessBeat).where(ProcessBeat.process == process))


def all_of(connection: Connection) -> tuple[Heartbeat, ...]:
    """Last sign of life of each process, by name and machine."""
    rows = connection.execute(select(ProcessBeat).order_by(ProcessBeat.process, ProcessBeat.machine))
    return tuple(
        Heartbeat(
            process=row.process,
            machine=row.machine,
            pid=row.pid,
            at=row.at,
            info=row.info,
            needs_restart=tuple(row.needs_restart.splitlines()),
        )
        for row in rows
    )
