"""Opens the index: engine, transactions, and what a failing database means."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pysqlite3.dbapi2
from sqlalchemy import Connection, Engine, Row, Select, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from storage.address import is_sqlite, parse_address
from storage.errors import (
    DiskError,
    DiskFailedError,
    DiskFullError,
    DiskReadOnlyError,
    IndexBusyError,
    IndexDamagedError,
    IndexFailedError,
    IndexStateError,
    IndexUnreachableError,
    NetworkFolderError,
    NoWalError,
    SqliteTooOldError,
)
from storage.mounts import network_file_system_of
from storage.postgresql import (
    engine_of_server,
    first_line,
    has_row_locks,
    may_begin_again,
    meaning_of,
    written_in_pipeline,
)
from storage.turns import turn_at

AnyRow = Row[*tuple[Any, ...]]
Made = TypeVar("Made")
AnySelect = Select[*tuple[Any, ...]]
DriverConnection = Any
"""Of the database's own driver (PEP 249)."""

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another process; after it the caller hears `IndexBusyError`."""

TURN_TIMEOUT_S = 2 * BUSY_TIMEOUT_S
"""How long a writer waits for its turn: whose turn it is may wait for SQLite first, and the next one still has as long."""

SAFE_SQLITE = (3, 51, 3)
"""First SQLite without the WAL-reset defect (sqlite.org/wal.html, "The WAL-reset bug")."""

_BEGINNINGS = 20
"""So often a change begins that others were in the way of; each time one of them has gone on."""

_WRITER_LOCK = 0x4449434F
"""Key of PostgreSQL's advisory lock ("DICO"): writers take turns there as they do in SQLite."""

_SQLITE_POOL = {"pool_size": 2, "max_overflow": 28}
"""Two connections stay open, for each keeps a cache of its own; more are opened where many threads meet, and closed again."""

_ALL_IN_USE = "every connection of this process waits for an answer of the database"

_SQLITE_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # KiB, for each connection; what is not in there is in the cache of the system.
    "PRAGMA cache_size = -1024",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}",
)
"""FULL: a committed row survives a power cut also in WAL mode (sqlite.org/pragma.html#pragma_synchronous)."""

_MEANING_OF_SQLITE_CODE: dict[int, type[IndexStateError | DiskError]] = {
    5: IndexBusyError,
    6: IndexBusyError,
    8: DiskReadOnlyError,
    10: DiskFailedError,
    11: IndexDamagedError,
    13: DiskFullError,
    14: DiskReadOnlyError,
    26: IndexDamagedError,
}
"""Primary result codes: BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB (sqlite.org/rescode.html)."""


