"""Programs of the node in processes of their own, forked from one that has imported what they need.

To start an interpreter and to import the node costs most commands more than what they do. A fork is killed, stopped, watched
and looked into as any process; what it does not show is whether the program itself imports all that it uses. That is shown
by the tests that start the installed command (`test_readme`, `test_first_hour`, `test_demo`) and by `test_forked`.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from threading import Lock

from builders.program_server import Request

_SERVER = Path(__file__).with_name("program_server.py")
_BACKLOG = 64
_STARTING = Lock()
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Numeric libraries start others as they are loaded, which a fork would lack."""


class ForkedProcess:
    """A forked program; like `subprocess.Popen` as far as that is needed."""

    def __init__(self, channel: socket.socket, arguments: Sequence[str]) -> None:
        """Of a program that was just asked for."""
        self.args = list(arguments)
        self.returncode: int | None = None
        self._channel = channel
        self.pid = int(channel.recv(64) or b"0")
        assert self.pid, "the server of programs is gone"

    def poll(self) -> int | None:
        """The exit code, negative for the signal that ended it; None while it runs."""
        if self.returncode is None:
            self._channel.setblocking(False)
            try:
                self.returncode = int(self._channel.recv(64) or -signal.SIGKILL)
            except BlockingIOError:
                return None
            self._channel.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended.

        Raises:
            TimeoutExpired: It goes on.
        """
        if self.returncode is None:
            self._channel.settimeout(timeout)
            try:
                self.returncode = int(self._channel.recv(64) or -signal.SIGKILL)
            except TimeoutError:
                raise TimeoutExpired(self.args, timeout or 0.0) from None
            self._channel.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """A signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """End it as systemd would."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without warning."""
        self.send_signal(signal.SIGKILL)


def start_forked(
    *arguments: str, outputs: tuple[int, int], environment: Mapping[str, str] | None = None, is_quick: bool = False
) -> ForkedProcess:
    """The command line in a process of its own.

    Args:
        arguments: Of the command line.
        outputs: Descriptors that are its stdout and its stderr.
        environment: Its whole environment; None hands ours on.
        is_quick: Whether its worker analyses with the engine for plain shapes (`builders.quick_worker`).
    """
    request = Request(
        arguments=arguments,
        environment=os.environ if environment is None else environment,
        folder=str(Path.cwd()),
        is_quick=is_quick,
    )
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _STARTING:
        address = _running_server()
    channel.connect(address)
    with Path(os.devnull).open("rb") as nothing:
        socket.send_fds(channel, [request.to_bytes()], [nothing.fileno(), *outputs])
        return ForkedProcess(channel, arguments)


def run_forked(*arguments: str, timeout_s: float) -> CompletedProcess[str]:
    """Run a command of the command line to its end.

    Raises:
        TimeoutExpired: It took longer, and was ended.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        running = start_forked(*arguments, outputs=(out.fileno(), err.fileno()))
        try:
            code = running.wait(timeout_s)
        except TimeoutExpired:
            running.kill()
            running.wait()
            raise
        said = [_all_of(stream) for stream in (out.fileno(), err.fileno())]
    return CompletedProcess(running.args, code, *said)


def _all_of(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode()


@cache
def _running_server() -> str:
    """The server of this process of the tests; its address."""
    folder = tempfile.TemporaryDirectory(prefix="programs-")
    address = f"{folder.name}/server"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(_BACKLOG)
    theirs, ours = os.pipe()
    running = subprocess.Popen(
        [sys.executable, str(_SERVER), str(listener.fileno()), str(theirs)],
        pass_fds=(listener.fileno(), theirs),
        env=os.environ | _ONE_THREAD,
    )
    listener.close()
    os.close(theirs)

    def end() -> None:
        os.close(ours)
        running.wait()
        folder.cleanup()

    atexit.register(end)
    return address
