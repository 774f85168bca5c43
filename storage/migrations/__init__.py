"""Brings the index to the form that this version reads and writes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from storage.address import is_sqlite, parse_address
from storage.database import open_engine, writing
from storage.disk import disk_errors, make_folder, open_file


def migrate(url: str) -> None:
    """Create the index or bring it up to date; several processes may do so at once, one does it.

    Raises:
        IndexTooNewError: A newer dicom-node wrote it.
        StorageError: The database cannot be opened or written.
    """
    with _one_at_a_time(url):
        engine = open_engine(url)
        try:
            with writing(engine) as connection:
                _upgrade(connection)
        finally:
            engine.dispose()


def newest_revision() -> str:
    """Of the scripts in `versions`, by their names."""
    return max(path.name[1:5] for path in (Path(__file__).parent / "versions").glob("v[0-9][0-9][0-9][0-9]_*.py"))


def _upgrade(connection: Connection) -> None:
    if _is_up_to_date(connection):
        return
    from storage.migrations.upgrade import upgrade  # noqa: PLC0415  # its import is a sixth of the start of a command

    upgrade(connection)


def _is_up_to_date(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return False
    revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return list(revisions) == [newest_revision()]


@contextmanager
def _one_at_a_time(url: str) -> Iterator[None]:
    """Wait for another process that makes the same SQLite file; a server keeps its own order in `writing`."""
    parsed = parse_address(url)
    if not is_sqlite(parsed) or not parsed.database:
        yield
        return
    database = Path(parsed.database)
    with disk_errors():
        make_folder(database.parent)
        lock = open_file(database.with_name(f"{database.name}.migrate.lock"), os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with disk_errors():
            # SQLite gives the mode of this file to the WAL beside it, and as root the owner.
            os.close(open_file(database, os.O_RDWR))
        yield
    finally:
        os.close(lock)
