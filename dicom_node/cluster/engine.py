"""The engine that runs attempts on a Ray cluster, seen from the worker."""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
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
from dicom_node.cluster.state import ClusterState
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.2
_START_AGAIN_S = 5.0
_GRACE_S = 2.0


class _Line:
    """The lines between the worker and one process of the driver."""

    def __init__(self, stream: socket.socket) -> None:
        self.places = 0
        self.is_open = True
        self._stream = stream
        self._lock = Lock()
        self._done: dict[str, Event] = {}
        Thread(target=self._listen, name="ray driver", daemon=True).start()

    def say(self, line: str) -> None:
        """One line; a driver that is gone does not hear it."""
        with self._lock:
            try:
                self._stream.sendall(f"{line}\n".encode())
            except OSError:
                self.is_open = False

    def run(self, folder: Path) -> Event:
        """Ask for an attempt; the event is set at its end, and when the driver is gone."""
        done = self._done[str(folder)] = Event()
        self.say(f"run {folder}")
        return done

    def forget(self, folder: Path) -> None:
        """No more is wanted of an attempt."""
        self._done.pop(str(folder), None)

    def _listen(self) -> None:
        with self._stream, self._stream.makefile("r", encoding="utf-8") as heard, suppress(ConnectionError):
            for line in heard:
                word, _, rest = line.rstrip("\n").partition(" ")
                if word == "places":
                    self.places = int(rest)
                elif rest in self._done:
                    self._done[rest].set()
        self.is_open, self.places = False, 0
        for done in tuple(self._done.values()):
            done.set()


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

        An attempt whose driver lost its cluster is nobody's failure.
        """
        line = self._line
        spec.write(folder)
        (folder / "job.log").touch()
        if line is None or not line.is_open:
            return None
        done = line.run(folder)
        try:
            while not done.wait(_LOOK_INTERVAL_S):
                if stop.is_set() or not keep_going() or not line.is_open:
                    line.say(f"end {folder}")
                    return None
        finally:
            line.forget(folder)
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
