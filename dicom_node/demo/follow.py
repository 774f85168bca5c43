"""Follows a study through the node by looking at its index."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from dicom_node.errors import NodeError
from dicom_node.job_records import JobProgress
from storage.index import Index
from storage.lifecycle import State
from storage.records import StudyView

_LOOK_INTERVAL_S = 0.1
ENDS = frozenset({State.DELIVERED, State.SKIPPED, State.HELD, State.PIPELINE_FAILED, State.DELIVERY_FAILED})
"""Where a study stays in a demo: nobody is there to decide about one that is held."""
PHASES = {
    State.RECEIVING: "Receiving",
    State.WAITING_FOR_PRIORS: "Looking for earlier studies",
    State.READY: "Waiting for the worker",
    State.PROCESSING: "Starting the pipeline",
    State.PROCESSED: "Sending results",
    State.SENDING: "Sending results",
}


class DemoTimeoutError(NodeError):
    """The study did not come through in time; see node.log in the output folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a study stands at one look."""

    phase: str
    """What is being done, in words."""
    fraction: float
    """0..1 of the way through the node; 1 is the end."""


def follow_study(index: Index, data_dir: Path, study_instance_uid: str, *, within_s: float) -> Iterator[Standing]:
    """Where the study stands, look after look, until it has come to an end.

    Args:
        index: Of the node.
        data_dir: Of the node.
        study_instance_uid: Of a study that was sent.
        within_s: At most so long.

    Raises:
        DemoTimeoutError: The time is over.
    """
    ends_at_s = monotonic() + within_s
    while True:
        view = index.study(study_instance_uid)
        if view:
            yield _standing(view, data_dir)
        if view and view.state in ENDS:
            return
        if monotonic() > ends_at_s:
            raise DemoTimeoutError
        sleep(_LOOK_INTERVAL_S)


def _standing(view: StudyView, data_dir: Path) -> Standing:
    """What one look shows; the pipeline's own progress fills the middle of the way."""
    if view.state in ENDS:
        return Standing(phase=f"Ended as {view.state}", fraction=1.0)
    phase = PHASES[view.state]
    if view.state is not State.PROCESSING:
        return Standing(phase=phase, fraction=0.95 if view.result else 0.05)
    progress = _running_attempt(data_dir)
    if progress is None:
        return Standing(phase=phase, fraction=0.1)
    stage = progress.stage if progress.fraction < 1.0 else "Writing results"
    return Standing(phase=stage, fraction=0.1 + 0.8 * progress.fraction)


def _running_attempt(data_dir: Path) -> JobProgress | None:
    """Progress of the attempt that runs: the demo's worker runs one at a time."""
    found = (JobProgress.read(folder) for folder in sorted((data_dir / "jobs").glob("*")))
    return next((progress for progress in found if progress), None)
