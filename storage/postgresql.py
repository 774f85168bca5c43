"""PostgreSQL's own ways: how a connection is made, what its error codes mean, how one answer serves many statements."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import PoolProxiedConnection

from storage.errors import (
    DriverMissingError,
    IndexBusyError,
    IndexFailedError,
    IndexStateError,
    IndexUnreachableError,
    NoIndexYetError,
)

Made = TypeVar("Made")

_POOL: dict[str, Any] = {
    "pool_pre_ping": True,
    "pool_size": 10,
    "max_overflow": 20,
    "pool_timeout": 10,
    "hide_parameters": True,
}
"""A connection that broke while it was idle is replaced before it is used; the worker has a thread for each duty."""

_OF_A_CONNECTION: dict[str, str | int] = {
    "application_name": "dicom-node",
    "connect_timeout": 5,
    "keepalives_idle": 4,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 7000,
}
"""A server that is gone without a word is noticed within seconds (PostgreSQL, "Database Connection Control Functions")."""

_BEGIN_AGAIN = frozenset({"40001", "40P01", "23503", "23505"})
"""Another was there first (PostgreSQL, "PostgreSQL Error Codes").

Serialization failure, deadlock, foreign key violation (retention deleted a patient after it was looked up), unique
violation.
"""

_UNREACHABLE_CLASSES = ("08", "57P", "53300")
"""Connection exceptions, a server that shuts down or starts, too many connections."""

_OF_A_CODE: dict[str, type[IndexStateError]] = {
    "40001": IndexBusyError,
    "40P01": IndexBusyError,
    "55P03": IndexBusyError,
    "42P01": NoIndexYetError,
}
"""Serialization failure, deadlock, lock not available; undefined table."""


def engine_of_server(url: URL) -> Engine:
    """Engine for an index on a server; nothing is connected yet.

    Raises:
        DriverMissingError: The extra is not installed, or its library cannot be loaded.
    """
    # What the URL says of these holds.
    arguments = {name: value for name, value in _OF_A_CONNECTION.items() if name not in url.query}
    try:
        return create_engine(url, connect_args=arguments, **_POOL)
    except ImportError as exc:
        raise DriverMissingError(first_line(exc)) from exc


def has_row_locks(connection: Connection) -> bool:
    """Whether others may write beside this transaction; SQLite has one writer."""
    return connection.dialect.name == "postgresql"


def may_begin_again(error: BaseException | None) -> bool:
    """Whether the same transaction may succeed when it is run once more, as it sees what the other one wrote.

    Args:
        error: As the driver raised it.
    """
    return _code_of(error) in _BEGIN_AGAIN


def meaning_of(error: BaseException | None, *, is_lost: bool) -> type[IndexStateError]:
    """What an error of the server means to whoever runs the node.

    Args:
        error: As the driver raised it.
        is_lost: Whether the connection went with it.
    """
    code = _code_of(error)
    if is_lost or code.startswith(_UNREACHABLE_CLASSES) or _has_no_answer(error):
        return IndexUnreachableError
    return _OF_A_CODE.get(code, IndexFailedError)


def first_line(error: BaseException | None) -> str:
    """Of what a database says; the lines below have values, which are a patient's."""
    return next(iter(str(error).splitlines()), "")


def written_in_pipeline(engine: Engine, change: Callable[[Any], Made | None]) -> Made | None:
    """Make a change on a connection of the driver, on disk when this returns.

    Statements whose answer is not looked at go to the server together with the COMMIT, and one answer is waited for
    (psycopg, "Pipeline mode support").

    Args:
        engine: Of the index.
        change: As in `storage.database.write_prepared`.

    Returns:
        What the change gave; None also where another transaction was in the way.

    Raises:
        IndexStateError: The server refused, or does not answer.
    """
    import psycopg  # noqa: PLC0415  # an extra that only those have whose index is on a server

    try:
        with closing(engine.raw_connection()) as connection:
            return _in_pipeline(connection, change)
    except psycopg.Error as error:
        if may_begin_again(error):
            return None
        raise meaning_of(error, is_lost=False)(first_line(error)) from error


def _in_pipeline(connection: PoolProxiedConnection, change: Callable[[Any], Made | None]) -> Made | None:
    """In a transaction; what was not committed is rolled back as the connection goes back to the pool."""
    driver: Any = connection.driver_connection
    try:
        with driver.pipeline():
            made = change(driver)
            driver.execute("ROLLBACK" if made is None else "COMMIT")
    finally:
        if driver.closed:
            connection.invalidate()
    return made


def _has_no_answer(error: BaseException | None) -> bool:
    """Whether the driver never got an answer: its operational errors have no code then."""
    return type(error).__name__ == "OperationalError" and not _code_of(error)


def _code_of(error: BaseException | None) -> str:
    return getattr(error, "sqlstate", None) or ""
