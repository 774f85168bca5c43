"""The engine that runs attempts on a Ray cluster, seen from the worker."""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from threading import Event, Lock, Thread

from config.settings import Settings
from dicom_node.child import end_child, end_in_words, start_child
from dicom_node.clock import SystemClock
from dicom_node.cluster.abort import socket_problem
from dicom_node.cluster.driver_log import LOG_NAME, PREVIOUS_LOG_NAME, bound_log, keep_previous_log, previous_log
from dicom_node.cluster.library import ray_environment
from dicom_node.cluster.plan import DriverPlan
from dicom_node.cluster.said import BACK, REFUSED
from dicom_node.cluster.state import ClusterState
from dicom_node.disk_refusals import refusal_of
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.2
_START_AGAIN_S = 5.0
_GRACE_S = 2.0


@dataclass(slots=True)
class _Asked:
    """An attempt that the driver was asked for."""

    ended: Event = field(default_factory=Event)
    """Set at its end, and when the driver is gone."""
    word: str = ""
    """What the driver said of it, last."""


class _Line:
    """The lines between the worker and one process of the driver."""

    def __init__(self, stream: socket.socket) -> None:
        self.places = 0
        self.is_open = True
        self._stream = stream
        self._lock = Lock()
        self._asked: dict[str, _Asked] = {}
        Thread(target=self._listen, name="ray driver", daemon=True).start()

    def say(self, line: str) -> None:
        """One line; a driver that is gone does not hear it."""
        with self._lock:
            try:
                self._stream.sendall(f"{line}\n".encode())
            except OSError:
                self.is_open = False

    def run(self, folder: Path) -> _Asked:
        """Ask for an attempt."""
        asked = self._asked[str(folder)] = _Asked()
        self.say(f"run {folder}")
        return asked

    def forget(self, folder: Path) -> None:
        """No more is wanted of an attempt."""
        self._asked.pop(str(folder), None)

    def _listen(self) -> None:
        with self._stream, self._stream.makefile("r", encoding="utf-8") as heard, suppress(ConnectionError):
            for line in heard:
                word, _, rest = line.rstrip("\n").partition(" ")
                if word == "places":
                    self.places = int(rest)
                elif asked := self._asked.get(rest):
                    asked.word = word
                    asked.ended.set()
        self.is_open, self.places = False, 0
        for asked in tuple(self._asked.values()):
            asked.ended.set()


class RayEngine:
    """Runs as many attempts at a time as the cluster has actors, and a few that wait in its memory.

    `tend` must be called again and again by one thread that lives as long as the engine: the driver's process ends with it.
    """

    def __init__(self, plan: DriverPlan) -> None:
        """Nothing is started yet."""
        self._plan = plan
        self._line: _Line | None = None
        self._child: Popen[bytes] | None = None
        self._start_at_s = 0.0

    def follow(self, settings: Settings) -> None:
        """Nothing: `config.restart` names all that is in the plan, so that whoever changes it is told to start the worker anew."""

    @property
    def places(self) -> int:
        """How many attempts it takes at a time; 0 while the cluster is not there."""
        return self._line.places if self._line else 0

    def tend(self) -> None:
        """Start the driver, again if it ended; bound its log while it runs."""
        code = self._child.poll() if self._child else None
        if self._child and code is None:
            with suppress(OSError):
                bound_log(self._plan.data_dir)
            return
        now_s = time.monotonic()
        if code is not None:
            self._say_why(code)
            self._child, self._start_at_s = None, now_s + _START_AGAIN_S
        if now_s >= self._start_at_s:
            self._start()

    def close(self) -> None:
        """End the driver, and with it all actors; nothing happens the second time."""
        if self._child:
            end_child(self._child, grace_s=_GRACE_S)
            self._child = None

    def run(self, spec: JobSpec, folder: Path, *, keep_going: Callable[[], bool], stop: Event) -> JobOutcome | None:
        """Run the attempt to its end; see `LocalEngine.run`.

        An attempt whose driver lost its cluster, or is not connected yet, is nobody's failure.

        Raises:
            DiskError: The disk of this machine refused what the attempt writes.
            OSError: It refused what the attempt needs.
        """
        line = self._line
        spec.write(folder)
        (folder / "job.log").touch()
        if line is None or not line.places:
            return None
        asked = line.run(folder)
        try:
            while not asked.ended.wait(_LOOK_INTERVAL_S):
                if stop.is_set() or not keep_going() or not line.is_open:
                    line.say(f"end {folder}")
                    return None
        finally:
            line.forget(folder)
        if asked.word == BACK:
            return None
        if asked.word.startswith(REFUSED) and (refusal := refusal_of(int(asked.word.removeprefix(REFUSED)))):
            raise refusal
        outcome = JobOutcome.read(folder)
        if outcome is None and line.is_open:
            reason = f"the driver of the Ray cluster left no outcome: see {LOG_NAME}"
            return JobOutcome(kind=OutcomeKind.FAILED, reason=reason, retryable=True)
        return outcome

    def _say_why(self, code: int) -> None:
        """In the log; of an end in C in the state of the cluster too, for the driver could not do that itself."""
        data_dir = self._plan.data_dir
        keep_previous_log(data_dir)
        words = "the driver of the Ray cluster ended %s, see %s in the data folder; it is started again"
        logger.error(words, end_in_words(code), PREVIOUS_LOG_NAME)
        problem = socket_problem(previous_log(data_dir))
        if problem:
            logger.error("%s", problem)
            state = ClusterState(at=SystemClock().now(), address=self._plan.ray.address, problem=problem)
            with suppress(OSError):
                state.write(data_dir)

    def _start(self) -> None:
        keep_previous_log(self._plan.data_dir)
        ours, theirs = socket.socketpair()
        with theirs, (self._plan.data_dir / LOG_NAME).open("ab") as log:
            self._child = start_child(
                [sys.executable, "-m", "dicom_node.cluster.driver", str(theirs.fileno())],
                log=log,
                environment={**os.environ, **ray_environment(self._plan.ray)},
                descriptors=[theirs.fileno()],
            )
        self._line = _Line(ours)
        self._line.say(self._plan.to_json())
