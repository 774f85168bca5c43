"""The process that attempts are forked from: it has imported what they need, so that none waits for that.

Run as `python -m dicom_node.fork_server DESCRIPTOR`, of a socket of whole messages (SOCK_SEQPACKET) to the worker, which
asks by `dicom_node.forking`. It runs nothing itself and never touches the GPU: a fork of a process with a CUDA context
cannot use CUDA (https://pytorch.org/docs/stable/notes/multiprocessing.html). It ends with the worker's end of the socket,
the attempt with it.
"""

import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from resource import RLIMIT_AS, setrlimit

from dicom_node.child import end_with_parent
from dicom_node.forking import KILL, LONGEST_MESSAGE, ForkRequest
from dicom_node.memory import loading

Attempt = Callable[[Path], int]
"""Does the job of a folder and gives the exit code."""


def main(attempt: Attempt | None = None) -> int:
    """Serve the worker at the other end of the socket.

    Args:
        attempt: What each fork does; by default `dicom_node.job`.
    """
    # A Ctrl-C at the terminal and systemd's stop reach every process: the worker decides what becomes of the attempt.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    chosen = attempt or _the_job()
    # What is there by now stays: no collection in a fork needs to touch, and so to copy, its pages.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        _serve(channel, chosen)
    return 0


def _the_job() -> Attempt:
    """What attempts do; to import it takes seconds."""
    with loading():
        from dicom_node.job import attempt  # noqa: PLC0415  # a server for something else does without it

    return attempt


def _serve(channel: socket.socket, attempt: Attempt) -> None:
    """Fork one attempt after the other until the worker closes its end."""
    while True:
        message, logs, _, _ = socket.recv_fds(channel, LONGEST_MESSAGE, 1)
        if not message:
            return
        if message == KILL:
            continue  # The attempt ended while this was on its way.
        server, child = os.getpid(), os.fork()
        if not child:
            channel.close()
            end_with_parent(server)
            _become(attempt, ForkRequest.from_bytes(message), log=logs[0])
        os.close(logs[0])
        if not _follow(child, channel):
            return


def _follow(child: int, channel: socket.socket) -> bool:
    """Look after an attempt until it ends, then tell the worker; False when that is gone."""
    ended = os.pidfd_open(child)
    try:
        while True:
            readable, _, _ = select.select([channel.fileno(), ended], [], [])
            if ended in readable:
                _, status = os.waitpid(child, 0)
                channel.send(str(os.waitstatus_to_exitcode(status)).encode())
                return True
            if channel.recv(LONGEST_MESSAGE) != KILL:
                return False
            signal.pidfd_send_signal(ended, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(ended)


def _become(attempt: Attempt, request: ForkRequest, *, log: int) -> None:
    """In the fork: do the attempt, and end the process with its exit code."""
    code = 1
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        if request.memory_limit_bytes:
            setrlimit(RLIMIT_AS, (request.memory_limit_bytes, request.memory_limit_bytes))
        code = attempt(Path(request.folder))
    except BaseException:  # noqa: BLE001  # nothing of a fork may come back into the loop of the server
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            # Of a log whose disk is full; the exit code says what it must.
            with suppress(OSError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
