"""Opens the index of the node that a configuration names."""

from sqlalchemy import Engine

from config.settings import Settings
from dicom_node.clock import SystemClock
from dicom_node.errors import NodeError
from storage.database import open_engine
from storage.errors import IndexLostError
from storage.index import Index
from storage.lost_index import has_received_files, index_file, is_missing
from storage.patient_index import PatientIndex


class NoIndexError(NodeError):
    """There is no index yet; start the node once, or name its configuration with --config."""


def open_index(settings: Settings) -> Index:
    """The index of a node that ran before; nothing is created.

    Raises:
        NoIndexError: The node never ran with this configuration.
        StorageError: The index cannot be opened.
    """
    return Index(open_index_engine(settings), now=SystemClock().now)


def open_patient_index(settings: Settings, *, by: str) -> PatientIndex:
    """What administrators say about patients, in the index of a node that ran before.

    Args:
        settings: Of the node.
        by: Operator.

    Raises:
        NoIndexError: The node never ran with this configuration.
        StorageError: The index cannot be opened.
    """
    return PatientIndex(open_index_engine(settings), now=SystemClock().now, by=by)


def open_index_engine(settings: Settings) -> Engine:
    """The database of a node that ran before; nothing is created.

    Raises:
        NoIndexError: The node never ran with this configuration.
        IndexLostError: It did, and its index is gone.
        StorageError: The database cannot be opened.
    """
    if is_missing(settings.database_url):
        if has_received_files(settings.data_dir):
            raise IndexLostError
        reason = f"no index at {index_file(settings.database_url)}: start the node once, or name its configuration with --config"
        raise NoIndexError(reason)
    return open_engine(settings.database_url)
