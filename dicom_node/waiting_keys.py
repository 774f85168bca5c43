"""What of the configuration the processes of a node take up only at their next start."""

from collections.abc import Iterable

from config.settings import Settings
from dicom_node.errors import NodeError
from dicom_node.index import open_index
from storage.errors import StorageError
from storage.records import Heartbeat


def waiting_in_words(heartbeats: Iterable[Heartbeat]) -> list[str]:
    """A line for each process that needs a restart."""
    return [
        f"{beat.words}: changed since start, needs a restart: {', '.join(beat.needs_restart)}"
        for beat in heartbeats
        if beat.needs_restart
    ]


def waiting_lines(settings: Settings) -> list[str]:
    """The same by the newest signs of life; nothing where no node ran, or its index cannot be read."""
    try:
        index = open_index(settings)
        try:
            return waiting_in_words(index.heartbeats())
        finally:
            index.close()
    except (NodeError, StorageError):
        return []
