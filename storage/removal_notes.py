"""Notes on disk of files whose rows go: who makes the index anew learns from them alone what was to be removed.

data_dir/removals/<random>.planned   on disk before the rows go; says nothing about whether they went
data_dir/removals/<random>.due       the rows are gone for good
"""

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from storage.disk import disk_errors, make_folder, sync_file, sync_folder

Asked: TypeAlias = Callable[[Sequence[str]], bool]
"""Whether the rows of these files are known to be gone."""

_FOLDER = "removals"
_PLANNED, _DUE = ".planned", ".due"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedFile:
    """One file or folder that is to be removed."""

    path: str
    """Below the data folder."""
    inode: int
    mtime_ns: int
    """With the inode it names this very file: an inode number is given to another file once it is free."""

    def is_there(self, data_dir: Path) -> bool:
        """Whether the file under this name is the one that was meant; the same bytes may have arrived anew."""
        return _noted(data_dir / self.path, data_dir) == self


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalNote:
    """What is removed with one study."""

    path: Path
    """Of the note."""
    files: tuple[NotedFile, ...]

    @property
    def is_due(self) -> bool:
        """Whether the rows are known to be gone."""
        return self.path.suffix == _DUE

    @property
    def paths(self) -> tuple[str, ...]:
        """What it names, below the data folder."""
        return tuple(file.path for file in self.files)

    def file_at(self, path: str) -> NotedFile | None:
        """What it says of one path."""
        return next((file for file in self.files if file.path == path), None)

    def forget(self, path: str) -> None:
        """Say nothing of one path any more: what was meant is gone, and another file is in its place.

        Raises:
            DiskError: The disk refuses; the note stays as it is.
        """
        _write(self.path, [file for file in self.files if file.path != path])

    def confirm(self) -> None:
        """Say that the rows are gone; it is on disk when this returns.

        Raises:
            DiskError: The disk refuses; the note still says what was planned.
        """
        with disk_errors():
            self.path.rename(self.path.with_suffix(_DUE))
            sync_folder(self.path.parent)

    def drop(self) -> None:
        """Remove the note, for nothing of it is to be removed any more.

        Raises:
            DiskError: The disk refuses.
        """
        with disk_errors():
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)


def noted_files(data_dir: Path, paths: Iterable[Path]) -> tuple[NotedFile, ...]:
    """What lies under these names below the data folder, as it is now; nothing for what is not there."""
    return tuple(noted for path in paths if (noted := _noted(path, data_dir)))


def plan_removal(data_dir: Path, files: Sequence[NotedFile]) -> RemovalNote:
    """Note files that are to be removed; the note is on disk when this returns.

    Raises:
        DiskError: It is not; no row may go.
    """
    note = RemovalNote(path=data_dir / _FOLDER / f"{secrets.token_hex(16)}{_PLANNED}", files=tuple(files))
    _write(note.path, files)
    return note


def removal_notes(data_dir: Path) -> Iterator[RemovalNote]:
    """Every note that is there; what cannot be read names no file.

    Raises:
        DiskError: The disk refuses.
    """
    with disk_errors():
        paths = sorted(data_dir.glob(f"{_FOLDER}/*"))
    for path in paths:
        files: tuple[NotedFile, ...] = ()
        with suppress(OSError, ValueError, TypeError):
            files = tuple(NotedFile(**file) for file in json.loads(path.read_text(encoding="utf-8")))
        yield RemovalNote(path=path, files=files)


def finish_removals(data_dir: Path, *, remove: Callable[[Path], None], are_rows_gone: Asked) -> int:
    """Remove what the notes name, then the notes; returns how many files and folders that were.

    Only for who holds the locks of the data folder, and before an index is made of its files. A file stays where another
    one came in its place, or where nothing says that its rows had gone: it is taken in again, and not lost.

    Args:
        data_dir: That holds the files.
        remove: Removes a file or a folder.
        are_rows_gone: Asked of a note that only says what was planned.

    Raises:
        DiskError: The disk refuses; the notes stay.
    """
    count = 0
    for note in removal_notes(data_dir):
        due = note.files if note.is_due or are_rows_gone(note.paths) else ()
        gone = [data_dir / file.path for file in due if file.is_there(data_dir)]
        with disk_errors():
            for path in gone:
                remove(path)
            for folder in {path.parent for path in gone}:
                sync_folder(folder)
        note.drop()
        count += len(gone)
    return count


def _write(note: Path, files: Iterable[NotedFile]) -> None:
    """Put a note in its place, whole and on disk."""
    partial = note.with_suffix(".partial")
    with disk_errors():
        make_folder(note.parent)
        partial.write_text(json.dumps([asdict(file) for file in files]), encoding="utf-8")
        sync_file(partial)
        partial.rename(note)
        sync_folder(note.parent)


def _noted(path: Path, data_dir: Path) -> NotedFile | None:
    """The file that lies there; None where there is none."""
    try:
        known = os.lstat(path)
    except FileNotFoundError:
        return None
    return NotedFile(path=str(path.relative_to(data_dir)), inode=known.st_ino, mtime_ns=known.st_mtime_ns)
