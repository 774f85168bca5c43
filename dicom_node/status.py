"""How a node is doing, in one look."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from shutil import disk_usage

from config.settings import Peer, Settings
from dicom_node.batch.standstill import with_standstill
from dicom_node.batch.words import batch_alerts
from dicom_node.clock import Clock
from dicom_node.cluster.state import ClusterState
from dicom_node.cluster.words import cluster_alerts, cluster_state
from dicom_node.commitment.words import alerts_of
from dicom_node.destinations import RoleChoice, choices_of
from storage.active import WorkerRole
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
    cluster = cluster_state(settings)
    batches = tuple(with_standstill(batch, settings, now=now) for batch in index.batches.under_way())
    return NodeStatus(
        at=now,
        alerts=(
            *_alerts(studies),
            *_commitment_alerts(destinations),
            *cluster_alerts(settings, cluster, now=now),
            *batch_alerts(batches),
            *_standing(index),
        ),
        batches=batches,
        cluster=cluster,
        studies=studies,
        processes=processes_of(index, now=now),
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


def _alerts(studies: dict[State, int]) -> tuple[str, ...]:
    """What does not go on by itself."""
    held = studies[State.HELD]
    if not held:
        return ()
    subject = "1 study names" if held == 1 else f"{held} studies name"
    return (f"{subject} two patients, nothing of it is run: dicom-node study list --state held",)


def _standing(index: Index) -> Iterator[str]:
    """What the worker found wrong when it last looked."""
    return (f"{alert.words} (since {alert.since:%Y-%m-%d %H:%M} UTC)" for alert in index.alerts.standing())


def _commitment_alerts(destinations: Iterable[DestinationStatus]) -> Iterator[str]:
    """What destinations lost, or never confirmed."""
    for destination in destinations:
        if destination.commitment:
            yield from alerts_of(destination.name, destination.commitment)


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
