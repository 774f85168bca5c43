"""Why a batch asks its PACS for nothing."""

from dataclasses import replace
from datetime import datetime

from config.settings import Settings
from dicom_node.batch.hours import hours_from
from dicom_node.listen.disk_floor import surely_free_from
from dicom_node.wording import readable_size
from storage.batch_records import BatchState, BatchStudyState, BatchView
from storage.disk import free_bytes_of
from storage.errors import StorageError


def with_standstill(batch: BatchView, settings: Settings, *, now: datetime) -> BatchView:
    """The batch with the reason why it does not go on, where it is to and has studies to ask for."""
    if batch.state is not BatchState.RUNNING or not batch.studies.get(BatchStudyState.WAITING):
        return batch
    return replace(batch, waits=_closed_pacs(batch, settings) or why_not_now(batch, settings, now=now))


def why_not_now(batch: BatchView, settings: Settings, *, now: datetime) -> str:
    """Why the PACS is not to be asked at an instant, aware; empty where it may be."""
    plan = batch.plan
    if not hours_from(plan.hours).contain(now.astimezone()):
        return f"outside its hours {plan.hours}"
    if words := full_disk(settings):
        return words
    if batch.asked_in_last_hour >= plan.per_hour:
        return f"per_hour is reached: {batch.asked_in_last_hour} asked for in the last hour"
    return ""


def full_disk(settings: Settings) -> str:
    """Why nothing more should be fetched on the disk; empty where there is room.

    The bound is that from which on the listener takes associations in every case: it remembers that it refused, and what
    it refuses comes back as a failure of the PACS. New studies have the room below it for themselves.
    """
    needed = surely_free_from(settings.storage)
    try:
        is_free = free_bytes_of(settings.data_dir) >= needed
    except StorageError:
        return "the free space of the data folder is not known"
    return "" if is_free else f"fewer than {readable_size(needed)} are free in the data folder"


def _closed_pacs(batch: BatchView, settings: Settings) -> str:
    """Why the configuration lets nobody ask the PACS; empty where it does."""
    name = batch.plan.peer
    peer = next((peer for peer in settings.peers if peer.name == name), None)
    if peer is None:
        return f"the configuration has no peer {name}"
    if peer.query_retrieve == "none":
        return f"{name} has no query_retrieve: dicom-node ae change {name} query_retrieve=move (or get)"
    return ""
