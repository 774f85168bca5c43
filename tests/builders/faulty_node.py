"""A node that is killed on purpose: at a failpoint, or from outside."""

import os
import signal
from dataclasses import dataclass

from builders.deadline import until
from builders.node import NodeProcess
from storage.failpoints import FAILPOINTS, VARIABLE
from storage.lifecycle import State
from storage.records import StudyView

LISTEN_POINTS = FAILPOINTS[:11]
WORK_POINTS = FAILPOINTS[11:]
_IN_THE_JOB = frozenset({"job.inputs_verified", "job.mid_inference", "job.output_in_memory"})
_ENDED_BADLY = frozenset({State.SKIPPED, State.PIPELINE_FAILED, State.DELIVERY_FAILED})
_KILLED_WITHIN_S = 120
_DELIVERED_WITHIN_S = 180


@dataclass(slots=True, kw_only=True)
class FaultyNode(NodeProcess):
    """Listener and worker as two services; the worker analyses with the engine for plain shapes."""

    def start_with_failpoint(self, part: str, failpoint: str, *, arrival: int = 1) -> None:
        """Start one part, which ends by SIGKILL when it comes to the failpoint for the n-th time."""
        whom = ":worker" if failpoint in _IN_THE_JOB else ""
        environment = {**os.environ, VARIABLE: f"{failpoint}:{arrival}{whom}"}
        self._launch(part, environment, is_quick=part == "work")

    def start(self, part: str) -> None:
        """Start one part."""
        self._launch(part, is_quick=part == "work")

    def start_again(self, part: str) -> None:
        """Start a part that ended; return when it takes connections, if it is the listener."""
        self.start(part)
        if part == "listen":
            self.wait_until_it_listens()

    def wait_for_the_kill(self, part: str) -> None:
        """Return when the part has ended by SIGKILL."""
        process = self._running[part]
        until(lambda: process.poll() is not None, within_s=_KILLED_WITHIN_S, what=f"{part} comes to its failpoint")
        assert self._running.pop(part).returncode == -signal.SIGKILL, (self.folder / f"{part}.log").read_text()[-2000:]

    def is_running(self, part: str) -> bool:
        """Whether a part runs."""
        return part in self._running and self._running[part].poll() is None

    def wait_until_delivered(self, study_instance_uid: str) -> None:
        """Return when the newest result of a study is delivered and nothing further is to come."""

        def is_delivered(view: StudyView | None) -> bool:
            assert view is None or view.state not in _ENDED_BADLY, f"{view.state}: {view.reason}"
            return view is not None and view.state is State.DELIVERED

        what = f"{study_instance_uid} is delivered"
        self.watch(study_instance_uid, is_delivered, within_s=_DELIVERED_WITHIN_S, what=what)
