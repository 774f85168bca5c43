"""Signs of life of the processes."""

import os
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from storage.models import ProcessBeat
from storage.records import Heartbeat


def leave(connection: Connection, process: str, info: str, *, needs_restart: Sequence[str], at: datetime) -> None:
    """Put a sign of life of this process in the place of its last one."""
    connection.execute(delete(ProcessBeat).where(ProcessBeat.process == process))
    values = {"process": process, "pid": os.getpid(), "at": at, "info": info}
    connection.execute(insert(ProcessBeat).values(**values, needs_restart="\n".join(needs_restart)))


def all_of(connection: Connection) -> tuple[Heartbeat, ...]:
    """Last sign of life of each process, by name."""
    rows = connection.execute(select(ProcessBeat).order_by(ProcessBeat.process))
    return tuple(
        Heartbeat(
            process=row.process,
            pid=row.pid,
            at=row.at,
            info=row.info,
            needs_restart=tuple(row.needs_restart.splitlines()),
        )
        for row in rows
    )
