"""The files of the audit trail: each line holds the hash of the one before.

folder/
├── audit.lock                held while a line is appended
├── audit.jsonl               the lines that are appended to
├── audit-<first number>.jsonl  what was put aside when it had grown large
├── audit.head                number and hash of the last line: tells when the end is cut off
└── syslog.position           how far the server has it
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from storage.disk import give_to_owner, sync_folder
from storage.turns import lock

FILE_MODE = 0o600
"""Only the user of the service: the trail names patients."""
FOLDER_MODE = 0o700
NO_LINE_BEFORE = "0" * 64
_BLOCK_BYTES = 64 * 1024
LOCK_TIMEOUT_S = 10.0
"""How long another process may keep the lock, which it needs for one line; a service that stops then waits no longer either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the trail."""

    number: int
    """From 1 on, without gaps."""
    previous: str
    """SHA-256 of the line before, its line feed left out."""
    message: str
    """XML of PS3.15 A.5.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last line that was appended."""

    number: int
    hash: str


class Chain:
    """Appends lines; usable from several threads and processes at once."""

    def __init__(self, folder: Path, *, maximum_file_bytes: int) -> None:
        """Use the folder, which is made with the first line."""
        self.folder = folder
        self._maximum_file_bytes = maximum_file_bytes
        self._current = folder / "audit.jsonl"

    def append(self, message: str, *, within_s: float = LOCK_TIMEOUT_S) -> Line:
        """Append a message; it is on disk when this returns.

        Args:
            message: XML.
            within_s: How long another process may keep the lock.

        Raises:
            TimeoutError: It kept it for longer; `strerror` says what to do.
            OSError: The message is not on disk.
        """
        make_private_folder(self.folder)
        with _locked(self.folder / "audit.lock", within_s=within_s):
            self._put_large_file_aside()
            head = self._last()
            line = Line(number=head.number + 1, previous=head.hash, message=message)
            raw = encode_line(line)
            self._write(raw)
            write_small_file(self.folder / "audit.head", {"number": line.number, "hash": hash_of(raw)})
        return line

    def _write(self, raw: bytes) -> None:
        is_new = not self._current.exists()
        descriptor = _open_private(self._current, os.O_RDWR | os.O_APPEND)
        try:
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            data = memoryview((b"\n" if is_torn else b"") + raw + b"\n")
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(self.folder)

    def _put_large_file_aside(self) -> None:
        if not self._current.exists() or self._current.stat().st_size < self._maximum_file_bytes:
            return
        first = next((line.number for line in map(parse_line, raw_lines(self._current)) if line), None)
        if first is not None:
            self._current.rename(self.folder / f"audit-{first:010}.jsonl")
            sync_folder(self.folder)

    def _last(self) -> Head:
        """Number and hash of the last line, of whatever file."""
        for path in reversed(trail_files(self.folder)):
            if raw := last_raw_line(path):
                if line := parse_line(raw):
                    return Head(number=line.number, hash=hash_of(raw))
                # A crash cut this line; it is chained all the same, the numbers go on behind the last whole one.
                whole = [line.number for line in map(parse_line, raw_lines(path)) if line]
                return Head(number=max(whole, default=self._number_before(path)), hash=hash_of(raw))
        return Head(number=0, hash=NO_LINE_BEFORE)

    def _number_before(self, path: Path) -> int:
        """Number of the last whole line in the files before one."""
        before = [one for one in trail_files(self.folder) if one != path]
        last = parse_line(last_raw_line(before[-1])) if before else None
        return last.number if last else 0


def trail_files(folder: Path) -> list[Path]:
    """The files of a trail, oldest first."""
    current = folder / "audit.jsonl"
    return [*sorted(folder.glob("audit-*.jsonl")), *([current] if current.exists() else [])]


def open_files(folder: Path) -> Iterator[tuple[str, BinaryIO]]:
    """The files of a trail by name, oldest first, each open while it is the one; whole up to where it stood at the first.

    The file that is appended to is opened before the others are listed, so that one which is put aside meanwhile is
    read once, and the one that follows it does not take its place.

    Raises:
        OSError: One cannot be read.
    """
    current = folder / "audit.jsonl"
    with _open_if_there(current) as last:
        was_put_aside = False
        for path in sorted(folder.glob("audit-*.jsonl")):
            with path.open("rb") as file:
                was_put_aside |= last is not None and os.path.sameopenfile(file.fileno(), last.fileno())
                yield path.name, file
        if last and not was_put_aside:
            yield current.name, last


def _open_if_there(path: Path) -> AbstractContextManager[BinaryIO | None]:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return nullcontext()


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file without their line feeds."""
    with path.open("rb") as file:
        for raw in file:
            yield raw.removesuffix(b"\n")


def last_raw_line(path: Path) -> bytes:
    """The last line of a file without its line feed, read from the end; empty where there is none."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        tail = b""
        while size and b"\n" not in tail.removesuffix(b"\n"):
            start = max(0, size - _BLOCK_BYTES)
            file.seek(start)
            tail = file.read(size - start) + tail
            size = start
    return tail.removesuffix(b"\n").rpartition(b"\n")[2]


def encode_line(line: Line) -> bytes:
    """A line as it is written, without its line feed."""
    return json.dumps({"number": line.number, "previous": line.previous, "message": line.message}).encode()


def parse_line(raw: bytes) -> Line | None:
    """A line that was read; None for what is none."""
    try:
        found = json.loads(raw)
        number, previous, message = found["number"], found["previous"], found["message"]
    except (ValueError, TypeError, KeyError):
        return None
    if not isinstance(number, int) or not isinstance(previous, str) or not isinstance(message, str):
        return None
    return Line(number=number, previous=previous, message=message)


def hash_of(raw: bytes) -> str:
    """What the next line holds of this one."""
    return hashlib.sha256(raw).hexdigest()


def read_head(folder: Path) -> Head | None:
    """The last line as it was noted when it was appended; None where there is no readable note."""
    try:
        found = json.loads((folder / "audit.head").read_bytes())
        return Head(number=int(found["number"]), hash=str(found["hash"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_small_file(path: Path, content: Mapping[str, object]) -> None:
    """Replace a small file as a whole, also in a power cut."""
    partial = path.with_name(f"{path.name}.new")
    descriptor = _open_private(partial, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, json.dumps(dict(content)).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.rename(path)


def make_private_folder(folder: Path) -> None:
    """Make the folder for its owner alone; one that root makes belongs to whom the folder above belongs to."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    give_to_owner(folder)


def _open_private(path: Path, flags: int) -> int:
    """Descriptor of a file that only its owner can read; made where it is missing."""
    is_new = not path.exists()
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    if is_new:
        os.fchmod(descriptor, FILE_MODE)
        give_to_owner(path)
    return descriptor


@contextmanager
def _locked(path: Path, *, within_s: float) -> Iterator[None]:
    descriptor = _open_private(path, os.O_RDWR)
    lock(descriptor, str(path), within_s=within_s)
    try:
        yield
    finally:
        os.close(descriptor)
