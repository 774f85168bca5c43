"""Free TCP ports on loopback."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_FIRST, _OF_A_PROCESS, _PROCESSES = 12_000, 2_000, 10
"""Below the ports that the system gives to whoever calls (ip_local_port_range: 32768 on), a share for each process of pytest.

A port of those would be free at one moment and another test's, or a caller's, at the next.
"""

_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on now, and that this run of the tests gives to nobody else."""
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
    first = _FIRST + share * _OF_A_PROCESS
    while True:
        port = random.randrange(first, first + _OF_A_PROCESS)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody else is given while the block lasts; a server with SO_REUSEADDR can still take it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def is_open(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
