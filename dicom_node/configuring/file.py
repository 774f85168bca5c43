"""The configuration file on disk: read whole, replaced whole, by one editor at a time."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.configuring.errors import NotWritableError
from dicom_node.operators import operator_name
from storage.disk import FILE_MODE, open_file, sync_folder


def sha256_of_text(text: str) -> str:
    """Of a text as it is in a file, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else edits the file for as long as the block lasts; others wait.

    Raises:
        NotWritableError: This user may not write beside the file.
    """
    with _said_in_our_words(path):
        descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def may_replace(path: Path) -> bool:
    """Whether this user may put another file in the place of this one, and leave it to its owner and group."""
    seen = path.stat()
    is_ours = seen.st_uid == os.geteuid() and seen.st_gid in {os.getegid(), *os.getgroups()}
    lock = _lock_of(path)
    may_lock = not lock.exists() or os.access(lock, os.R_OK, effective_ids=True)
    return (is_ours or os.geteuid() == 0) and may_lock and may_write_into(path.parent)


def may_write_into(folder: Path) -> bool:
    """Whether this user may make files in a folder, or make the folder where it is missing."""
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    return os.access(existing, os.W_OK | os.X_OK, effective_ids=True)


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _open_lock(path: Path) -> int:
    """The lock; one that another user made, for instance root before the folder was given away, is only read."""
    try:
        return open_file(_lock_of(path), os.O_RDWR)
    except PermissionError:
        return os.open(_lock_of(path), os.O_RDONLY | os.O_CLOEXEC)


def replace_text(path: Path, text: str) -> None:
    """Put a text in the place of that of a file, with its mode and owner; after a power cut it is the old or the new.

    Args:
        path: Of the file; not a link. Where there is none it is made, its group and owner those of the folder if that
            may be given.
        text: Written as UTF-8.

    Raises:
        NotWritableError: This user may not write it, or not leave it to its owner.
    """
    with _said_in_our_words(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                _take_over(stream.fileno(), path)
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(path.parent)


def _take_over(descriptor: int, path: Path) -> None:
    """Mode and owner of the file that is replaced; a new one gets our mode and the owner of its folder."""
    exists = path.exists()
    seen = (path if exists else path.parent).stat()
    own = os.fstat(descriptor)
    if (seen.st_uid, seen.st_gid) != (own.st_uid, own.st_gid) and (exists or os.geteuid() == 0):
        os.fchown(descriptor, seen.st_uid, seen.st_gid)
    os.fchmod(descriptor, seen.st_mode & 0o7777 if exists else FILE_MODE)


@contextmanager
def _said_in_our_words(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        reason = f"the folder {path.parent} does not exist: make it first; nothing was written"
        raise NotWritableError(reason) from error
    except OSError as error:
        reason = (
            f"{path} cannot be written by {operator_name()} ({error.strerror}): nothing was changed; repeat it as the owner "
            "of file and folder, for instance with sudo"
        )
        raise NotWritableError(reason) from error
