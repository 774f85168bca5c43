"""PostgreSQL's own ways: how a connection is made, what its error codes mean."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from storage.errors import IndexBusyError, IndexFailedError, IndexStateError, IndexUnreachableError

POOL: dict[str, Any] = {
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

_BEGIN_AGAIN = frozenset({"40001", "40P01", "23505"})
"""Serialization failure, deadlock, unique violation: another was there first (PostgreSQL, "PostgreSQL Error Codes")."""

_UNREACHABLE_CLASSES = ("08", "57P", "53300")
"""Connection exceptions, a server that shuts down or starts, too many connections."""


def connect_arguments(url: URL) -> dict[str, str | int]:
    """For the driver; what the URL says of them holds."""
    return {name: value for name, value in _OF_A_CONNECTION.items() if name not in url.query}


def has_row_locks(connection: Connection) -> bool:
    """Whether others may write beside this transaction; SQLite has one writer."""
    return connection.dialect.name == "postgresql"


def may_begin_again(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when it is run once more, as it sees what the other one wrote."""
    return _code_of(error) in _BEGIN_AGAIN


def meaning_of(error: DBAPIError) -> type[IndexStateError]:
    """What an error of the server means to whoever runs the node."""
    code = _code_of(error)
    if error.connection_invalidated or code.startswith(_UNREACHABLE_CLASSES) or _is_lost(error):
        return IndexUnreachableError
    return IndexBusyError if code in {"40001", "40P01", "55P03"} else IndexFailedError


def _is_lost(error: DBAPIError) -> bool:
    """Whether the driver never got an answer: its operational errors have no code then."""
    return type(error.orig).__name__ == "OperationalError" and not _code_of(error)


def _code_of(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
