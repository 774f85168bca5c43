"""Places at which a test may end the node by SIGKILL, to see that nothing is lost there.

Armed by `arm_from_environment` alone, with DICOM_NODE_FAILPOINT; otherwise `reach` looks at one attribute and returns.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from storage.errors import StorageError

VARIABLE = "DICOM_NODE_FAILPOINT"
"""`NAME:N` ends the process when it comes to the place for the N-th time; `NAME:N:worker` its worker too.

The process of an attempt is forked from a server of the worker and dies with both.
"""

FAILPOINTS = (
    "assoc.accepted",
    "store.part_open",
    "store.half_written",
    "store.before_fsync",
    "store.after_fsync",
    "store.after_rename",
    "store.after_dirsync",
    "index.before_commit",
    "index.after_commit",
    "store.before_rsp",
    "store.after_rsp",
    "trigger.before_job_commit",
    "trigger.after_job_commit",
    "job.claimed",
    "job.inputs_verified",
    "job.mid_inference",
    "job.output_in_memory",
    "result.before_fsync",
    "result.after_fsync",
    "result.registered",
    "send.assoc_open",
    "send.mid_object",
    "send.after_rsp_before_commit",
    "send.after_commit",
)
"""In the order of a study's way: receiving, trigger, worker, sending."""

KEEPING_FAILPOINTS = ("retention.planned", "retention.rows_gone", "retention.noted", "retention.file_gone")
"""In the deletion of a study, which is on no study's way; `dicom-node retention run` and the worker come there."""


class UnknownFailpointError(StorageError):
    """DICOM_NODE_FAILPOINT is `NAME:N` or `NAME:N:worker` with a name of docs/faults.md; unset it outside tests."""


class _Armed:
    """What happens at a failpoint."""

    action: Callable[[str], None] | None = None


_armed = _Armed()


def reach(name: str) -> None:
    """Say that the process is at a failpoint."""
    if _armed.action is not None:
        _armed.action(name)


def arm(action: Callable[[str], None] | None) -> None:
    """Call the action with the name of each failpoint that is reached; None disarms."""
    _armed.action = action


def arm_from_environment() -> None:
    """Arm what the environment names; nothing where it names nothing.

    Raises:
        UnknownFailpointError: It names no failpoint.
    """
    value = os.environ.get(VARIABLE)
    if value:
        arm(_kill_at(value))


def _kill_at(value: str) -> Callable[[str], None]:
    """An action that counts arrivals and ends the process at the n-th."""
    name, _, rest = value.partition(":")
    count, _, whom = rest.partition(":")
    if name not in (*FAILPOINTS, *KEEPING_FAILPOINTS) or not count.isdecimal() or whom not in {"", "worker"}:
        raise UnknownFailpointError(value)
    arrivals: Counter[str] = Counter()
    lock = Lock()

    def act(reached: str) -> None:
        if reached != name:
            return
        with lock:
            arrivals[name] += 1
            if arrivals[name] != int(count):
                return
            if whom:
                os.kill(_parent_of(os.getppid()), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def _parent_of(pid: int) -> int:
    """Process ID of the parent of a process (proc(5))."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return int(stat.rpartition(")")[2].split()[1])
