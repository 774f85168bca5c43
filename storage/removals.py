"""Removes files whose rows are gone, each exactly once, also after a crash, and never one that arrived anew."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, exists, insert, select, update

from storage.database import reading, writing
from storage.disk import disk_errors, make_folder, sync_folder
from storage.models import Instance, ResultObject
from storage.removal_models import Removal

_AGAIN_AFTER = timedelta(minutes=10)
"""Longer than any object takes from its place on the disk to its row."""

_BATCH = 500


def batched(paths: Sequence[str], size: int) -> Iterator[list[str]]:
    """Pieces of at most so many."""
    rest = iter(paths)
    while piece := list(islice(rest, size)):
        yield piece


def note_removal(connection: Connection, path: Path, *, data_dir: Path, at: datetime) -> None:
    """Note a file or folder below the data folder that is to be removed once this transaction is on disk."""
    relative = str(path.relative_to(data_dir))
    connection.execute(delete(Removal).where(Removal.path == relative))
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        return
    connection.execute(insert(Removal).values(path=relative, inode=inode, at=at))


def remove_files(engine: Engine, data_dir: Path, *, now: Callable[[], datetime]) -> int:
    """Remove what was noted; returns how many files and folders that were.

    The listener may put the same bytes under the same name at any moment, and commit the row afterwards. So a file is
    moved aside first; where it is another one than was meant, or has a row again, it is moved back.

    Raises:
        DiskError: The disk refuses; the rest is removed the next time.
        StorageError: The index cannot be read or written.
    """
    aside = data_dir / "removed"
    with disk_errors():
        make_folder(aside)
        _bring_back(aside, data_dir)
    with reading(engine) as connection:
        due = connection.execute(select(Removal.path, Removal.inode).where(Removal.at <= now())).all()
    removed, folders = 0, set()
    again = _with_rows(engine, [path for path, _ in due], data_dir)
    for path, inode in due:
        if path in again:
            continue
        with disk_errors():
            is_gone = _removed(data_dir / path, aside, inode)
        if is_gone is None:
            _put_off(engine, path, data_dir / path, at=now() + _AGAIN_AFTER)
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
    return removed


def _removed(path: Path, aside: Path, inode: int) -> bool | None:
    """Remove a file; False where there was none, None where it is another one, which is left."""
    # The name says where it belongs, should this process end before it is moved back.
    place = aside / str(path.relative_to(aside.parent)).replace("/", "%")
    try:
        path.rename(place)
    except FileNotFoundError:
        return False
    if place.stat().st_ino != inode:
        place.rename(path)
        return None
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    return True


def _bring_back(aside: Path, data_dir: Path) -> None:
    """Put back what a process that ended had moved aside; it is looked at anew."""
    for place in aside.iterdir():
        path = data_dir / place.name.replace("%", "/")
        if path.exists():
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        else:
            place.rename(path)


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
