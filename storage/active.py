"""Which `work` is the active one: the session that holds an advisory lock of PostgreSQL, the others stand by.

The lock goes with the session: with the process, or when the server finds that the connection is dead
(PostgreSQL, "Advisory Locks"). On SQLite the lock of the data folder allows one process alone.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from storage.database import open_engine, reading
from storage.errors import IndexStateError
from storage.postgresql import first_line, meaning_of

_ACTIVE = 0x4449434157
"""Key of the lock that the active one holds ("DICAW")."""
_CANDIDATE = 0x4449434357
"""Key of the lock that all share who are or would be active ("DICCW")."""

_SERVER_NOTICES = (
    "SET tcp_keepalives_idle = 3",
    "SET tcp_keepalives_interval = 1",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 6000",
)
"""Six seconds after its machine is gone the server ends the session; without effect on a Unix socket, which needs none."""

_WORKERS = text(
    """
    SELECT activity.application_name AS name, bool_or(lock.objid = :active_low) AS is_active
    FROM pg_locks AS lock JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
    WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 1
      AND lock.classid = :high AND lock.objid IN (:active_low, :candidate_low)
      AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    GROUP BY activity.pid, activity.application_name
    ORDER BY is_active DESC, name
    """
)
"""PostgreSQL, "pg_locks": a key of 64 bits is shown as its high half in classid, its low half in objid, objsubid 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRole:
    """A `work` that is connected to the index."""

    name: str
    """Machine and process."""
    is_active: bool
    """Whether it is the one that works; else it stands by."""


class ActiveLock:
    """The session of one process that is active, or stands by to become so."""

    def __init__(self, url: str, *, name: str) -> None:
        """Connect by the first call; others see the process under the name, of at most 63 characters."""
        self._engine = open_engine(url).execution_options(isolation_level="AUTOCOMMIT")
        self._name = name
        self._connection: Connection | None = None
        self.trouble: IndexStateError | None = None
        """Why the last try did not reach the lock; None where it was only held by another one."""

    def take(self) -> bool:
        """Whether this process is the active one now; it tries to be, and connects again where it has to."""
        self.trouble = None
        try:
            if self._connection is None:
                self._connection = self._connect()
            taken = text("SELECT pg_try_advisory_lock(:key)")
            return bool(self._connection.execute(taken, {"key": _ACTIVE}).scalar_one())
        except DBAPIError as error:
            self.trouble = meaning_of(error.orig, is_lost=error.connection_invalidated)(first_line(error.orig))
            self.release()
            return False

    def is_held(self) -> bool:
        """Whether the session that took the lock still lives; a server that does not answer within seconds ended it."""
        try:
            return self._connection is not None and self._connection.execute(text("SELECT 1")).scalar_one() == 1
        except DBAPIError:
            self.release()
            return False

    def release(self) -> None:
        """End the session; may be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
        self._engine.dispose()

    def _connect(self) -> Connection:
        connection = self._engine.connect()
        for statement in _SERVER_NOTICES:
            connection.execute(text(statement))
        connection.execute(text("SELECT set_config('application_name', :name, false)"), {"name": self._name})
        connection.execute(text("SELECT pg_advisory_lock_shared(:key)"), {"key": _CANDIDATE})
        return connection


def workers_of(engine: Engine) -> tuple[WorkerRole, ...]:
    """Every `work` that is connected, the active one first; none on SQLite, where there is but one."""
    if engine.dialect.name != "postgresql":
        return ()
    keys = {"high": _ACTIVE >> 32, "active_low": _ACTIVE & 0xFFFFFFFF, "candidate_low": _CANDIDATE & 0xFFFFFFFF}
    with reading(engine) as connection:
        rows = connection.execute(_WORKERS, keys).all()
    return tuple(WorkerRole(name=row.name, is_active=row.is_active) for row in rows)
