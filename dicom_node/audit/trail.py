"""The one way into the audit trail."""

import logging
import socket
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

from config.settings import Settings
from dicom_node.audit.chain import LOCK_TIMEOUT_S, Chain
from dicom_node.audit.events import ApplicationStarted, ApplicationStopped, AuditEvent, Outcome, Party
from dicom_node.audit.message import Source, build_message
from dicom_node.clock import Clock, SystemClock
from dicom_node.operators import operator_name

logger = logging.getLogger(__name__)

_HELD_BACK = 1000
"""Messages that wait in memory while the disk takes none; of more the oldest are lost, which the log says."""


class Recorder(Protocol):
    """Takes events for the audit trail."""

    def record(self, event: AuditEvent, *, outcome: Outcome = Outcome.SUCCESS, words: str = "") -> None:
        """Write an event down."""
        ...


class AuditTrail:
    """Writes events down, in the order in which they are told; usable from several threads and processes at once."""

    def __init__(self, folder: Path, source: Source, *, maximum_file_bytes: int, clock: Clock) -> None:
        """Write into a folder."""
        self._chain = Chain(folder, maximum_file_bytes=maximum_file_bytes)
        self._source = source
        self._clock = clock
        self._held_back: deque[str] = deque(maxlen=_HELD_BACK)
        self._is_locked_out = False
        self._lock = Lock()
        weakref.finalize(self, _say_what_is_lost, self._held_back)

    def record(self, event: AuditEvent, *, outcome: Outcome = Outcome.SUCCESS, words: str = "") -> None:
        """Write an event down; it is on disk when this returns.

        A disk that takes nothing never stops what is recorded, nor does a process that keeps the lock of the trail: the log
        says so, the event waits in memory and is written with the next one. The lock is waited for once, until it was had.

        Args:
            event: What happened.
            outcome: How it ended.
            words: Why, for what did not succeed.
        """
        message = build_message(event, at=self._clock.now(), source=self._source, outcome=outcome, words=words)
        with self._lock:
            if len(self._held_back) == _HELD_BACK:
                logger.error("the audit trail lost an event: %d wait in memory", _HELD_BACK)
            self._held_back.append(message)
            self._write_held_back()

    def record_at_once(self, event: AuditEvent, *, outcome: Outcome = Outcome.SUCCESS, words: str = "") -> None:
        """Write an event down now or never, as `record` does: for a process that ends behind it, where nothing could wait.

        Raises:
            TimeoutError: Another process keeps the lock of the trail; `strerror` says what to do.
            OSError: It is not on disk.
        """
        message = build_message(event, at=self._clock.now(), source=self._source, outcome=outcome, words=words)
        self._chain.append(message, within_s=LOCK_TIMEOUT_S)

    def _write_held_back(self) -> None:
        while self._held_back:
            try:
                self._chain.append(self._held_back[0], within_s=0.0 if self._is_locked_out else LOCK_TIMEOUT_S)
            except OSError as error:
                self._is_locked_out = isinstance(error, TimeoutError)
                said = error.strerror or type(error).__name__
                logger.error("the audit trail cannot be written: %s; %d events wait", said, len(self._held_back))  # noqa: TRY400  # says what to do
                return
            self._is_locked_out = False
            self._held_back.popleft()


def _say_what_is_lost(held_back: Sequence[str]) -> None:
    """As the process ends."""
    if held_back:
        logger.error("the audit trail lost %d events: it could not be written until the process ended", len(held_back))


@dataclass(slots=True)
class NoTrail:
    """Takes events and keeps none: for a node that is not one, such as the demo's or a test's."""

    def record(self, event: AuditEvent, *, outcome: Outcome = Outcome.SUCCESS, words: str = "") -> None:
        """Do nothing."""


def trail_folder(settings: Settings) -> Path:
    """Where the trail of a node is."""
    return settings.audit.folder or settings.data_dir / "audit"


def audit_trail(settings: Settings, *, clock: Clock | None = None) -> AuditTrail:
    """The trail of a node."""
    source = Source(source_id=f"{settings.node.ae_title}@{socket.gethostname()}", site_id=settings.audit.site_id)
    return AuditTrail(
        trail_folder(settings),
        source,
        maximum_file_bytes=settings.audit.maximum_file_bytes,
        clock=clock or SystemClock(),
    )


def own_party(settings: Settings) -> Party:
    """The node, as it calls itself on the network."""
    return Party(user_id=settings.node.ae_title, address=socket.gethostname())


def process_party(settings: Settings, process: str) -> Party:
    """A process of the node."""
    return Party(user_id=settings.node.ae_title, name=f"dicom-node {process}", address=socket.gethostname())


@contextmanager
def process_recorded(trail: Recorder, settings: Settings, process: str) -> Iterator[None]:
    """Record that a process of the node begins, and that it ends."""
    party = process_party(settings, process)
    trail.record(ApplicationStarted(application=party, launched_by=operator_name()))
    try:
        yield
    finally:
        trail.record(ApplicationStopped(application=party))


def operator_party() -> Party:
    """Who gives a command at the keyboard."""
    return Party(user_id=operator_name(), name="command line", address=socket.gethostname())
