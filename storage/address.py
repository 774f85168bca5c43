"""Reads the address of an index: on SQLite, or on PostgreSQL by the driver psycopg, which are the two that are supported."""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import DatabaseAddressError

_SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
_POSTGRESQL = "postgresql+psycopg"


def parse_address(url: str) -> URL:
    """The parts of an address; the driver of PostgreSQL is named where the address leaves it out.

    Args:
        url: Of SQLAlchemy, as `database_url` has it.

    Raises:
        DatabaseAddressError: It is none, or one of another database or driver; the error does not show it, since it may
            have a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        # A port that is no number is a ValueError, whose text quotes it.
        raise DatabaseAddressError from exc
    if parsed.drivername == "postgresql":
        # Which driver that is depends on the version of SQLAlchemy.
        return parsed.set(drivername=_POSTGRESQL)
    if parsed.drivername not in {*_SQLITE, _POSTGRESQL}:
        raise DatabaseAddressError(parsed.drivername)
    return parsed


def is_sqlite(url: URL) -> bool:
    """Whether the index is a file of SQLite."""
    return url.get_backend_name() == "sqlite"
