"""Runs an attempt in a process of its own, so that its crash, hang or hunger for memory is a failed attempt."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from threading import Event

from config.settings import Settings
from dicom_node.child import end_child, start_child
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.2
_GRACE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What an attempt may take."""

    time_limit_s: float
    memory_limit_bytes: int
    """Address space; 0 is none."""


def limits_from(settings: Settings) -> EngineLimits:
    """What an attempt may take by these settings."""
    pipeline = settings.pipeline
    return EngineLimits(time_limit_s=pipeline.time_limit_s, memory_limit_bytes=pipeline.memory_limit_bytes)


class LocalEngine:
    """Runs one attempt at a time on this machine."""

    def __init__(self, limits: EngineLimits, *, command: tuple[str, ...] = ("-m", "dicom_node.job")) -> None:
        """Use the interpreter that runs the worker; `command` is what it runs, followed by the folder."""
        self.limits = limits
        self._command = command

    def follow(self, settings: Settings) -> None:
        """Take the limits of these settings from the next attempt on."""
        self.limits = limits_from(settings)

    def run(self, spec: JobSpec, folder: Path, *, keep_going: Callable[[], bool], stop: Event) -> JobOutcome | None:
        """Run the attempt to its end.

        Args:
            spec: The attempt.
            folder: Its own, empty.
            keep_going: Asked a few times a second; False ends the process (the lease is lost).
            stop: Set when the worker is to end.

        Returns:
            How it ended; None when it was ended from outside.
        """
        spec.write(folder)
        with (folder / "job.log").open("wb") as log:
            child = start_child(
                [sys.executable, *self._command, str(folder)],
                log=log,
                environment=_environment(spec.threads),
                memory_limit_bytes=self.limits.memory_limit_bytes,
            )
            try:
                return self._wait(child, folder, keep_going=keep_going, stop=stop)
            finally:
                end_child(child, grace_s=_GRACE_S)

    def _wait(
        self, child: Popen[bytes], folder: Path, *, keep_going: Callable[[], bool], stop: Event
    ) -> JobOutcome | None:
        """Look after the process until it ends, is too slow, or is no longer wanted."""
        deadline_s = time.monotonic() + self.limits.time_limit_s
        while True:
            try:
                code = child.wait(_LOOK_INTERVAL_S)
            except TimeoutExpired:
                if stop.is_set() or not keep_going():
                    return None
                if time.monotonic() > deadline_s:
                    return _too_slow(self.limits.time_limit_s)
            else:
                return _crash(code) if code else JobOutcome.read(folder) or _no_outcome()


def _environment(threads: int) -> dict[str, str]:
    """The process's environment, with the number of threads that numeric libraries read at start."""
    return {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}


def _no_outcome() -> JobOutcome:
    """The outcome of a process that ended as if all were well, but left none."""
    return JobOutcome(kind=OutcomeKind.FAILED, reason="the pipeline process ended without an outcome", retryable=True)


def _too_slow(time_limit_s: float) -> JobOutcome:
    """The outcome of a process that hangs."""
    reason = f"not finished after {time_limit_s:g} s: ended; raise [pipeline].time_limit_s if this machine is slow"
    return JobOutcome(kind=OutcomeKind.FAILED, reason=reason, retryable=True)


def _crash(code: int) -> JobOutcome:
    """The outcome of a process that ended without one."""
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    hint = ": out of memory?" if code == -signal.SIGKILL else ""
    return JobOutcome(kind=OutcomeKind.FAILED, reason=f"the pipeline process ended {how}{hint}", retryable=True)
