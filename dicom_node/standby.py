"""One active `work` where the index is on a server: the others stand by and take over."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread

from config.settings import Settings
from dicom_node.errors import NodeError
from dicom_node.service import notify_watchdog
from storage.active import ActiveLock
from storage.address import is_sqlite, parse_address
from storage.errors import DataFolderInUseError, IndexUnreachableError
from storage.locks import lock_data_dir

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 1.0
"""So often a stand-by tries to become active, and the active one looks whether it still is."""
_LONGEST_NAME = 63
"""PostgreSQL cuts the name of a session there (NAMEDATALEN - 1)."""


class _NotAloneError(NodeError):
    """It was time to end before the data folder was free."""


Work = Callable[[Event], None]
"""Works until the event is set."""


def run_alone(settings: Settings, work: Work, *, stop: Event, on_standing_by: Callable[[], None]) -> None:
    """Work as the only one on the index until told to stop.

    On a server a second process stands by, and works when the first one is gone. Who loses the connection by which it
    is the active one stops working, and stands by in its turn.

    Args:
        settings: Of the node.
        work: Called while this is the active one; its event is set to end, or when it is that no longer.
        stop: Set to end.
        on_standing_by: Called whenever another one is found to be active.

    Raises:
        DataFolderInUseError: On SQLite another `work` runs.
        StorageError: Of the work.
    """
    if is_sqlite(parse_address(settings.database_url)):
        with lock_data_dir(settings.data_dir, "work"):
            work(stop)
        return
    lock = ActiveLock(settings.database_url, name=_session_name(settings))
    try:
        while _is_active(lock, stop, on_standing_by):
            _work_while_active(settings, work, lock=lock, stop=stop)
    finally:
        lock.release()


def _session_name(settings: Settings) -> str:
    """Which machine, as its other processes are shown, and which process; of a long name the process stays."""
    process = f":{os.getpid()}"
    machine = f"dicom-node work {settings.node.machine or socket.gethostname()}"
    return machine[: _LONGEST_NAME - len(process)] + process


def _is_active(lock: ActiveLock, stop: Event, on_standing_by: Callable[[], None]) -> bool:
    """Wait until this is the active one; False when told to stop."""
    said = ""
    while not stop.is_set():
        if lock.take():
            logger.info("active: no other work holds the lock of the index")
            return True
        why = lock.trouble.detail if lock.trouble else "another work is active"
        if why != said:
            logger.info("standing by: %s", why)
        if not said:
            on_standing_by()
        said = why
        notify_watchdog()
        stop.wait(_LOOK_INTERVAL_S)
    return False


def _work_while_active(settings: Settings, work: Work, *, lock: ActiveLock, stop: Event) -> None:
    """Work until told to stop, or until the lock is lost."""
    try:
        with _ends(lock, stop) as ends, _alone_on_folder(settings, ends):
            work(ends)
    except IndexUnreachableError as error:
        logger.error("the database is lost: %s", error)  # noqa: TRY400  # says what to do
    except _NotAloneError:
        logger.info("another work took over before this one began")
    lock.release()
    stop.wait(_LOOK_INTERVAL_S)


@contextmanager
def _ends(lock: ActiveLock, stop: Event) -> Iterator[Event]:
    """An event that is set when told to stop, and when the lock is lost."""
    ends, is_over = Event(), Event()

    def watch() -> None:
        while not stop.wait(_LOOK_INTERVAL_S) and not is_over.is_set():
            if not lock.is_held():
                logger.error("no longer the active one: the connection to the database is lost; nothing more is begun")
                break
        ends.set()

    watcher = Thread(target=watch, name="active lock", daemon=True)
    watcher.start()
    try:
        yield ends
    finally:
        is_over.set()
        watcher.join()


@contextmanager
def _alone_on_folder(settings: Settings, ends: Event) -> Iterator[None]:
    """Wait until whoever was active on this data folder before has ended; its end is a matter of seconds."""
    with ExitStack() as locked:
        while not ends.is_set():
            try:
                locked.enter_context(lock_data_dir(settings.data_dir, "work"))
            except DataFolderInUseError as error:
                logger.warning("waiting for the work that was active before: %s", error.detail)
                notify_watchdog()
                ends.wait(_LOOK_INTERVAL_S)
            else:
                yield
                return
        raise _NotAloneError
