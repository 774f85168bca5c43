"""Says mutated conversations to a listener that runs, and looks whether it takes any harm."""

import logging
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import RunningListener, listener_settings, running_listener, send
from builders.mutations import mutated
from builders.recorded import Conversation, record_conversations

_KINDS = {2: "accepted", 3: "rejected", 4: "answered", 6: "released", 7: "aborted"}
_ANSWER_S = 0.3
_GOODBYES = ("close", "reset", "abort", "leave open a moment")
_A_ABORT = bytes.fromhex("07 00 00000004 00000000")


@dataclass(slots=True, kw_only=True)
class FuzzReport:
    """What became of the cases."""

    seed: int
    cases: int = 0
    uncaught: list[str] = field(default_factory=list)
    """Class and place of every exception that ended a thread of the listener."""
    last_heard: dict[str, int] = field(default_factory=dict)
    """What the listener said last, by case: closed without a word, or a kind of PDU."""
    kept_inside: int = 0
    """Exceptions of pynetdicom that ended in an abort of their association."""
    duration_s: float = 0.0
    memory_growth_mib: float = 0.0
    threads_left: int = 0
    descriptors_left: int = 0
    partial_files_left: int = 0


def fuzz(folder: Path, *, cases: int, seed: int, clients: int = 4) -> FuzzReport:
    """Run the cases against one listener; a real sender is served before, between and after."""
    settings = listener_settings(
        folder,
        network_timeout_s=3.0,
        first_pdu_timeout_s=1.0,
        accept_notifications=True,
        maximum_associations=200,
        maximum_associations_per_address=200,
        maximum_object_bytes=2**20,
    )
    report = FuzzReport(seed=seed)
    with running_listener(settings) as listener, _watching(report):
        conversations = record_conversations(listener.port, folder)
        _run(listener, conversations, Random(seed), min(cases, 50), report, clients)
        until(lambda: _is_calm(listener), within_s=30, what="the listener is calm after the first cases")
        before = _resources()
        started_at_s = time.monotonic()
        for start in range(report.cases, cases, 250):
            _run(listener, conversations, Random(seed + start), min(250, cases - start), report, clients)
        report.duration_s = time.monotonic() - started_at_s
        until(lambda: _is_calm(listener), within_s=30, what="the listener is calm")
        _compare(report, before, _resources())
        report.partial_files_left = len(listener.partial_files())
    return report


def _run(
    listener: RunningListener,
    conversations: Sequence[Conversation],
    random: Random,
    cases: int,
    report: FuzzReport,
    clients: int,
) -> None:
    drawn = [(mutated(conversations, random), random.choice(_GOODBYES)) for _ in range(cases)]
    with ThreadPoolExecutor(clients) as executor:
        heard = Counter(executor.map(lambda case: _say(listener.port, *case), drawn))
    report.last_heard = dict(Counter(report.last_heard) + heard)
    report.cases += cases
    assert send(listener.port, ct_instance(study=f"9.{report.cases}")) == [0x0000]


def _say(port: int, pdus: Sequence[bytes], goodbye: str) -> str:
    """Say it; what the listener said last."""
    heard = "closed"
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for number, pdu in enumerate(pdus):
            connection.sendall(pdu)
            if number == 0:
                heard = _hear(connection) or heard
        heard = _hear(connection) or heard
        _say_goodbye(connection, goodbye)
    return heard


def _hear(connection: socket.socket) -> str:
    """The kind of the last PDU that comes within a moment; empty for none."""
    connection.settimeout(_ANSWER_S)
    try:
        header = connection.recv(6, socket.MSG_WAITALL)
        if len(header) < 6:
            return ""
        kind, length = struct.unpack(">BxL", header)
        connection.recv(length, socket.MSG_WAITALL)
    except OSError:
        return ""
    return _KINDS.get(kind, f"PDU {kind}")


def _say_goodbye(connection: socket.socket, goodbye: str) -> None:
    if goodbye == "abort":
        connection.sendall(_A_ABORT)
    elif goodbye == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif goodbye == "leave open a moment":
        connection.settimeout(_ANSWER_S)
        with suppress(TimeoutError):
            connection.recv(1)


@contextmanager
def _watching(report: FuzzReport) -> Iterator[None]:
    """Note every exception that ends a thread, and every one that an association kept inside."""

    def note(arguments: Any) -> None:
        place = arguments.exc_traceback
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else "?"
        report.uncaught.append(f"{arguments.exc_type.__name__} at {where}")

    listening = _Listening(report)
    logger = logging.getLogger("dicom_node.listen")
    hook, threading.excepthook = threading.excepthook, note
    logger.addHandler(listening)
    try:
        yield
    finally:
        logger.removeHandler(listening)
        threading.excepthook = hook


class _Listening(logging.Handler):
    """Reads the log of the listener."""

    def __init__(self, report: FuzzReport) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        """A connection that ended in an exception is one that nobody caught."""
        if str(record.msg).startswith("connection from %s ended"):
            self._report.uncaught.append(record.getMessage())
        if record.name == "dicom_node.listen.guard":
            self._report.kept_inside += 1
        if "a defect of the node" in str(record.msg):
            self._report.uncaught.append(record.getMessage())


def _is_calm(listener: RunningListener) -> bool:
    """Whether no association is left."""
    names = [thread.name for thread in threading.enumerate()]
    return not any("AcceptorThread" in name for name in names) and not listener.partial_files()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resources:
    memory_mib: float
    threads: int
    descriptors: int


def _resources() -> _Resources:
    """Of this process (proc(5): statm is in pages)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return _Resources(
        memory_mib=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        threads=threading.active_count(),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
    )


def _compare(report: FuzzReport, before: _Resources, after: _Resources) -> None:
    report.memory_growth_mib = round(after.memory_mib - before.memory_mib, 1)
    report.threads_left = after.threads - before.threads
    report.descriptors_left = after.descriptors - before.descriptors
