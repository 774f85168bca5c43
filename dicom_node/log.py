"""The log: one line per event, never patient data."""

import json
import logging
import os
import threading
import traceback
import warnings
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

from config.settings import LogSettings
from dicom_node.controls import ESCAPED_CONTROLS
from dicom_node.journal import SOCKET, JournalHandler, priority_of

logger = logging.getLogger(__name__)

_MAXIMUM_CHARACTERS = 2000
# Libraries whose messages quote values of data sets (pydicom: "Invalid value for VR DA: ...").
_TALKATIVE = ("pydicom", "pynetdicom", "highdicom", "pylibjpeg", "libjpeg", "openjpeg", "py.warnings")
# Where pynetdicom reports that an association of ours was not opened: who called says which peer, and why.
_TOLD_BY_CALLER = {("transport", "connect"), ("acse", "_negotiate_as_requestor")}
# Libraries that report every routine step.
_CHATTY = ("alembic", "apscheduler")


def setup_logging(settings: LogSettings) -> None:
    """Log to stderr as configured, with every library that quotes data silenced to its location.

    A service whose stderr is the journal speaks to the journal itself, so that its entries have fields.
    """
    handler = _handler(settings)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    quieten_libraries()


def quieten_libraries() -> None:
    """Let libraries that quote data sets, Python's warnings and dying threads say where and what kind, not which value."""
    for name in _TALKATIVE:
        library = logging.getLogger(name)
        library.handlers = [_LocationOnly(level=logging.WARNING)]
        library.setLevel(logging.WARNING)
        library.propagate = False
    warnings.showwarning = _show_warning
    threading.excepthook = _log_dead_thread


class _LocationOnly(logging.Handler):
    """Passes on that a library said something, and where, without what it said."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log kind and place of the record in its stead, unless it is told in words elsewhere."""
        if (record.module, record.funcName) in _TOLD_BY_CALLER:
            return
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "message"
        logger.log(record.levelno, "%s: %s at %s:%d", record.name, kind, record.module, record.lineno)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Stand in for warnings.showwarning, whose text may quote a value."""
    logger.warning("%s at %s:%d", category.__name__, Path(filename).name, lineno)


def _log_dead_thread(args: threading.ExceptHookArgs) -> None:
    """Stand in for threading.excepthook, whose traceback ends with the exception's text."""
    name = args.thread.name if args.thread else "?"
    logger.error("thread %s ended: %s", name, failure_in_short(args.exc_type, args.exc_traceback))


def failure_in_short(kind: type[BaseException], trace: TracebackType | None) -> str:
    """Class of an exception and the frames it came through, innermost first, without its text or any value."""
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
    return " < ".join([kind.__name__, *reversed(frames)])


class _OneLine(logging.Formatter):
    """Base of our formats: an escaped, capped message, exceptions as class and frames."""

    def message_of(self, record: logging.LogRecord) -> str:
        """The message on one line."""
        message = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            message += f" [{failure_in_short(record.exc_info[0], record.exc_info[2])}]"
        message = message.translate(ESCAPED_CONTROLS)
        cut = len(message) - _MAXIMUM_CHARACTERS
        return message if cut <= 0 else f"{message[:_MAXIMUM_CHARACTERS]}... ({cut} more)"


class _Text(_OneLine):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        """`2026-01-02T12:00:00.000Z INFO dicom_node.listen.server: listening`."""
        return f"{_instant(record)} {record.levelname} {record.name}: {self.message_of(record)}"


class _Journal(_OneLine):
    """For the journal, which knows the time itself and takes the level from a prefix (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """`<6>dicom_node.listen.server: listening`."""
        return f"<{priority_of(record.levelno)}>{record.name}: {self.message_of(record)}"


class _Message(_OneLine):
    """For the journal's own protocol, in which everything else is a field."""

    def format(self, record: logging.LogRecord) -> str:
        """`listening`."""
        return self.message_of(record)


class _Json(_OneLine):
    """For collectors: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The keys at, level, logger, message."""
        fields = {"at": _instant(record), "level": record.levelname, "logger": record.name}
        return json.dumps(fields | {"message": self.message_of(record)})


def _instant(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _handler(settings: LogSettings) -> logging.Handler:
    """To the journal with fields, where it is there; else to stderr."""
    handler = logging.StreamHandler()
    if settings.format == "json":
        handler.setFormatter(_Json())
        return handler
    if not _is_journal(handler.stream):
        handler.setFormatter(_Text())
        return handler
    try:
        return JournalHandler(SOCKET, _Message())
    except OSError:
        handler.setFormatter(_Journal())
        return handler


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream is the one that systemd connected to the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"
