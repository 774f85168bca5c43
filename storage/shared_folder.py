"""Sees to it that every machine of an index has the same data folder, at the same place.

The folder carries a file with a token, the index has the same token. A machine on which the folder is not mounted, or another
one is, would take objects that no other machine finds.
"""

import os
import secrets
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select

from storage.database import AnyRow, reading, writing
from storage.disk import disk_errors, make_folder, open_file, sync_folder
from storage.errors import SharedFolderError
from storage.models import Instance
from storage.mounts import network_file_system_of, why_not_shareable
from storage.shared_models import SharedFolder

MARK = "shared-folder.id"
"""File in the data folder."""


def join_shared_folder(engine: Engine, data_dir: Path) -> None:
    """Return if this is the folder that all machines of the index share; the first machine marks it.

    Args:
        engine: Of the index.
        data_dir: Of this machine.

    Raises:
        SharedFolderError: It is another folder, is at another place, or is on a file system that cannot be shared.
        DiskError: The folder cannot be read or written.
        StorageError: The index cannot be read or written.
    """
    if why := why_not_shareable(data_dir):
        raise SharedFolderError(why)
    with writing(engine) as connection:
        known, token = _known(connection), _token_of(data_dir)
        if known is not None:
            _require_same(known, token, data_dir)
            return
        _require_files(connection, data_dir)
        values = {"token": token or _marked(data_dir), "path": str(data_dir)}
        connection.execute(insert(SharedFolder).values(**values))


def refuse_foreign_folder(engine: Engine, data_dir: Path) -> None:
    """Return if this folder may be used by one machine alone: no other one is shared by the machines of the index.

    Raises:
        SharedFolderError: One is, or this one is on a network file system.
        DiskError: The folder cannot be read.
        StorageError: The index cannot be read.
    """
    if kind := network_file_system_of(data_dir):
        why = f"{data_dir} is on {kind}: put it on a local disk, or set [storage].shared = true"
        raise SharedFolderError(why)
    with reading(engine) as connection:
        known = _known(connection)
    if known is not None and _token_of(data_dir) != known.token:
        why = f"the machines of this index share {known.path}: set [storage].shared = true here too"
        raise SharedFolderError(why)


def refuse_other_folder(engine: Engine, data_dir: Path) -> None:
    """Return unless the machines of the index share another folder than this one; nothing is changed.

    Raises:
        SharedFolderError: They do, or this one is not mounted.
        DiskError: The folder cannot be read.
        StorageError: The index cannot be read.
    """
    with reading(engine) as connection:
        known = _known(connection)
    if known is not None:
        _require_same(known, _token_of(data_dir), data_dir)


def _known(connection: Connection) -> AnyRow | None:
    """The folder that the machines of the index share; None where they share none, as in an index of before there was one."""
    if not inspect(connection).has_table(SharedFolder.__tablename__):
        return None
    return connection.execute(select(SharedFolder)).one_or_none()


def _token_of(data_dir: Path) -> str:
    """What the folder is marked with; empty where it is not."""
    with disk_errors():
        try:
            return (data_dir / MARK).read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return ""


def _require_same(known: AnyRow, token: str, data_dir: Path) -> None:
    if not token:
        why = f"{data_dir} lacks the file {MARK} of the folder that the machines of this index share: is it mounted?"
        raise SharedFolderError(why)
    if token != known.token:
        why = f"{data_dir} is a folder of other machines: mount the one of this index"
        raise SharedFolderError(why)
    if str(data_dir) != known.path:
        why = f"every machine must have the folder at {known.path}, this one has it at {data_dir}"
        raise SharedFolderError(why)


def _require_files(connection: Connection, data_dir: Path) -> None:
    """That the newest file of the index is here, when the folder becomes the shared one."""
    newest = select(Instance.relative_path).order_by(Instance.id.desc()).limit(1)
    path = connection.execute(newest).scalar_one_or_none()
    if path is not None and not (data_dir / path).exists():
        why = f"{data_dir} has not the files of this index: mount or copy the folder that has them"
        raise SharedFolderError(why)


def _marked(data_dir: Path) -> str:
    """Mark the folder; the token, which is on disk when this returns."""
    token = secrets.token_hex(16)
    with disk_errors():
        make_folder(data_dir)
        part = data_dir / f"{MARK}.new"
        descriptor = open_file(part, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{token}\n")
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(data_dir / MARK)
        sync_folder(data_dir)
    return token
