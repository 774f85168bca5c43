"""Starts attempts as forks of a process that has imported what they need: `dicom_node.fork_server`."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from dicom_node.child import end_child, start_child

KILL = b"kill"
LONGEST_MESSAGE = 65_536

_SERVER = ("-m", "dicom_node.fork_server")
_GRACE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkRequest:
    """One attempt that is to be forked; its log comes as a descriptor beside it."""

    folder: str
    memory_limit_bytes: int
    """Address space; 0 is none."""

    @classmethod
    def from_bytes(cls, message: bytes) -> Self:
        """The request that `to_bytes` gave."""
        return cls(**json.loads(message))

    def to_bytes(self) -> bytes:
        """The request as a message."""
        return json.dumps(asdict(self)).encode()


class ForkedChild:
    """The process of an attempt, as its worker sees it; like `subprocess.Popen` as far as that is needed."""

    def __init__(self, channel: socket.socket, server: subprocess.Popen[bytes]) -> None:
        """Follow what the server was just asked to fork."""
        self._channel = channel
        self._server = server
        self._code: int | None = None

    def wait(self, within_s: float | None) -> int:
        """The exit code of the attempt, negative for the signal that ended it; that of the server where it ended first.

        Raises:
            TimeoutExpired: It goes on.
        """
        if self._code is None:
            self._channel.settimeout(within_s)
            try:
                message = self._channel.recv(LONGEST_MESSAGE)
            except TimeoutError:
                raise subprocess.TimeoutExpired("attempt", within_s or 0.0) from None
            except OSError:
                message = b""
            self._code = int(message) if message else self._server.wait() or 1
        return self._code

    def kill(self) -> None:
        """End it, and wait until it is gone; nothing where it has ended."""
        if self._code is None:
            with suppress(OSError):
                self._channel.send(KILL)
            self.wait(None)


class ForkServer:
    """Runs the process that attempts are forked from: started with the first one, and again when it is gone."""

    def __init__(self, command: Sequence[str] = _SERVER) -> None:
        """Nothing runs yet; `command` is what the interpreter runs, followed by the number of a descriptor."""
        self._command = tuple(command)
        self._server: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._threads = 0

    def start(self, folder: Path, log: IO[bytes], *, memory_limit_bytes: int, threads: int) -> ForkedChild:
        """Fork the attempt of a folder.

        Args:
            folder: Of the job.
            log: Takes its stdout and stderr.
            memory_limit_bytes: Limit of its address space; 0 is none.
            threads: That numeric libraries start; 0 leaves it to them. They read it when they are loaded, so another
                number means another server.

        Raises:
            OSError: The server cannot be started.
        """
        if self._server is None or self._server.poll() is not None or self._threads != threads:
            self.close()
            self._open(threads)
        assert self._server is not None and self._channel is not None
        request = ForkRequest(folder=str(folder), memory_limit_bytes=memory_limit_bytes)
        # A server that is gone is found out by waiting for the child.
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._channel, [request.to_bytes()], [log.fileno()])
        return ForkedChild(self._channel, self._server)

    def close(self) -> None:
        """End the server, and the attempt with it; the next attempt starts it again."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._server is not None:
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(_GRACE_S)
            end_child(self._server, grace_s=0.0)
            self._server = None

    def _open(self, threads: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._server = start_child(
                    [sys.executable, *self._command, str(theirs.fileno())],
                    environment={**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})},
                    descriptors=(theirs.fileno(),),
                )
            except OSError:
                ours.close()
                raise
        self._channel, self._threads = ours, threads
