"""Runs an attempt in a process of its own, so that its crash, hang or hunger for memory is a failed attempt."""

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired
from threading import Event

from config.settings import Settings
from dicom_node.child import end_in_words
from dicom_node.disk_refusals import refusal_of
from dicom_node.forking import ForkedChild, ForkServer
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.2


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

    def __init__(self, limits: EngineLimits, *, server: ForkServer | None = None) -> None:
        """Fork attempts from the server; by default from one that does the job of `dicom_node.job`."""
        self.limits = limits
        self._server = server or ForkServer()

    def close(self) -> None:
        """End the server of forks; the next attempt starts it again."""
        self._server.close()

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

        Raises:
            DiskError: The disk refused what the attempt wrote.
            OSError: It refused what the attempt needs.
        """
        spec.write(folder)
        with (folder / "job.log").open("wb") as log:
            child = self._server.start(
                folder, log, memory_limit_bytes=self.limits.memory_limit_bytes, threads=spec.threads
            )
        try:
            return self._wait(child, folder, keep_going=keep_going, stop=stop)
        finally:
            child.kill()

    def _wait(
        self, child: ForkedChild, folder: Path, *, keep_going: Callable[[], bool], stop: Event
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
                return _outcome(code, folder)


def _outcome(code: int, folder: Path) -> JobOutcome:
    """How a process ended by itself."""
    refusal = refusal_of(code)
    if refusal:
        raise refusal
    return _crash(code) if code else JobOutcome.read(folder) or _no_outcome()


def _no_outcome() -> JobOutcome:
    """The outcome of a process that ended as if all were well, but left none."""
    return JobOutcome(kind=OutcomeKind.FAILED, reason="the pipeline process ended without an outcome", retryable=True)


def _too_slow(time_limit_s: float) -> JobOutcome:
    """The outcome of a process that hangs."""
    reason = f"not finished after {time_limit_s:g} s: ended; raise [pipeline].time_limit_s if this machine is slow"
    return JobOutcome(kind=OutcomeKind.FAILED, reason=reason, retryable=True)


def _crash(code: int) -> JobOutcome:
    """The outcome of a process that ended without one."""
    hint = ": out of memory?" if code == -signal.SIGKILL else ""
    return JobOutcome(
        kind=OutcomeKind.FAILED, reason=f"the pipeline process ended {end_in_words(code)}{hint}", retryable=True
    )
