"""What an administrator should look at that whoever looks sees at once: `status` and the pages also while no worker runs."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from config.settings import Settings
from dicom_node.batch.words import batch_alerts
from dicom_node.cluster.words import CLUSTER, cluster_alerts, cluster_state
from dicom_node.commitment.words import alerts_of
from storage.batch_records import BatchView
from storage.commitment_records import CommitmentCounts
from storage.records import Heartbeat

Found = tuple[str, str]
"""Subject and sentence."""

WORKER_SILENT = "worker silent"
_LISTENER_SILENT = "listener silent"
_HELD = "studies held"
_SUBJECTS = (_HELD, "batch paused: ", "not kept: ", "never confirmed: ", CLUSTER, _LISTENER_SILENT, WORKER_SILENT)
"""How each subject begins."""
_SILENT_AFTER = timedelta(minutes=2)
"""Longer than a restart takes."""
_TOLD_AFTER_S = {_LISTENER_SILENT: 60.0, CLUSTER: 300.0}
"""What a start of the whole machine, or of the actors, shows for a while."""


def seen_at_once(
    settings: Settings,
    *,
    held: int,
    commitments: Mapping[str, CommitmentCounts],
    batches: Iterable[BatchView],
    beats: Iterable[Heartbeat],
    now: datetime,
) -> dict[str, str]:
    """A sentence for each thing that is wrong now, by subject.

    Args:
        settings: Of the node.
        held: Studies that name two patients.
        commitments: By destination, of those that are asked.
        batches: That are under way.
        beats: Last sign of life of each process.
        now: Aware.
    """
    beats = tuple(beats)
    return dict(
        [
            *silent_processes(beats, now=now),
            *_held(held),
            *(found for name, counts in commitments.items() for found in alerts_of(name, counts)),
            *cluster_alerts(settings, cluster_state(settings), now=now),
            *batch_alerts(batches),
        ]
    )


def is_seen_at_once(subject: str) -> bool:
    """Whether an alert is one of these: it is over as soon as it is not seen, whether or not a worker looked again."""
    return subject.startswith(_SUBJECTS)


def told_after_s(subject: str) -> float:
    """How long a worker sees something before anybody is told."""
    return next((wait_s for begin, wait_s in _TOLD_AFTER_S.items() if subject.startswith(begin)), 0.0)


def silent_processes(beats: Iterable[Heartbeat], *, now: datetime) -> Iterator[Found]:
    """The worker and listeners that left no sign of life: behind a load balancer nobody else notices that one is gone."""
    for beat in beats:
        if now - beat.at <= _SILENT_AFTER:
            continue
        since = f"left no sign of life since {beat.at:%Y-%m-%d %H:%M} UTC"
        if beat.process == "listen" and beat.machine:
            yield f"{_LISTENER_SILENT}: {beat.machine}", f"the listener on {beat.machine} {since}: start it"
        elif beat.process == "listen":
            yield _LISTENER_SILENT, f"the listener {since}, nothing is received: start it"
        elif beat.process == "work":
            where = f" on {beat.machine}" if beat.machine else ""
            yield WORKER_SILENT, f"the worker{where} {since}, nothing is analysed, sent or told by mail: start it"


def _held(held: int) -> Iterator[Found]:
    if held:
        subject = "1 study names" if held == 1 else f"{held} studies name"
        yield _HELD, f"{subject} two patients, nothing of it is run: dicom-node study list --state held"
