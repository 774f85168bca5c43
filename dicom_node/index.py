"""Opens the index of the node that a configuration names."""

from pathlib import Path

from sqlalchemy import Engine

from config.settings import Settings
from dicom_node.clock import SystemClock
from dicom_node.errors import NodeError
from storage.address import is_sqlite, parse_address
from storage.database import open_engine
from storage.index import Index
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
        StorageError: The database cannot be opened.
    """
    url = parse_address(settings.database_url)
    if is_sqlite(url) and not Path(url.database or "").is_file():
        reason = f"no index at {url.database}: start the node once, or name its configuration with --config"
        raise NoIndexError(reason)
    return open_engine(settings.database_url)
