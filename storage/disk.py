"""Steps on a file system that survive a power cut, and what its errors mean."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from storage.errors import DiskError, DiskFailedError, DiskFullError, DiskReadOnlyError

FILE_MODE = 0o640
"""Owner writes, group reads, nobody else: files hold a patient's data."""
FOLDER_MODE = 0o750

_MEANING_OF_ERRNO: dict[int, type[DiskError]] = {
    errno.ENOSPC: DiskFullError,
    errno.EDQUOT: DiskFullError,
    errno.EIO: DiskFailedError,
    errno.EROFS: DiskReadOnlyError,
    errno.EACCES: DiskReadOnlyError,
    errno.EPERM: DiskReadOnlyError,
}
"""errno(3); the rest is a plain `DiskError`."""


class _DiskErrors:
    """See disk_errors; a class, for each piece of each object passes here."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Translate what ended the block."""
        if isinstance(error, OSError):
            meaning = _MEANING_OF_ERRNO.get(error.errno or 0, DiskError)
            raise meaning(errno.errorcode.get(error.errno or 0, type(error).__name__)) from error


_DISK_ERRORS = _DiskErrors()


def disk_errors() -> _DiskErrors:
    """Says in our words what the file system said in its own, for a block.

    Raises:
        DiskError: One of its tree; the detail names the error, never a path.
    """
    return _DISK_ERRORS


def give_to_owner(path: Path) -> None:
    """Give what root made to whom the folder belongs that it lies in: the service must be able to go on with it.

    A command that an administrator gives as root writes into the folder of the service user. What belongs to somebody
    else already stays theirs, and so does what root may not give (in a container without CAP_CHOWN).
    """
    if os.geteuid() != 0:
        return
    made, above = path.lstat(), path.parent.stat()
    if made.st_uid == 0 and (made.st_uid, made.st_gid) != (above.st_uid, above.st_gid):
        with suppress(PermissionError):
            # Never that to which somebody made the path a link meanwhile.
            os.chown(path, above.st_uid, above.st_gid, follow_symlinks=False)


def open_file(path: Path, flags: int) -> int:
    """Descriptor of a file; where it is missing it is made under our mode, whatever the umask, for the folder's owner.

    Args:
        path: Of the file.
        flags: Of open(2); O_CREAT and O_CLOEXEC come to them.
    """
    is_new = not path.exists()
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    if is_new:
        os.fchmod(descriptor, FILE_MODE)
    give_to_owner(path)
    return descriptor


def sync_folder(folder: Path | str) -> None:
    """Put the names in a folder on disk (fsync(2): a file's own sync does not do it)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Put a file that somebody else wrote on disk, under our mode, for the folder's owner."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, FILE_MODE)
        give_to_owner(path)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it under our mode, whatever the umask; each is on disk when this returns.

    One that root makes belongs to whom the folder above belongs to.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    folder.chmod(FOLDER_MODE)
    give_to_owner(folder)
    sync_folder(folder.parent)


@contextmanager
def private_folder(folder: Path) -> Iterator[None]:
    """Have an empty folder that nobody else may enter for as long as the block lasts.

    Args:
        folder: Gone afterwards; what a process that was killed left in it goes now. Only for the process that holds the
            lock of a name that is part of the folder's.

    Raises:
        DiskError: It cannot be made.
    """
    with disk_errors():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Of the bytes of a file, in hexadecimal; OSError where it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def free_bytes_of(folder: Path) -> int:
    """Room that is left for the node on the disk of a folder.

    Raises:
        DiskError: It cannot be told.
    """
    with disk_errors():
        return shutil.disk_usage(folder).free
