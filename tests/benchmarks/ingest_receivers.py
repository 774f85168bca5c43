"""Storage SCPs that are measured side by side: what starts each, and what it used."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from builders.deadline import until
from builders.ports import free_port
from builders.postgres import running_server, why_no_postgres
from builders.receiving_processes import children_of
from builders.storescp import _listens as listens
from config.settings import Peer

AE_TITLE = "RECEIVER"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STARTED_WITHIN_S = 60
_REST_S = 0.5

NODE_CONFIGURATION = """
[node]
ae_title = "{aet}"
data_dir = "{folder}/data"
[listen]
port = {port}
processes = {processes}
accept_unknown_callers = true
[storage]
free_floor_bytes = 0
database_url = "{database_url}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A kind of storage SCP."""

    name: str
    share: float
    """Of the objects that it gets: the slow ones get fewer, so that a run ends."""
    is_durable: bool
    """Whether it syncs anything before it answers."""
    command: Callable[[Path, int], list[str]]
    """What starts it in a folder on a port; [] where the program is not installed."""
    has_nodelay: bool = False
    """DCMTK, which Orthanc is built on, leaves Nagle on and then waits 40 ms for each of its answers (see its dcmnet)."""
    on_postgresql: Callable[[str], Callable[[Path, int], list[str]]] | None = None
    """Command for the address of a PostgreSQL server, which is started for it on the same medium."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A storage SCP that runs."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU time that it used so far with its children, user and system."""
        return sum(_cpu_s(pid) for pid in self._pids())

    def rss_mib(self) -> float:
        """Largest resident memory so far of it and its children, added up."""
        return sum(_rss_mib(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        return [self.pid, *children_of(self.pid)]


def _rests(receiver: Running) -> bool:
    """Whether it uses no CPU time: all of its processes have started."""
    before_s = receiver.cpu_s()
    time.sleep(_REST_S)
    return receiver.cpu_s() - before_s < _REST_S / 10


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    # proc(5): utime, stime, and those of children that ended, fields 14 to 17.
    return sum(int(field) for field in fields[11:15]) / _TICKS_PER_S


def _rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@contextmanager
def running(receiver: Receiver, folder: Path) -> Iterator[Running | None]:
    """The receiver on a free port for as long as the block lasts, with a folder of its own; None if not installed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    with ExitStack() as stack:
        command_of = receiver.command
        if receiver.on_postgresql:
            command_of = receiver.on_postgresql(stack.enter_context(running_server(below=folder.parents[1])).url)
        command = command_of(folder, port)
        yield stack.enter_context(_serving(receiver, command, folder, port)) if command else None
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _serving(receiver: Receiver, command: list[str], folder: Path, port: int) -> Iterator[Running]:
    environment = os.environ | ({"TCP_NODELAY": "1"} if receiver.has_nodelay else {})
    peer = Peer(name="receiver", ae_title=AE_TITLE, host="127.0.0.1", port=port)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment) as process,
    ):
        try:
            until(lambda: listens(peer), within_s=_STARTED_WITHIN_S, what=f"{receiver.name} listens")
            started = Running(port=port, pid=process.pid)
            until(lambda: _rests(started), within_s=_STARTED_WITHIN_S, what=f"{receiver.name} has started whole")
            yield started
        finally:
            process.terminate()


def receivers(programs: Path) -> list[Receiver]:
    """All of them; `programs` holds the compiled C program."""

    def c_program(mode: str) -> Callable[[Path, int], list[str]]:
        return lambda folder, port: [str(programs / "ingest_receiver"), str(port), str(folder), mode]

    def storescp(*options: str) -> Callable[[Path, int], list[str]]:
        return lambda folder, port: _installed("storescp", *options, "-od", str(folder), str(port))

    return [
        Receiver(name="node", share=1, is_durable=True, command=node_command),
        Receiver(name="node_two_processes", share=1, is_durable=True, command=partial(node_command, processes=2)),
        *_on_postgresql(),
        Receiver(name="c_write", share=1, is_durable=False, command=c_program("write")),
        Receiver(name="c_fsync", share=1, is_durable=True, command=c_program("fsync")),
        Receiver(name="c_durable", share=1, is_durable=True, command=c_program("durable")),
        Receiver(name="storescp", share=0.05, is_durable=False, command=storescp()),
        _nodelay(Receiver(name="storescp", share=1, is_durable=False, command=storescp())),
        _nodelay(Receiver(name="storescp_bit_preserving", share=1, is_durable=False, command=storescp("+B"))),
        _nodelay(
            Receiver(name="storescp_fork_bit_preserving", share=1, is_durable=False, command=storescp("--fork", "+B"))
        ),
        Receiver(name="pynetdicom_storescp", share=0.1, is_durable=False, command=_pynetdicom),
        Receiver(name="orthanc", share=0.1, is_durable=True, command=_orthanc({})),
        _nodelay(Receiver(name="orthanc", share=0.5, is_durable=True, command=_orthanc({}))),
        _nodelay(Receiver(name="orthanc_tuned", share=0.5, is_durable=False, command=_orthanc(_TUNED))),
    ]


def _on_postgresql() -> list[Receiver]:
    """The node with its index on a server, where one can be started; CPU time and memory are those of the node alone."""
    if why_no_postgres():
        return []
    return [
        Receiver(
            name=name,
            share=1,
            is_durable=True,
            command=lambda _folder, _port: [],
            on_postgresql=lambda url, count=processes: partial(node_command, processes=count, database_url=url),
        )
        for name, processes in (("node_postgresql", 1), ("node_postgresql_two_processes", 2))
    ]


def _nodelay(receiver: Receiver) -> Receiver:
    return replace(receiver, name=f"{receiver.name}_nodelay", has_nodelay=True)


_TUNED = {"StoreMD5ForAttachments": False, "SyncStorageArea": False, "StorageCompression": False}


def node_command(folder: Path, port: int, *, processes: int = 1, database_url: str = "") -> list[str]:
    """What starts the node in a folder on a port."""
    configuration = folder / "node.toml"
    configuration.write_text(
        NODE_CONFIGURATION.format(
            aet=AE_TITLE, folder=folder, port=port, processes=processes, database_url=database_url
        ),
        encoding="utf-8",
    )
    return [sys.executable, "-m", "dicom_node", "--config", str(configuration), "listen"]


def _pynetdicom(folder: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "pynetdicom", "storescp", str(port), "-od", str(folder), "-aet", AE_TITLE]


def _orthanc(options: dict[str, bool]) -> Callable[[Path, int], list[str]]:
    def command(folder: Path, port: int) -> list[str]:
        configuration = {
            "StorageDirectory": str(folder),
            "IndexDirectory": str(folder),
            "HttpPort": free_port(),
            "DicomPort": port,
            "DicomAet": AE_TITLE,
            "DicomAlwaysAllowStore": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "Plugins": [],
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration | options), encoding="utf-8")
        return _installed("Orthanc", str(folder / "orthanc.json"))

    return command


def _installed(program: str, *arguments: str) -> list[str]:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    return [path, *arguments] if path else []
