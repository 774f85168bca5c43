"""Files below the data folder: received objects by their hash, result sets.

data_dir/
├── <role>.lock, <role>-<machine>.lock       held by the process in that role (storage.locks)
├── <owner>.run/                              what a running listener needs files for (dicom_node.listen.ports)
├── incoming/<owner>~<random>-<number>.part  what is being received
├── objects/<2 digits>/<sha256>.dcm          what was received
├── removals/<random>.planned, .due          notes of what is to be removed with a study
├── removed/                                 what is being removed
└── results/<hash of study>/r<revision>/     what was made of a study
"""

import hashlib
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from storage.disk import FILE_MODE, FOLDER_MODE, disk_errors, free_bytes_of, make_folder, sync_file, sync_folder
from storage.failpoints import reach
from storage.records import ResultFile

MAXIMUM_PIECES = 512
"""Half of what the system takes in one call (writev(2), IOV_MAX)."""

_MANY_PIECES = 6
"""PDUs of 128 KiB come as fewer pieces, PDUs of 16 KiB as more."""

_NOBODYS_AFTER_S = 86400.0
"""Nothing takes so long to arrive: what another owner left is what is left of one that is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """A received file in its place, safe against a power cut."""

    relative_path: str
    """Below the data folder."""
    sha256: str
    size_bytes: int


class PartFile:
    """A file that is being received; it hashes what it takes."""

    def __init__(self, path: str) -> None:
        """Create the file, which must not exist.

        Raises:
            DiskError: It cannot be created.
        """
        self._path: Path | None = Path(path)
        self.size_bytes = 0
        self._sha256 = hashlib.sha256()
        with disk_errors():
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            os.fchmod(self._descriptor, FILE_MODE)

    @property
    def sha256(self) -> str:
        """Of everything written so far, in hexadecimal."""
        return self._sha256.hexdigest()

    def write(self, *pieces: bytes | bytearray | memoryview) -> None:
        """Append; many pieces at once are cheapest.

        Args:
            pieces: Of bytes, at most MAXIMUM_PIECES.

        Raises:
            DiskError: The disk is full, failed or read-only; the file is to be given up.
        """
        if len(pieces) > _MANY_PIECES:
            # Each would take and give the lock of the interpreter, which other associations wait for.
            pieces = (b"".join(pieces),)
        for piece in pieces:
            self._sha256.update(piece)
        size_bytes = sum(map(len, pieces))
        self.size_bytes += size_bytes
        with disk_errors():
            written_bytes = os.writev(self._descriptor, pieces)
            if written_bytes < size_bytes:
                self._write_rest(b"".join(pieces)[written_bytes:])
        reach("store.half_written")

    def _write_rest(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def read(self, nr_bytes: int, *, at: int) -> bytes:
        """What was written, so many bytes from a place on, fewer at the end.

        Raises:
            DiskError: The disk failed.
        """
        with disk_errors():
            return os.pread(self._descriptor, nr_bytes, at)

    def sync(self) -> None:
        """Put the content on disk, then close; after an error the file is lost, never synced a second time.

        A second sync of the same descriptor may claim success for pages that the first one dropped
        (wiki.postgresql.org/wiki/Fsync_Errors).
        """
        reach("store.before_fsync")
        try:
            os.fsync(self._descriptor)
        finally:
            self.close()
        reach("store.after_fsync")

    def move(self, place: str) -> None:
        """Give the file its name; nothing happens to one that has it."""
        if self._path:
            self._path.rename(place)
            self._path = None
        reach("store.after_rename")

    def discard(self) -> None:
        """Remove the file, unless it has its place; may be called again."""
        self.close()
        if self._path:
            # What cannot be removed now goes with the sweep of the next start.
            with suppress(OSError):
                self._path.unlink()
            self._path = None

    def close(self) -> None:
        """Close; may be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class ObjectStore:
    """Received objects, addressed by their content: nothing from the wire becomes part of a path."""

    def __init__(self, data_dir: Path, *, owner: str = "listen") -> None:
        """Make the folders that are missing.

        Args:
            data_dir: Of the node.
            owner: Whose files are received: a role, on shared storage with its machine. Without "~".

        Raises:
            DiskError: The data folder cannot be written.
        """
        self._data_dir = data_dir
        self._owner = owner
        self._incoming = data_dir / "incoming"
        self._objects = data_dir / "objects"
        self._parts = f"{self._incoming}/{owner}~{secrets.token_hex(16)}"
        self._numbers = count(1)
        with disk_errors():
            make_folder(self._incoming)
            _make_fan_out(self._objects)

    def new_part(self) -> PartFile:
        """A new file to receive into, to be discarded in the end, whether it was committed or not.

        Raises:
            DiskError: It cannot be created.
        """
        part = PartFile(f"{self._parts}-{next(self._numbers)}.part")
        reach("store.part_open")
        return part

    def commit(self, part: PartFile) -> StoredObject:
        """Put a received file into its place; it is safe against a power cut when this returns.

        Content, name, folder: each is on disk before the next step begins. The same content twice is one object. Those
        who commit at the same time wait together: the file system puts their syncs into one commit of its journal.

        Raises:
            DiskError: It may not be acknowledged.
        """
        sha256 = part.sha256
        folder = f"objects/{sha256[:2]}"
        stored = StoredObject(relative_path=f"{folder}/{sha256}.dcm", sha256=sha256, size_bytes=part.size_bytes)
        with disk_errors():
            part.sync()
            part.move(f"{self._data_dir}/{stored.relative_path}")
            sync_folder(f"{self._data_dir}/{folder}")
        reach("store.after_dirsync")
        return stored

    def absolute_path(self, relative_path: str | Path) -> Path:
        """Where a stored object lies."""
        return self._data_dir / relative_path

    def sweep(self) -> int:
        """Remove what earlier processes of this owner had not received whole; returns how many files that were.

        Only for the process that holds the lock of the owner: a file of a living one would go too. What other owners
        left goes once it is a day old.
        """
        with disk_errors():
            parts = [part for part in self._incoming.glob("*.part") if self._is_left_over(part)]
            for part in parts:
                # A living owner may have put it in its place at last.
                part.unlink(missing_ok=True)
        return len(parts)

    def _is_left_over(self, part: Path) -> bool:
        owner, separator, _ = part.name.rpartition("~")
        if owner == self._owner or not separator:
            return True
        try:
            return time.time() - part.stat().st_mtime > _NOBODYS_AFTER_S
        except FileNotFoundError:
            return False

    def free_bytes(self) -> int:
        """Room that is left for the node on the disk of the data folder."""
        return free_bytes_of(self._data_dir)


