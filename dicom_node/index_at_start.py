"""What every process does with the index before it uses it, and how it waits for a database server that is not there yet."""

import logging
from threading import Event

from config.settings import Settings
from dicom_node.machines import require_own_folder
from dicom_node.service import notify_waiting
from storage.errors import IndexUnreachableError
from storage.lost_index import refuse_lost_index
from storage.migrations import migrate

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 1.0
_LONGEST_LOOK_S = 120.0
"""So long the service manager waits for the next look: a name may stand for several addresses, each is tried for 5 s."""


def make_index_ready(settings: Settings) -> None:
    """Bring the index to the form of this version, and see that it belongs to the data folder.

    Raises:
        IndexLostError: Received files are here and the index is gone.
        SharedFolderError: The folder is not that of the index.
        StorageError: The index cannot be opened.
    """
    refuse_lost_index(settings.database_url, settings.data_dir)
    migrate(settings.database_url)
    require_own_folder(settings)


def await_index(settings: Settings, *, stop: Event) -> bool:
    """Make the index ready; wait for its server for as long as that does not answer.

    Args:
        settings: Of the node.
        stop: Set to end.

    Returns:
        False when told to stop before.

    Raises:
        StorageError: Of `make_index_ready`, but for a server that does not answer.
    """
    said = ""
    while not stop.is_set():
        try:
            make_index_ready(settings)
        except IndexUnreachableError as error:
            # What the server says may change: it starts, then refuses.
            if error.detail != said:
                logger.warning("waiting for the database server: %s", error.detail)
            said = error.detail
            notify_waiting("waiting for the database server", within_s=_LONGEST_LOOK_S)
            stop.wait(_LOOK_INTERVAL_S)
        else:
            return True
    return False
