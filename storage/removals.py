"""Removes files whose rows are gone, each exactly once, also after a crash, and never one that arrived anew."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, exists, insert, select, update

from storage.database import reading, writing
from storage.disk import disk_errors, make_folder, sync_folder
from storage.failpoints import reach
from storage.models import Instance, ResultObject
from storage.removal_models import Removal
from storage.removal_notes import NotedFile, RemovalNote, removal_notes

AGAIN_AFTER = timedelta(minutes=10)
"""Longer than any object takes from its place on the disk to its row."""

_BATCH = 500
_DOOMED = "doomed%"
"""Before the name of what was moved aside and is the one that was meant."""


def batched(paths: Sequence[str], size: int) -> Iterator[list[str]]:
    """Pieces of at most so many."""
    rest = iter(paths)
    while piece := list(islice(rest, size)):
        yield piece


def is_as_received(file: NotedFile, received_at: datetime) -> bool:
    """Whether a file was written when its row says that it was received.

    One that was not came again, perhaps just now: its row is then still to come, and its sender is told Success. No
    clock of today is asked, so none that was set is believed; a folder that was copied without its times looks the same.
    """
    return abs(file.mtime_ns / 1e9 - received_at.timestamp()) < AGAIN_AFTER.total_seconds()


def note_removal(connection: Connection, file: NotedFile, *, at: datetime) -> None:
    """Note a file or folder that is to be removed, not before an instant, once this transaction is on disk."""
    connection.execute(delete(Removal).where(Removal.path == file.path))
    connection.execute(insert(Removal).values(path=file.path, inode=file.inode, at=at))


def remove_files(engine: Engine, data_dir: Path, *, now: Callable[[], datetime]) -> int:
    """Remove what was noted; returns how many files and folders that were. Only for who holds the lock `retention`.

    The listener may put the same bytes under the same name at any moment, and commit the row afterwards. So a file is
    moved aside first; where it is another one than was meant, or has a row again, it is moved back.

    Raises:
        DiskError: The disk refuses; the rest is removed the next time.
        StorageError: The index cannot be read or written.
    """
    aside = bring_back(data_dir)
    _settle_notes(engine, data_dir)
    with reading(engine) as connection:
        due = connection.execute(select(Removal.path, Removal.inode).where(Removal.at <= now())).all()
    removed, folders = 0, set()
    again = _with_rows(engine, [path for path, _ in due], data_dir)
    notes = {path: note for note in removal_notes(data_dir) for path in note.paths}
    for path, inode in due:
        if path in again:
            continue
        with disk_errors():
            is_gone = _removed(data_dir / path, aside, _Meant(inode=inode, note=notes.get(path)))
        if is_gone is None:
            _put_off(engine, path, data_dir / path, at=now() + AGAIN_AFTER)
            if path in notes:
                notes[path].forget(path)
            continue
        removed += is_gone
        folders.add((data_dir / path).parent)
    with disk_errors():
        for folder in folders:
            if folder.is_dir():
                sync_folder(folder)
    gone = {path for path, _ in due if not os.path.lexists(data_dir / path)}
    for some in batched(sorted(gone | again), _BATCH):
        with writing(engine) as connection:
            connection.execute(delete(Removal).where(Removal.path.in_(some)))
    _settle_notes(engine, data_dir)
    return removed


def bytes_to_be_removed(engine: Engine, data_dir: Path) -> int:
    """Size of the received files that are noted and still there: room that is free soon.

    Raises:
        StorageError: The index cannot be read.
    """
    with reading(engine) as connection:
        paths = connection.execute(select(Removal.path).where(Removal.path.startswith("objects/"))).scalars().all()
    size_bytes = 0
    for path in paths:
        with suppress(OSError):
            size_bytes += (data_dir / path).stat().st_size
    return size_bytes


def paths_to_be_removed(engine: Engine, paths: Sequence[str]) -> set[str]:
    """Those of these paths that the index notes: their rows are gone.

    Raises:
        StorageError: The index cannot be read.
    """
    found: set[str] = set()
    with reading(engine) as connection:
        for some in batched(paths, _BATCH):
            found |= set(connection.execute(select(Removal.path).where(Removal.path.in_(some))).scalars())
    return found


def bring_back(data_dir: Path) -> Path:
    """Put back what a process that ended had moved aside, for it is looked at anew; returns the folder for that.

    Raises:
        DiskError: The disk refuses.
    """
    aside = data_dir / "removed"
    with disk_errors():
        make_folder(aside)
        for place in aside.iterdir():
            path = data_dir / place.name.replace("%", "/")
            if place.name.startswith(_DOOMED) or path.exists():
                remove(place)
            else:
                place.rename(path)
    return aside


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _settle_notes(engine: Engine, data_dir: Path) -> None:
    """Drop the notes on disk of which nothing is to be removed any more, or whose rows never went; confirm the others."""
    for note in removal_notes(data_dir):
        due = paths_to_be_removed(engine, note.paths)
        if not due:
            note.drop()
        elif not note.is_due and due == set(note.paths):
            note.confirm()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meant:
    """The file that is to be removed under a name."""

    inode: int
    note: RemovalNote | None

    def is_at(self, place: Path, path: str) -> bool:
        """Whether it lies there; a file that came after it was gone may have got its inode, but not its time."""
        known = place.stat()
        noted = self.note.file_at(path) if self.note else None
        is_younger = noted is not None and noted.inode == self.inode and noted.mtime_ns != known.st_mtime_ns
        return known.st_ino == self.inode and not (is_younger and place.is_file())


def _removed(path: Path, aside: Path, meant: _Meant) -> bool | None:
    """Remove a file; False where there was none, None where it is another one, which is left."""
    # The name says where it belongs, should this process end before it is moved back.
    name = str(path.relative_to(aside.parent))
    place = aside / name.replace("/", "%")
    try:
        path.rename(place)
    except FileNotFoundError:
        return False
    if not meant.is_at(place, name):
        place.rename(path)
        return None
    # A folder goes piece by piece: what is left of it after a crash must not come back.
    doomed = place.rename(aside / f"{_DOOMED}{place.name}")
    remove(doomed)
    reach("retention.file_gone")
    return True


def _with_rows(engine: Engine, paths: Sequence[str], data_dir: Path) -> set[str]:
    """Those that the index names again, or of whose folder it names a file."""
    found: set[str] = set()
    files = [path for path in paths if path.startswith("objects/")]
    with reading(engine) as connection:
        for some in batched(files, _BATCH):
            found |= set(
                connection.execute(select(Instance.relative_path).where(Instance.relative_path.in_(some))).scalars()
            )
        for path in set(paths) - set(files):
            in_folder = exists().where(ResultObject.path.startswith(f"{data_dir / path}/", autoescape=True))
            found |= {path} if connection.execute(select(in_folder)).scalar_one() else set()
    return found


def _put_off(engine: Engine, path: str, file: Path, *, at: datetime) -> None:
    """Look again at a file that came in the place of the one that was meant: by then it has its row, or never will."""
    try:
        inode = file.stat().st_ino
    except FileNotFoundError:
        return
    with writing(engine) as connection:
        connection.execute(update(Removal).where(Removal.path == path).values(inode=inode, at=at))
