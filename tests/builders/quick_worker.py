"""The command line as it is, whose worker forks its attempts from `quick_server`.

That is a fork itself, made before the worker has threads, because all is loaded by then that it needs. Where the worker wants
another one, it is started as a program.
"""

import math
import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Self
from unittest import mock

from dicom_node.child import start_child
from dicom_node.cli import main

QUICK_SERVER = Path(__file__).with_name("quick_server.py")
_LOOK_S = 0.01


class SpareServer:
    """A fork that waits until the worker wants its server; like `subprocess.Popen` as far as that is needed."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        """See `made`."""
        self.pid = pid
        self.returncode: int | None = None
        self.channel = channel

    @classmethod
    def made(cls) -> Self:
        """Fork it; the fork does not come back from here: it ends with this process, or as a server."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid:
            theirs.close()
            return cls(pid, ours)
        ours.close()
        message, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
        if not message:
            sys.exit(0)
        sys.argv = [str(QUICK_SERVER), str(descriptors[0])]
        runpy.run_path(str(QUICK_SERVER), run_name="__main__")
        raise AssertionError

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended.

        Raises:
            TimeoutExpired: It goes on.
        """
        ends_at_s = time.monotonic() + timeout if timeout is not None else math.inf
        while (code := self.poll()) is None:
            if time.monotonic() > ends_at_s:
                raise TimeoutExpired(str(QUICK_SERVER), timeout or 0.0)
            time.sleep(_LOOK_S)
        return code

    def terminate(self) -> None:
        """As `Popen.terminate`."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """As `Popen.kill`."""
        os.kill(self.pid, signal.SIGKILL)


def main_of_worker() -> None:
    """Run the command line."""
    spares = [SpareServer.made()]

    def start(
        command: Sequence[str], *, environment: Mapping[str, str], descriptors: Sequence[int]
    ) -> SpareServer | Popen[bytes]:
        """In the place of `dicom_node.child.start_child`."""
        if not spares:
            return start_child(
                [sys.executable, str(QUICK_SERVER), command[-1]], environment=environment, descriptors=descriptors
            )
        spare = spares.pop()
        socket.send_fds(spare.channel, [b"."], descriptors)
        return spare

    with mock.patch("dicom_node.forking.start_child", start):
        main()


if __name__ == "__main__":
    main_of_worker()
