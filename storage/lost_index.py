"""What becomes of an index file that is missing or damaged: the node does not start beside it, and it is kept aside."""

from datetime import datetime
from pathlib import Path

from storage.address import is_sqlite, parse_address
from storage.database import open_engine, reading
from storage.disk import disk_errors, sync_folder
from storage.errors import IndexDamagedError, IndexLostError, NoIndexFileError

_BESIDE = ("-wal", "-shm", "")
"""What belongs to an index file, the file itself last (sqlite.org/wal.html, "the WAL file")."""


def index_file(url: str) -> Path:
    """The file of an index.

    Raises:
        NoIndexFileError: The index is on a database server.
    """
    parsed = parse_address(url)
    if not is_sqlite(parsed) or not parsed.database:
        raise NoIndexFileError
    return Path(parsed.database)


def refuse_lost_index(url: str, data_dir: Path) -> None:
    """Return unless the index is gone while received files are there: a new one would know nothing of them.

    Raises:
        IndexLostError: It is.
    """
    try:
        database = index_file(url)
    except NoIndexFileError:
        return
    if is_missing(database) and any(data_dir.glob("objects/*/*.dcm")):
        raise IndexLostError


def is_missing(database: Path) -> bool:
    """Whether there is no index file, or an empty one."""
    return not database.is_file() or database.stat().st_size == 0


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
        at: Becomes part of the name of the old one.

    Returns:
        Where the old one is; None when there was none.

    Raises:
        DiskError: The folder cannot be written.
    """
    aside = database.with_name(f"{database.name}.aside-{at:%Y%m%dT%H%M%SZ}")
    with disk_errors():
        for suffix in _BESIDE:
            old = database.with_name(database.name + suffix)
            if old.exists():
                old.rename(aside.with_name(aside.name + suffix))
        new.rename(database)
        sync_folder(database.parent)
    return aside if aside.exists() else None
