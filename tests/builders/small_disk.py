"""A listener whose data folder, or whose index, lies on a small disk of its own."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from builders.deadline import until
from builders.engines import server_url
from builders.master_check import Checked, master_check
from builders.node import AE_TITLE
from builders.ports import free_port, is_open
from builders.sender_ledger import SenderLedger

DISK_BYTES = 32 * 2**20
_CONFIG = """
[node]
ae_title = "{title}"
data_dir = "{folder}/disk/data"
[listen]
port = {port}
accept_unknown_callers = true
[storage]
free_floor_bytes = 0
database_url = "{url}"
"""
_START = 'mount -t tmpfs -o size={size} tmpfs "$1/disk" && mount -t tmpfs -o size={size} tmpfs "$1/index" && mkdir "$1/disk/data" && exec "${{@:2}}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallDisk:
    """The listener, and its two disks as they are seen from outside its mount namespace (proc(5), /proc/PID/root)."""

    port: int
    pid: int
    folder: Path

    @property
    def disk(self) -> Path:
        """Holds the data folder."""
        return self._seen / "disk"

    def snapshot(self) -> Path:
        """A copy of the data folder, with the index in it wherever it lies, as it is at this instant.

        SQLite opens no file through /proc: it looks for the name behind the link.
        """
        copy = self.folder / f"copy-{len(list(self.folder.glob('copy-*')))}"
        os.kill(self.pid, signal.SIGSTOP)
        try:
            shutil.copytree(self.disk / "data", copy)
            shutil.copytree(self.index_disk, copy, dirs_exist_ok=True)
        finally:
            os.kill(self.pid, signal.SIGCONT)
        return copy

    def master_check(self, sent: SenderLedger) -> Checked:
        """See `master_check`, on the files of this instant."""
        return master_check(self.snapshot(), sent, database_url=server_url(self.folder))

    @property
    def index_disk(self) -> Path:
        """Holds the index where it has a disk of its own."""
        return self._seen / "index"

    def fill(self, disk: Path, *, leave_bytes: int = 0) -> Path:
        """Take the room that is left, but for some; the file that takes it."""
        ballast = disk / "ballast"
        # The listener may write between the question how much is left and the answer to it.
        until(lambda: _is_taken(ballast, disk, leave_bytes), within_s=10, what="the room is taken")
        return ballast

    @contextmanager
    def read_only(self, folder: str) -> Iterator[None]:
        """Lay a read-only file system over a folder of the disk for as long as the block lasts.

        The kernel remounts no file system read-only on which a file is open for writing, as our lock is.
        """
        place = str(self.folder / "disk" / folder)
        self._inside("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place)
        try:
            yield
        finally:
            self._inside("umount", place)

    def _inside(self, *command: str) -> None:
        """Run a command in the listener's mount namespace."""
        enter = ["nsenter", "-t", str(self.pid), "-U", "-m", "--preserve-credentials"]
        subprocess.run([*enter, *command], check=True, capture_output=True)

    @property
    def _seen(self) -> Path:
        return Path(f"/proc/{self.pid}/root") / self.folder.relative_to("/")


def _is_taken(ballast: Path, disk: Path, leave_bytes: int) -> bool:
    with ballast.open("wb", buffering=0) as file:
        size = shutil.disk_usage(disk).free - leave_bytes
        try:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
    return True


@contextmanager
def listener_on_small_disk(folder: Path, *, index_apart: bool = False) -> Iterator[SmallDisk]:
    """A listener in a mount namespace with two disks of 32 MiB in memory; skips where the system allows none."""
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody make a mount namespace (unshare -rm)")
    port = free_port()
    for name in ("disk", "index"):
        (folder / name).mkdir()
    url = f"sqlite:///{folder}/index/index.sqlite" if index_apart else server_url(folder)
    (folder / "node.toml").write_text(_CONFIG.format(title=AE_TITLE, folder=folder, port=port, url=url))
    program = [sys.executable, "-m", "dicom_node", "--config", str(folder / "node.toml"), "listen"]
    start = ["unshare", "-rm", "bash", "-c", _START.format(size=DISK_BYTES), "bash", str(folder), *program]
    with (folder / "listen.log").open("ab") as log, subprocess.Popen(start, stdout=log, stderr=log) as process:
        try:
            until(lambda: is_open(port) or process.poll() is not None, within_s=60, what="the listener listens")
            assert process.poll() is None, (folder / "listen.log").read_text()
            yield SmallDisk(port=port, pid=process.pid, folder=folder)
        finally:
            process.kill()
