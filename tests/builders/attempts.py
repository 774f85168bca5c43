"""Attempts that run some code in the place of the pipeline, forked as the worker forks them."""

from dicom_node.forking import ForkServer

_SERVER = """
import sys
from dicom_node import fork_server

def attempt(folder):
    sys.argv = ["attempt", str(folder)]
    exec({code!r}, {{"__name__": "__main__"}})
    return 0

sys.exit(fork_server.main(attempt))
"""


_made: list[ForkServer] = []


def attempts_of(code: str) -> ForkServer:
    """Each attempt runs this Python code; `sys.argv[1]` is the folder of the job. `end_attempts` ends the server."""
    server = ForkServer(("-c", _SERVER.format(code=code)))
    _made.append(server)
    return server


def end_attempts() -> None:
    """End every server that `attempts_of` made."""
    while _made:
        _made.pop().close()
