"""How a node is doing, in one look."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from shutil import disk_usage

from config.settings import Peer, Settings
from dicom_node.alerts.at_once import is_seen_at_once, seen_at_once
from dicom_node.batch.standstill import with_standstill
from dicom_node.clock import Clock
from dicom_node.cluster.state import ClusterState
from dicom_node.cluster.words import cluster_state
from dicom_node.destinations import RoleChoice, choices_of
from storage.active import WorkerRole
from storage.alerts import Alert
from storage.batch_records import BatchView
from storage.commitment_records import CommitmentCounts
from storage.index import Index
from storage.lifecycle import State
from storage.outages import Outage
from storage.records import ClassAnswer, Heartbeat

SILENT_AFTER_S = 30.0
"""Both processes leave a sign of life every few seconds; one that is silent for longer is taken as gone."""

_COUNTED_DELIVERIES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """One process of the node."""

    heartbeat: Heartbeat
    silent_s: float
    is_alive: bool
    """Whether the last sign of life is fresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """One peer that receives results."""

    name: str
    due_deliveries: int
    """Objects whose time to be sent has come; at most 1000 are counted."""
    roles: tuple[RoleChoice, ...]
    """What it takes of what its settings name, by its newest answers; empty before the first association."""
    answers: tuple[ClassAnswer, ...]
    """Its newest answer to the offer of each SOP class."""
    outage: Outage | None
    """Since when it cannot be reached, and when it is tried next; None while it can."""
    commitment: CommitmentCounts | None
    """Objects that it took and did not commit; None where it is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskStatus:
    """The disk of the data folder."""

    free_bytes: int
    total_bytes: int
    floor_bytes: int
    """Below it objects are refused."""
    refused_below_bytes: int
    """Below it new associations are refused: the floor and the margin of an association."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What `status --json` prints."""

    at: datetime
    alerts: tuple[str, ...]
    """What waits for an administrator, and what to do; a sentence each."""
    studies: dict[State, int]
    """How many are in each state; every state is named."""
    processes: tuple[ProcessStatus, ...]
    workers: tuple[WorkerRole, ...]
    """Every `work` that is connected to the database server, the active one first; empty on SQLite."""
    destinations: tuple[DestinationStatus, ...]
    disk: DiskStatus
    cluster: ClusterState | None = None
    """As its driver last saw it; None where the node analyses by itself."""
    batches: tuple[BatchView, ...] = ()
    """Those that are neither done nor cancelled, with why they do not go on."""


def node_status(settings: Settings, index: Index, *, clock: Clock) -> NodeStatus:
    """Look at index and disk.

    Args:
        settings: Of the node.
        index: Of the node.
        clock: Tells how old a sign of life is.
    """
    now = clock.now()
    usage = disk_usage(settings.data_dir)
    studies = index.counts_by_state()
    destinations = tuple(_destination(index, peer) for peer in settings.destinations)
    batches = tuple(with_standstill(batch, settings, now=now) for batch in index.batches.under_way())
    processes = processes_of(index, now=now)
    seen = seen_at_once(
        settings,
        held=studies[State.HELD],
        commitments={one.name: one.commitment for one in destinations if one.commitment},
        batches=batches,
        beats=[process.heartbeat for process in processes],
        now=now,
    )
    return NodeStatus(
        at=now,
        alerts=tuple(_sentences(seen, index.alerts.standing())),
        batches=batches,
        cluster=cluster_state(settings),
        studies=studies,
        processes=processes,
        workers=index.workers(),
        destinations=destinations,
        disk=DiskStatus(
            free_bytes=usage.free,
            total_bytes=usage.total,
            floor_bytes=settings.storage.free_floor_bytes,
            refused_below_bytes=settings.storage.refused_below_bytes,
        ),
    )


def processes_of(index: Index, *, now: datetime) -> tuple[ProcessStatus, ...]:
    """Every process that left a sign of life."""
    return tuple(_process(heartbeat, now) for heartbeat in index.heartbeats())


def _sentences(seen: Mapping[str, str], standing: Sequence[Alert]) -> Iterator[str]:
    """What is wrong now, then what the worker found wrong when it last looked."""
    since = {alert.subject: f" (since {alert.since:%Y-%m-%d %H:%M} UTC)" for alert in standing}
    for subject, words in seen.items():
        yield f"{words}{since.get(subject, '')}"
    for alert in standing:
        if not is_seen_at_once(alert.subject):
            yield f"{alert.words}{since[alert.subject]}"


def _process(heartbeat: Heartbeat, now: datetime) -> ProcessStatus:
    """A process by its last sign of life."""
    silent_s = (now - heartbeat.at).total_seconds()
    return ProcessStatus(heartbeat=heartbeat, silent_s=silent_s, is_alive=silent_s <= SILENT_AFTER_S)


def _destination(index: Index, peer: Peer) -> DestinationStatus:
    """A destination by what waits for it, and by what it accepted and refused last."""
    answers = index.answers_of(peer.name)
    accepted = {answer.sop_class_uid for answer in answers if answer.transfer_syntax_uid}
    return DestinationStatus(
        name=peer.name,
        due_deliveries=len(index.due_deliveries(destination=peer.name, limit=_COUNTED_DELIVERIES)),
        roles=choices_of(peer, accepted) if answers else (),
        answers=answers,
        outage=index.outages.of(peer.name),
        commitment=index.commitments.counts_of(peer.name) if peer.storage_commitment else None,
    )
