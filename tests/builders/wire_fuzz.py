"""Says mutated conversations to a listener that runs, and looks whether it takes any harm."""

import os
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import send
from builders.listener_process import listener_process, log_of
from builders.master_check import footprint
from builders.mutations import mutated
from builders.ports import free_port
from builders.receiving_processes import sockets_of
from builders.recorded import Conversation, record_conversations
from dicom_node.memory import COLLECT_S

_KINDS = {2: "accepted", 3: "rejected", 4: "answered", 6: "released", 7: "aborted"}
_ANSWER_S = 0.3
_GOODBYES = ("close", "reset", "abort", "leave open a moment")
_A_ABORT = bytes.fromhex("07 00 00000004 00000000")
_WARM_UP_CASES = 50
# Instant, level, logger, message (dicom_node.log).
_LINE = re.compile(r"\S+ [A-Z]+ (?P<logger>[\w.]+): (?P<message>.*)")
_UNCAUGHT = re.compile("(thread|connection from) .* ended: |.*a defect of the node")
_LISTEN = """
network_timeout_s = 3.0
first_pdu_timeout_s = 1.0
accept_notifications = true
maximum_associations = 200
maximum_associations_per_address = 200
maximum_object_bytes = 1048576
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a process holds."""

    memory_mib: float
    """Resident."""
    threads: int
    descriptors: int


def held_by(pid: int) -> Held:
    """What a process holds now (proc(5): statm is in pages)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    held = footprint(pid)
    return Held(
        memory_mib=round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        threads=held.threads,
        descriptors=held.descriptors,
    )


def partial_files(data_dir: Path) -> list[Path]:
    """What is arriving, or was left behind."""
    return list(data_dir.glob("incoming/*"))


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
    fresh: Held
    """By the listener before the first case, once it has served a sender of each kind."""
    warm: Held
    """After the first cases."""
    after: Held
    """After the last."""
    duration_s: float = 0.0
    partial_files_left: int = 0

    @property
    def memory_growth_mib(self) -> float:
        """Of the listener, by the cases after the first ones."""
        return self.after.memory_mib - self.warm.memory_mib


def fuzz(folder: Path, *, cases: int, seed: int, clients: int = 4) -> FuzzReport:
    """Run the cases against a listener in a process of its own; a real sender is served before, between and after."""
    port = free_port()
    with listener_process(folder, port, listen=_LISTEN) as process:
        conversations = record_conversations(port, folder)
        fresh = _rest(process.pid, folder / "data")
        report = FuzzReport(seed=seed, fresh=fresh, warm=fresh, after=fresh)
        _run(port, conversations, Random(seed), min(cases, _WARM_UP_CASES), report, clients)
        report.warm = _rest(process.pid, folder / "data")
        started_at_s = time.monotonic()
        for start in range(report.cases, cases, 250):
            _run(port, conversations, Random(seed + start), min(250, cases - start), report, clients)
        report.duration_s = round(time.monotonic() - started_at_s, 1)
        report.after = _rest(process.pid, folder / "data")
        report.partial_files_left = len(partial_files(folder / "data"))
        read_log(folder, report)
    return report


def _run(
    port: int,
    conversations: Sequence[Conversation],
    random: Random,
    cases: int,
    report: FuzzReport,
    clients: int,
) -> None:
    drawn = [(mutated(conversations, random), random.choice(_GOODBYES)) for _ in range(cases)]
    with ThreadPoolExecutor(clients) as executor:
        heard = Counter(executor.map(lambda case: _say(port, *case), drawn))
    report.last_heard = dict(Counter(report.last_heard) + heard)
    report.cases += cases
    assert send(port, ct_instance(study=f"9.{report.cases}")) == [0x0000]


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


def read_log(folder: Path, report: FuzzReport) -> None:
    """Note every exception that ended a thread, every one that an association kept inside, and what is no line of the log."""
    for line in log_of(folder).read_text(encoding="utf-8").splitlines():
        said = _LINE.fullmatch(line)
        if said is None or _UNCAUGHT.match(said["message"]):
            report.uncaught.append(line)
        elif said["logger"] == "dicom_node.listen.guard":
            report.kept_inside += 1


def _rest(pid: int, data_dir: Path) -> Held:
    """What the listener holds once no connection is left, and the garbage of the last is collected."""
    until(lambda: not sockets_of(pid) and not partial_files(data_dir), within_s=30, what="the listener is calm")
    time.sleep(2 * COLLECT_S)
    return held_by(pid)
