"""Child processes that never outlive the process that started them."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from resource import RLIMIT_AS, setrlimit
from typing import IO

_PR_SET_PDEATHSIG = 1
"""prctl(2), linux/prctl.h."""


def start_child(
    command: Sequence[str],
    *,
    log: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    memory_limit_bytes: int = 0,
    folder: Path | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process that the kernel kills when this one ends, however it ends.

    Args:
        command: Program with arguments.
        log: Takes its stdout and stderr; None leaves them where ours go.
        environment: Its whole environment; None hands ours on.
        memory_limit_bytes: Limit of its address space (RLIMIT_AS); 0 is none.
        folder: Its working folder.
        descriptors: That it keeps open, under the same numbers.

    Raises:
        OSError: The process could not be started.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        """Run between fork and exec: only calls that take no lock."""
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if memory_limit_bytes:
            setrlimit(RLIMIT_AS, (memory_limit_bytes, memory_limit_bytes))

    return subprocess.Popen(
        list(command),
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        env=environment,
        cwd=folder,
        preexec_fn=prepare,
        pass_fds=tuple(descriptors),
    )


def end_with_parent(parent: int) -> None:
    """In a fork: let the kernel kill this process when its parent, the process of this ID, ends; it may be gone by now."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def end_in_words(code: int) -> str:
    """How a process ended, from its exit code, which is negative for a signal (`subprocess.Popen.returncode`)."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def end_child(child: subprocess.Popen[bytes], *, grace_s: float) -> None:
    """End a child: SIGTERM, then SIGKILL after the grace; returns when it is gone."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
