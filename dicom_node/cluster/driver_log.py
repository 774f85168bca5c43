"""The log of the driver, and that of the driver before it, which says why it ended."""

import os
from contextlib import suppress
from pathlib import Path

LOG_NAME = "ray-driver.log"
PREVIOUS_LOG_NAME = "ray-driver.log.1"
_KEPT_BYTES = 1 << 20
"""The end of a log is what tells."""
_LONGEST_BYTES = 8 << 20
"""Of the log of a driver that runs."""


def driver_logs(data_dir: Path) -> tuple[Path, ...]:
    """Both, as far as they are there."""
    return tuple(path for name in (LOG_NAME, PREVIOUS_LOG_NAME) if (path := data_dir / name).is_file())


def keep_previous_log(data_dir: Path) -> None:
    """Make room for the log of the next driver; one that says nothing takes no other's place.

    Raises:
        OSError: The folder does not take it.
    """
    log, previous = data_dir / LOG_NAME, data_dir / PREVIOUS_LOG_NAME
    if not log.is_file() or not log.stat().st_size:
        return
    log.replace(previous)
    _keep_the_end(previous)


def bound_log(data_dir: Path) -> None:
    """Keep the end of the log of a driver that runs, once it has grown long; the driver appends, so it goes on behind.

    Raises:
        OSError: The folder does not take it.
    """
    log = data_dir / LOG_NAME
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LONGEST_BYTES:
            _keep_the_end(log)


def previous_log(data_dir: Path) -> str:
    """What the driver before left; empty where there is nothing."""
    try:
        return (data_dir / PREVIOUS_LOG_NAME).read_text(errors="replace")
    except OSError:
        return ""


def _keep_the_end(path: Path) -> None:
    """Keep the end of a file, in its own place: a disk may be full."""
    if path.stat().st_size <= _KEPT_BYTES:
        return
    with path.open("r+b") as file:
        file.seek(-_KEPT_BYTES, os.SEEK_END)
        end = file.read()
        file.seek(0)
        file.write(end)
        file.truncate()
