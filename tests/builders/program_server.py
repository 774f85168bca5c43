"""The process that programs of the node are forked from in tests: it has imported what they need.

Run as `python program_server.py LISTENER LIFELINE`: descriptors of a listening UNIX socket (SOCK_SEQPACKET) and of a pipe
whose other end is with the tests. Each connection asks for one program (`builders.forked`) and hears of its process ID and
of its exit code. The server runs nothing itself and has one thread, so that its forks begin as a new process would. When the
pipe ends, so do it and all its programs.
"""

import atexit
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fcntl import F_DUPFD, fcntl
from importlib import import_module
from pathlib import Path

from dicom_node.child import end_with_parent
from dicom_node.memory import loading

TESTS = Path(__file__).resolve().parents[1]
LONGEST_REQUEST = 262_144
QUICK_WORKER = TESTS / "builders" / "quick_worker.py"
_LOADED = (
    "builders.fake_engine",
    "dicom_node.check",
    "dicom_node.job",
    "dicom_node.listen.server",
    "dicom_node.status",
    "dicom_node.web.server",
    "dicom_node.work",
)
"""What the programs load as they go."""
_FREE_NUMBERS_FROM = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One program; descriptors come beside it, that become its stdin, stdout and stderr."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    is_quick: bool
    """Whether it is `quick_worker`, not `dicom_node` itself."""

    def to_bytes(self) -> bytes:
        """As a message."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields | {"environment": dict(self.environment)}).encode()


@dataclass(slots=True)
class ProgramServer:
    """Forks, and tells how what it forked has ended."""

    listener: socket.socket
    lifeline: int
    _told: dict[int, socket.socket] = field(default_factory=dict)
    """Who hears of the end of a process."""

    def serve(self) -> tuple[Request, list[int]] | None:
        """Serve until the tests are over, then give None; in a fork, give what it is to be."""
        woken, wakes = socket.socketpair()
        wakes.setblocking(False)
        signal.set_wakeup_fd(wakes.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with woken, wakes, selectors.DefaultSelector() as ready:
            for source in (self.listener, self.lifeline, woken):
                ready.register(source, selectors.EVENT_READ)
            while True:
                sources = [key.fileobj for key, _ in ready.select()]
                if self.lifeline in sources:
                    return self._end()
                if woken in sources:
                    woken.recv(4096)
                    self._tell_of_ends()
                if self.listener in sources and (asked := self._fork()):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    return asked

    def _fork(self) -> tuple[Request, list[int]] | None:
        connection, _ = self.listener.accept()
        message, descriptors, _, _ = socket.recv_fds(connection, LONGEST_REQUEST, 3)
        server, child = os.getpid(), os.fork()
        if not child:
            end_with_parent(server)
            for told in (connection, self.listener, *self._told.values()):
                told.close()
            os.close(self.lifeline)
            return Request(**json.loads(message)), descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        self._told[child] = connection
        with suppress(OSError):
            connection.send(str(child).encode())
        return None

    def _tell_of_ends(self) -> None:
        for child in list(self._told):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                with self._told.pop(child) as told, suppress(OSError):
                    told.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _end(self) -> None:
        for child in self._told:
            os.kill(child, signal.SIGKILL)


def become(request: Request, descriptors: Sequence[int]) -> None:
    """Be the program, as if this process had been started as it."""
    out_of_the_way = [fcntl(descriptor, F_DUPFD, _FREE_NUMBERS_FROM) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for number, held in enumerate(out_of_the_way):
        os.dup2(held, number)
        os.close(held)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    os.chdir(request.folder)
    sys.argv = ["dicom-node", *request.arguments]
    if request.is_quick:
        runpy.run_path(str(QUICK_WORKER), run_name="__main__")
    else:
        main()


class QuickEnd:
    """Ends a fork once its threads and its exit functions are through: to take down all that was loaded takes longer.

    Registered before all others, its exit function is called as the last (atexit).
    """

    def __init__(self) -> None:
        """Nothing is forked yet."""
        self.code: int | None = None
        atexit.register(self._end)

    def run(self, request: Request, descriptors: Sequence[int]) -> None:
        """Be the program, and note its exit code."""
        self.code = 1
        try:
            become(request, descriptors)
        except SystemExit as ended:
            self.code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        else:
            self.code = 0

    def _end(self) -> None:
        if self.code is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code)


if __name__ == "__main__":
    quick_end = QuickEnd()
    sys.path[:1] = [str(TESTS), str(TESTS.parent)]
    with loading():
        for module in _LOADED:
            import_module(module)
        from dicom_node.cli import main
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork would lack the other threads"
    gc.collect()
    gc.freeze()
    if asked := ProgramServer(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])).serve():
        quick_end.run(*asked)
