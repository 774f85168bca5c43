"""Folders for files that must not outlive their process."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_LOCK = "lock"


class ScratchFolder:
    """A folder of this process in the machine's folder for temporary files, readable by its user alone.

    What a killed process left, patients' images among it, the next one removes: it can lock what nobody holds.
    """

    def __init__(self, root: Path | None = None) -> None:
        """Sweep, then make one."""
        root = root or Path(tempfile.gettempdir()) / f"dicom-node-{os.getuid()}"
        root.mkdir(mode=0o700, exist_ok=True)
        if root.stat().st_uid != os.getuid():
            reason = f"{root} belongs to somebody else"
            raise PermissionError(reason)
        root.chmod(0o700)
        with (root / "sweep.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            _sweep(root)
            self.path = Path(tempfile.mkdtemp(dir=root))
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove it; nothing happens the second time."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _sweep(root: Path) -> None:
    for lock in root.glob(f"*/{_LOCK}"):
        with suppress(FileNotFoundError):
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)
