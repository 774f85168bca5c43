"""A Ray cluster of separate processes on loopback."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from builders.deadline import until
from builders.ports import free_port

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")
TESTS = Path(__file__).resolve().parents[1]
_HEAD = "127.0.0.2"
"""Ray puts the address of the network card in the place of 127.0.0.1."""
_STORE_BYTES = 512 * 2**20
_START_WITHIN_S = 90
_STOP_WITHIN_S = 30


@dataclass(slots=True, kw_only=True)
class RayCluster:
    """A head without CPUs, where the worker is, and nodes that analyse, each with an address of its own."""

    nodes: int = 1
    cpus: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _folder: tempfile.TemporaryDirectory[str] | None = None
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Of the head."""
        return f"{_HEAD}:{self.port}"

    def __enter__(self) -> Self:
        """Start the head, then the nodes; return once all are up."""
        # The paths of Ray's sockets must be short (unix(7), 108 bytes).
        self._folder = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
        try:
            self.start_head()
            for number in range(self.nodes):
                self.start_node(number)
        except BaseException:
            self._stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process that was started."""
        self._stop_all()

    def start_head(self) -> None:
        """Start the head, again after it was killed."""
        assert self._folder
        ports = [f"--port={self.port}", f"--ray-client-server-port={free_port()}", f"--temp-dir={self._folder.name}"]
        self._start(
            "head", ["--head", f"--node-ip-address={_HEAD}", "--num-cpus=0", "--include-dashboard=false", *ports]
        )

    def start_node(self, number: int) -> None:
        """Start a node, again after it was killed."""
        own = f"--node-ip-address=127.0.0.{number + 3}"
        self._start(f"node {number}", [f"--address={self.address}", own, f"--num-cpus={self.cpus}"])

    def kill(self, name: str) -> None:
        """End `head` or `node 0` with all its processes by SIGKILL, as a power cut would."""
        process = self._running.pop(name)
        pids = [process.pid, *_descendants(process.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(timeout=_STOP_WITHIN_S)

    def hide_sockets(self) -> None:
        """Take Ray's sockets out of everybody's sight, as a folder for temporary files of its own does with a service."""
        assert self._folder
        for folder in Path(self._folder.name).glob("session_2*/sockets"):
            folder.rename(folder.with_name("hidden"))

    def actor_pids(self, name: str) -> list[int]:
        """Processes of the actors of a node."""
        found = _descendants(self._running[name].pid)
        return [pid for pid in found if _command(pid).startswith(b"ray::ActorShell")]

    def _start(self, name: str, arguments: list[str]) -> None:
        assert self._folder
        environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(TESTS),
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        limits = ["--min-worker-port=0", "--max-worker-port=0", f"--object-store-memory={_STORE_BYTES}"]
        path = Path(self._folder.name) / f"{name.replace(' ', '-')}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [*command, *limits, *arguments], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._running[name] = process

        def is_up() -> bool:
            assert process.poll() is None, path.read_text()
            return "Ray runtime started" in path.read_text()

        # One after the other: nodes that start at the same time on one machine wait for each other's ports for ever.
        until(is_up, within_s=_START_WITHIN_S, what=f"{name} of the Ray cluster is up")

    def _stop_all(self) -> None:
        for name in reversed(list(self._running)):
            self.kill(name)
        if self._folder:
            self._folder.cleanup()


def _descendants(pid: int) -> list[int]:
    """Children, their children and so on (proc(5), children of each thread)."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(child) for child in children.read_text().split()]
        except FileNotFoundError:
            continue
        for child in direct:
            found += [child, *_descendants(child)]
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""
