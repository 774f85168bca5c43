"""What becomes of an index that is missing or damaged: the node does not start beside it, and its file is kept aside."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

from sqlalchemy import ColumnElement, inspect, literal, select, true

from storage import beats
from storage.address import is_sqlite, parse_address
from storage.database import open_engine, reading, writing
from storage.disk import disk_errors, sync_folder
from storage.errors import (
    IndexDamagedError,
    IndexEmptyError,
    IndexHalfFilledError,
    IndexLostError,
    NoIndexYetError,
)
from storage.models import ProcessBeat, Study

_BESIDE = ("-wal", "-shm", "")
"""What belongs to an index file, the file itself last (sqlite.org/wal.html, "the WAL file")."""

_FORM_TABLE = "alembic_version"
"""Alembic's own (alembic.sqlalchemy.org, "EnvironmentContext.configure", version_table)."""

_FILLING = "reindex"
"""Whose sign of life stands in an index on a server for as long as it is not filled."""


def index_file(url: str) -> Path | None:
    """The file of an index; None where it is on a database server."""
    parsed = parse_address(url)
    return Path(parsed.database) if is_sqlite(parsed) and parsed.database else None


def refuse_lost_index(url: str, data_dir: Path) -> None:
    """Return unless the index is gone while received files are there: a new one would know nothing of them.

    Raises:
        IndexLostError: It is; IndexEmptyError where its database is there, and another one or begun anew; IndexHalfFilledError
            where it was begun to be filled from the files, and was not.
        StorageError: The database cannot be read.
    """
    if index_file(url) is not None:
        if is_missing(url) and has_received_files(data_dir):
            raise IndexLostError
    elif is_half_filled(url):
        raise IndexHalfFilledError
    elif has_received_files(data_dir) and not was_used(url):
        raise IndexEmptyError


def has_received_files(data_dir: Path) -> bool:
    """Whether any is there; the index need not know it."""
    return any(data_dir.glob("objects/*/*.dcm"))


def was_used(url: str) -> bool:
    """Whether a node ever ran on the index of a server.

    One that has no study may be sound all the same: retention deleted the last one and its files go next, or the server
    went away while the first object came.

    Raises:
        StorageError: The database cannot be read.
    """
    return knows_study(url) or _has_row(url, ProcessBeat)


def knows_study(url: str) -> bool:
    """Whether the index has any study; also of an older version, or before it is made.

    Raises:
        StorageError: The database cannot be read.
    """
    return _has_row(url, Study)


def is_half_filled(url: str) -> bool:
    """Whether the index of a server was begun to be filled from the files, and this did not come to its end.

    Of what is in it nothing says yet which studies are not to be analysed, nor that they are whole.

    Raises:
        StorageError: The database cannot be read.
    """
    return _has_row(url, ProcessBeat, ProcessBeat.process == _FILLING)


@contextmanager
def being_filled(url: str, *, at: datetime) -> Iterator[None]:
    """Say in the index of a server that it is being filled, until the block has come to its end; what ends it before lets that stand.

    Raises:
        StorageError: The database cannot be written.
    """
    engine = open_engine(url)
    try:
        with writing(engine) as connection:
            beats.leave(connection, _FILLING, "fills the index from the files", machine="", needs_restart=(), at=at)
        yield
        with writing(engine) as connection:
            beats.end(connection, _FILLING)
    finally:
        engine.dispose()


def _has_row(url: str, model: type[Study | ProcessBeat], condition: ColumnElement[bool] | None = None) -> bool:
    wanted = select(literal(1)).select_from(model).where(true() if condition is None else condition).limit(1)
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            return connection.execute(wanted).first() is not None
    except NoIndexYetError:
        return False
    finally:
        engine.dispose()


def is_missing(url: str) -> bool:
    """Whether an index that is no server's has no file, an empty one, or a database in which no index was ever made.

    An empty file that any program opened as a database is none any more: it holds the header of one (sqlite.org/wal.html).

    Raises:
        StorageError: The file cannot be read.
    """
    database = index_file(url)
    if database is None:
        return False
    return not database.is_file() or database.stat().st_size == 0 or not _has_form(url)


def _has_form(url: str) -> bool:
    """Whether a database says of which form its index is, as one does from the transaction on that makes it; so may a damaged one."""
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            return inspect(connection).has_table(_FORM_TABLE)
    except IndexDamagedError:
        return True
    finally:
        engine.dispose()


def is_damaged(url: str) -> bool:
    """Whether the database finds itself damaged (sqlite.org/pragma.html#pragma_integrity_check); it is read whole.

    Raises:
        StorageError: It cannot be read for another reason.
    """
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            return str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()) != "ok"
    except IndexDamagedError:
        return True
    finally:
        engine.dispose()


def put_in_place(new: Path, database: Path, *, at: datetime) -> Path | None:
    """Keep an index file aside with what belongs to it, put another in its place.

    Args:
        new: Closed, with nothing beside it.
        database: What it replaces; may be missing.
        at: Becomes part of the name of the old one, with a number where that name is taken.

    Returns:
        Where the old one is; None when there was none.

    Raises:
        DiskError: The folder cannot be written.
    """
    with disk_errors():
        aside = _free_name(database.with_name(f"{database.name}.aside-{at:%Y%m%dT%H%M%SZ}"))
        for suffix in _BESIDE:
            old = database.with_name(database.name + suffix)
            if old.exists():
                old.rename(aside.with_name(aside.name + suffix))
        new.rename(database)
        sync_folder(database.parent)
    return aside if aside.exists() else None


def _free_name(wanted: Path) -> Path:
    """The name, or the next one with a number, under which nothing lies: what was put aside before is all that is left of it."""
    names = (wanted.with_name(f"{wanted.name}-{number}") if number > 1 else wanted for number in count(1))
    return next(name for name in names if not any(name.with_name(name.name + suffix).exists() for suffix in _BESIDE))
