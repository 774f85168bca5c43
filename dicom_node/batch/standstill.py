"""Why a batch asks its PACS for nothing."""

from config.settings import Settings
from dicom_node.listen.disk_floor import surely_free_from
from dicom_node.wording import readable_size
from storage.batch_records import BatchState, BatchStudyState, BatchView
from storage.disk import free_bytes_of
from storage.errors import StorageError


def standstill(batch: BatchView, settings: Settings) -> str:
    """Why a batch that runs and has studies to ask for does not go on; empty where it does, and where it is not to."""
    if batch.state is not BatchState.RUNNING or not batch.studies.get(BatchStudyState.WAITING):
        return ""
    return full_disk(settings)


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