def open_engine(url: str) -> Engine:
    """Engine for the index; SQLite is the one of the wheel pysqlite3, in WAL mode with full synchronisation.

    Raises:
        DatabaseAddressError: The address is none of a database that is supported.
        DriverMissingError: The extra for PostgreSQL is not installed.
        SqliteTooOldError: The SQLite at hand may damage an index that two processes write.
        NetworkFolderError: Its file would be on a network file system, where two processes damage it too.
    """
    parsed = parse_address(url)
    if not is_sqlite(parsed):
        return engine_of_server(parsed)
    require_safe_sqlite(pysqlite3.dbapi2.sqlite_version_info)
    _require_local_folder(parsed)
    arguments = {"timeout": BUSY_TIMEOUT_S}
    # The connection that was used last is used next: one whose page cache is warm, and the others need not fill theirs.
    engine = create_engine(
        parsed,
        module=pysqlite3.dbapi2,
        connect_args=arguments,
        hide_parameters=True,
        pool_use_lifo=True,
        **_SQLITE_POOL,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def open_what_stays(engine: Engine) -> None:
    """Open the connections that the pool keeps, so that a process holds from its first minute what it will ever hold.

    Raises:
        StorageError: The index cannot be opened.
    """
    with _errors_in_our_words(engine), ExitStack() as opened:
        for _ in range(engine.pool.size() if isinstance(engine.pool, QueuePool) else 0):
            opened.enter_context(engine.connect())


def require_safe_sqlite(version: tuple[int, ...]) -> None:
    """Return if this version of SQLite may be written by two processes.

    Raises:
        SqliteTooOldError: It may not.
    """
    if version < SAFE_SQLITE:
        raise SqliteTooOldError("found " + ".".join(str(part) for part in version))


def _require_local_folder(url: URL) -> None:
    folder = Path(url.database or "").parent
    if kind := network_file_system_of(folder):
        where = f"{folder} is on {kind}"
        raise NetworkFolderError(where)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that sees one state of the index and changes nothing."""
    with _errors_in_our_words(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that is alone in writing; it is on disk when the block has ended."""
    with (
        _errors_in_our_words(engine),
        engine.connect().execution_options(takes_write_lock=True) as connection,
        connection.begin(),
    ):
        if has_row_locks(connection):
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
        yield connection


def write_rows(engine: Engine, change: Callable[[Connection], Made]) -> Made:
    """Make a change beside other writers, on disk when this returns; on SQLite it is alone as in `writing`.

    Args:
        engine: Of the index.
        change: Locks each row before it decides by it, studies first in the order of their UIDs. Called again in a new
            transaction when another one was there first, so it keeps nothing but what it returns.
    """
    if engine.dialect.name == "sqlite":
        with writing(engine) as connection:
            return change(connection)
    with _errors_in_our_words(engine):
        return _written_beside_others(engine, change)


def _written_beside_others(engine: Engine, change: Callable[[Connection], Made]) -> Made:
    for _ in range(_BEGINNINGS - 1):
        try:
            return _written_once(engine, change)
        except DBAPIError as error:
            if not may_begin_again(error.orig):
                raise
    return _written_once(engine, change)


def _written_once(engine: Engine, change: Callable[[Connection], Made]) -> Made:
    with engine.connect() as connection, connection.begin():
        return change(connection)


def write_prepared(engine: Engine, change: Callable[[DriverConnection], Made | None]) -> Made | None:
    """Make a change by prepared statements, on disk when this returns.

    Args:
        engine: Of the index.
        change: Makes it on the connection of the driver, as `write_rows` says; None if it did not, and then nothing is
            written.

    Returns:
        What the change gave; None also where another transaction was in the way.
    """
    with _errors_in_our_words(engine):
        if engine.dialect.name == "sqlite":
            return _written_in_turn(engine, change)
        return written_in_pipeline(engine, change)


def _written_in_turn(engine: Engine, change: Callable[[DriverConnection], Made | None]) -> Made | None:
    """Alone in writing, on SQLite.

    Processes that write so take turns by a lock of the system on the folder of the index, which wakes the next one at
    once: where SQLite finds another writer, it sleeps for whole milliseconds and looks again.
    """
    with turn_at(Path(engine.url.database or "").parent, within_s=TURN_TIMEOUT_S):
        try:
            # What was not committed is rolled back as the connection goes back to the pool.
            with closing(engine.raw_connection()) as connection:
                driver: DriverConnection = connection.driver_connection
                driver.execute("BEGIN IMMEDIATE")
                made = change(driver)
                driver.execute("ROLLBACK" if made is None else "COMMIT")
                return made
        except pysqlite3.dbapi2.Error as error:
            raise _meaning_of_sqlite(error) from error


def _prepare_sqlite(dbapi_connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # SQLAlchemy, "Serializable isolation / Savepoints / Transactional DDL": the driver must not begin by itself.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.execute("PRAGMA journal_mode = WAL")
    mode = cursor.fetchone()
    cursor.close()
    if mode != ("wal",):
        raise NoWalError


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail at once with BUSY when another wrote between.
    writes = connection.get_execution_options().get("takes_write_lock", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _errors_in_our_words(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _meaning_of(error) from error
    except NoConnectionError as error:
        # Each waits for the database, for nobody here keeps one for longer.
        busy = IndexBusyError if engine.dialect.name == "sqlite" else IndexUnreachableError
        raise busy(_ALL_IN_USE) from error
    except SQLAlchemyError as error:
        raise IndexFailedError(type(error).__name__) from error


def _meaning_of(error: DBAPIError) -> IndexStateError | DiskError:
    if getattr(error.orig, "sqlite_errorcode", None) is not None:
        return _meaning_of_sqlite(error.orig)
    return meaning_of(error.orig, is_lost=error.connection_invalidated)(first_line(error.orig))


def _meaning_of_sqlite(error: BaseException | None) -> IndexStateError | DiskError:
    """Of an error as the driver raised it."""
    code = getattr(error, "sqlite_errorcode", 0)
    return _MEANING_OF_SQLITE_CODE.get(code & 0xFF, IndexFailedError)(first_line(error))
