"""Who may be in a role on a data folder: one process, or one on each machine that shares the folder."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from storage.disk import disk_errors, make_folder, open_file
from storage.errors import DataFolderInUseError

WRITERS = ("listen", "work", "retention", "web")
"""Every role whose process changes the index for as long as it runs."""

_ROLE = re.compile(r"[a-z]+")
_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@contextmanager
def lock_data_dir(data_dir: Path, role: str) -> Iterator[int]:
    """Be the only process in a role on a data folder for as long as the block lasts.

    The lock goes with the process, however it ends (flock(2)), or with the last child that keeps its descriptor open.

    Args:
        data_dir: Made if it is missing.
        role: A word, such as listen or work.

    Yields:
        The descriptor of the lock.

    Raises:
        DataFolderInUseError: Another process is in this role.
        DiskError: The data folder cannot be written.
    """
    if not _ROLE.fullmatch(role):
        raise ValueError(role)
    with _locked(data_dir, role) as descriptor:
        yield descriptor


@contextmanager
def lock_out_writers(data_dir: Path) -> Iterator[None]:
    """Let no process of the node run on a data folder for as long as the block lasts.

    Args:
        data_dir: Made if it is missing.

    Raises:
        DataFolderInUseError: One runs, on this machine or another; the error names its role.
        DiskError: The data folder cannot be written.
    """
    with ExitStack() as locks:
        for role in WRITERS:
            locks.enter_context(lock_data_dir(data_dir, role))
        yield


@contextmanager
def lock_for_machine(data_dir: Path, role: str, machine: str) -> Iterator[tuple[int, ...]]:
    """Be the only process in a role on this machine; others may be in it on other machines.

    Args:
        data_dir: Made if it is missing.
        role: A word, such as listen.
        machine: Its name; empty: nobody else shares the folder, as with `lock_data_dir`.

    Yields:
        The descriptors of the locks.

    Raises:
        DataFolderInUseError: The role is taken on this machine, or by a process that shares with nobody.
        DiskError: The data folder cannot be written, or its file system has no locks.
    """
    if not machine:
        with lock_data_dir(data_dir, role) as descriptor:
            yield (descriptor,)
        return
    if not (_ROLE.fullmatch(role) and _MACHINE.fullmatch(machine)):
        raise ValueError(role, machine)
    with (
        _locked(data_dir, role, how=fcntl.LOCK_SH) as among_others,
        _locked(data_dir, f"{role}-{machine}") as own,
    ):
        yield among_others, own


@contextmanager
def _locked(data_dir: Path, name: str, *, how: int = fcntl.LOCK_EX) -> Iterator[int]:
    with disk_errors():
        make_folder(data_dir)
        descriptor = open_file(data_dir / f"{name}.lock", os.O_RDWR)
    try:
        _lock_or_refuse(descriptor, name, how)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_or_refuse(descriptor: int, name: str, how: int) -> None:
    said = f"{os.getpid()}\n".encode() if how == fcntl.LOCK_EX else b""
    with disk_errors():
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise DataFolderInUseError(name, holder or "unknown") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, said, 0)