class ResultStore:
    """Result sets, each a folder that is whole or absent and never changes."""

    def __init__(self, data_dir: Path) -> None:
        """Keep them below the data folder."""
        self._results = data_dir / "results"

    def keep(
        self, source: Path, files: Sequence[ResultFile], *, study_instance_uid: str, revision: int
    ) -> tuple[ResultFile, ...]:
        """Move a finished folder into its place; it is safe against a power cut when this returns.

        A folder that is there already stays: it may be registered and sent. The new one then gets another name, and the
        index says which counts.

        Args:
            source: The folder, flat, on the same disk as the data folder.
            files: With paths in that folder.
            study_instance_uid: Of the study.
            revision: Of the claim.

        Returns:
            The files with their paths in the final place.

        Raises:
            DiskError: The set is not kept.
        """
        reach("result.before_fsync")
        with disk_errors():
            for path in source.iterdir():
                sync_file(path)
            source.chmod(FOLDER_MODE)
            sync_folder(source)
            place = self._move(source, self.folder_of(study_instance_uid), revision=revision)
        reach("result.after_fsync")
        return tuple(replace(file, path=place / file.path.name) for file in files)

    def folder_of(self, study_instance_uid: str) -> Path:
        """Where the result sets of a study lie; the name is a hash, nothing from the wire becomes part of a path."""
        return self._results / hashlib.sha256(study_instance_uid.encode()).hexdigest()[:32]

    def size_of(self, study_instance_uid: str) -> int:
        """Bytes of all result sets of a study; what goes away meanwhile counts as nothing."""
        size_bytes = 0
        for path in self.folder_of(study_instance_uid).rglob("*"):
            with suppress(OSError):
                size_bytes += path.stat().st_size if path.is_file() else 0
        return size_bytes

    def _move(self, source: Path, study_folder: Path, *, revision: int) -> Path:
        make_folder(study_folder)
        names = (f"r{revision}" if number == 1 else f"r{revision}-{number}" for number in count(1))
        place = next(study_folder / name for name in names if not (study_folder / name).exists())
        source.rename(place)
        sync_folder(study_folder)
        return place


def _make_fan_out(objects: Path) -> None:
    """Make the 256 folders of the objects, their names synced once."""
    make_folder(objects)
    missing = [folder for folder in (objects / f"{number:02x}" for number in range(256)) if not folder.is_dir()]
    for folder in missing:
        folder.mkdir(exist_ok=True)
        folder.chmod(FOLDER_MODE)
    if missing:
        sync_folder(objects)
