"""Why Ray ended a process of ours in C, with nothing raised: it could not open the sockets of its machine."""

import re

_SOCKET = re.compile(r"Failed to connect to socket at address:\s*(\S+)")
"""Ray 2.60, src/ray/raylet_ipc_client/raylet_ipc_client.cc."""


def socket_problem(said: str) -> str:
    """What to do about what such a process left on stderr; empty where it was something else."""
    found = _SOCKET.search(said)
    if found is None:
        return ""
    return (
        f"this process cannot open Ray's socket {found[1]}: start Ray as the same user, with --temp-dir=/var/lib/dicom-node-ray, "
        "and give the worker's unit of systemd the drop-in for it, see docs/ray.md"
    )
