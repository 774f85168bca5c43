"""The worker: everything after an instance is received."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from apscheduler.schedulers.background import BackgroundScheduler

from config.settings import Settings
from dicom_node.audit.trail import audit_trail, process_recorded
from dicom_node.clock import SystemClock
from dicom_node.dispatch import Dispatcher
from dicom_node.duties import Duties
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.reloading import Reach, Reloading
from dicom_node.service import notify_stopping, notify_watchdog
from dicom_node.settings_file import SettingsFile
from dicom_node.watching.gpus import gpus_in_words, visible_gpus
from storage.database import open_engine
from storage.errors import StorageError
from storage.files import ResultStore, lock_data_dir
from storage.index import Index
from storage.lost_index import refuse_lost_index
from storage.migrations import migrate

logger = logging.getLogger(__name__)

WORKER = Reach(
    takes_up=frozenset(
        {"peers", "completeness", "priors", "pipeline", "results", "outbox", "alerts", "watching", "retention"},
    ),
    waits_for=frozenset({"node", "storage", "log", "audit"}),
)
"""What the worker lives by."""

_LOOK_INTERVAL_S = 0.5
_REFUSED_WAIT_S = 10
_HEARTBEAT_S = 5
_RELOAD_INTERVAL_S = 2


def run_worker(settings: Settings, *, stop: Event, on_ready: Callable[[], None], path: Path | None = None) -> None:
    """Work until told to stop.

    Args:
        settings: Of the node.
        stop: Set to end; a running attempt goes back to the queue.
        on_ready: Called once, when everything is up.
        path: File that the settings come from, which is followed; None where there is none.

    Raises:
        StorageError: The data folder is in use by another worker, or the index cannot be opened.
    """
    with lock_data_dir(settings.node.data_dir, "work"):
        refuse_lost_index(settings.database_url, settings.data_dir)
        migrate(settings.database_url)
        index = Index(open_engine(settings.database_url), now=SystemClock().now)
        freed = index.release_all(why="the worker was started anew", maximum_attempts=settings.pipeline.attempts)
        logger.info("worker started, %d attempts freed", len(freed))
        reloading = Reloading(SettingsFile(path, settings), WORKER)
        _dispatcher(settings, index).sweep()
        trail = audit_trail(settings)
        with process_recorded(trail, settings, "work"), _duties(reloading, index):
            on_ready()
            _dispatch_until(stop, reloading, index)
            notify_stopping()


def _dispatcher(settings: Settings, index: Index) -> Dispatcher:
    """The dispatcher with the engine that the settings name."""
    limits = EngineLimits(
        time_limit_s=settings.pipeline.time_limit_s, memory_limit_bytes=settings.pipeline.memory_limit_bytes
    )
    return Dispatcher(settings, index, results=ResultStore(settings.node.data_dir), engine=LocalEngine(limits))


def _dispatch_until(stop: Event, reloading: Reloading, index: Index) -> None:
    """Run attempts one after the other, each by the newest settings; wait while disk or index refuse."""
    settings = reloading.settings
    dispatcher = _dispatcher(settings, index)
    while not stop.is_set():
        if settings is not reloading.settings:
            settings = reloading.settings
            dispatcher = _dispatcher(settings, index)
        try:
            is_idle = not dispatcher.run_next(stop)
        except StorageError as error:
            logger.error("no attempt is run for %d s: %s", _REFUSED_WAIT_S, error)  # noqa: TRY400  # says what to do
            stop.wait(_REFUSED_WAIT_S)
            continue
        if is_idle:
            stop.wait(_LOOK_INTERVAL_S)


@contextmanager
def _duties(reloading: Reloading, index: Index) -> Iterator[None]:
    """The periodic duties by the newest settings, and those that need none: signs of life, leases, the settings."""
    duties = Duties(index, clock=SystemClock())
    scheduler = BackgroundScheduler(job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None})

    def release_expired() -> None:
        index.release_expired(maximum_attempts=reloading.settings.pipeline.attempts)

    def reload() -> None:
        if reloading.look():
            duties.go_by(reloading.settings)

    lease_s = reloading.settings.pipeline.lease_s
    scheduler.add_job(release_expired, "interval", seconds=lease_s / 2, id="leases")
    scheduler.add_job(_beat, "interval", seconds=_HEARTBEAT_S, args=[index, reloading], id="heartbeat")
    scheduler.add_job(reload, "interval", seconds=_RELOAD_INTERVAL_S, id="configuration")
    _beat(index, reloading)
    duties.go_by(reloading.settings)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=True)
        duties.end()


def _beat(index: Index, reloading: Reloading) -> None:
    """Say that the worker lives, after the index took a write."""
    words = (gpus_in_words(visible_gpus()), reloading.note)
    index.beat("work", "; ".join(part for part in words if part))
    notify_watchdog()
