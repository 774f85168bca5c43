"""How a node is doing, in one look."""

from dataclasses import dataclass
from datetime import datetime
from shutil import disk_usage

from config.settings import Settings
from dicom_node.clock import Clock
from storage.index import Index
from storage.lifecycle import State
from storage.records import Heartbeat

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskStatus:
    """The disk of the data folder."""

    free_bytes: int
    total_bytes: int
    floor_bytes: int
    """Below it senders are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What `status --json` prints."""

    at: datetime
    studies: dict[State, int]
    """How many are in each state; every state is named."""
    processes: tuple[ProcessStatus, ...]
    destinations: tuple[DestinationStatus, ...]
    disk: DiskStatus


def node_status(settings: Settings, index: Index, *, clock: Clock) -> NodeStatus:
    """Look at index and disk.

    Args:
        settings: Of the node.
        index: Of the node.
        clock: Tells how old a sign of life is.
    """
    now = clock.now()
    usage = disk_usage(settings.data_dir)
    return NodeStatus(
        at=now,
        studies=index.counts_by_state(),
        processes=tuple(_process(heartbeat, now) for heartbeat in index.heartbeats()),
        destinations=tuple(_destination(index, peer.name) for peer in settings.destinations),
        disk=DiskStatus(free_bytes=usage.free, total_bytes=usage.total, floor_bytes=settings.storage.free_floor_bytes),
    )


def _process(heartbeat: Heartbeat, now: datetime) -> ProcessStatus:
    """A process by its last sign of life."""
    silent_s = (now - heartbeat.at).total_seconds()
    return ProcessStatus(heartbeat=heartbeat, silent_s=silent_s, is_alive=silent_s <= SILENT_AFTER_S)


def _destination(index: Index, name: str) -> DestinationStatus:
    """A destination by what waits for it."""
    due = index.due_deliveries(destination=name, limit=_COUNTED_DELIVERIES)
    return DestinationStatus(name=name, due_deliveries=len(due))
