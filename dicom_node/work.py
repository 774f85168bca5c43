"""The worker: everything after an instance is received."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from threading import Event

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from config.settings import Settings
from dicom_node.audit.trail import audit_trail, process_recorded
from dicom_node.clock import SystemClock
from dicom_node.cluster.engine import RayEngine
from dicom_node.cluster.lanes import Lanes
from dicom_node.cluster.plan import DriverPlan
from dicom_node.dispatch import Dispatcher
from dicom_node.duties import Duties
from dicom_node.engine import LocalEngine, limits_from
from dicom_node.index_at_start import make_index_ready
from dicom_node.memory import give_back
from dicom_node.service import notify_stopping, notify_watchdog
from dicom_node.settings_file import SettingsFile
from dicom_node.standby import run_alone
from dicom_node.stopped_attempts import StoppedAttempts
from dicom_node.waking import at_once, wait_for_work
from dicom_node.watching.gpus import gpus_in_words, visible_gpus
from dicom_node.worker_duties import WorkerDuties
from storage.database import open_engine, open_what_stays
from storage.errors import StorageError
from storage.files import ResultStore
from storage.index import Index
from storage.wake import Topic, WakeUps

logger = logging.getLogger(__name__)

_REFUSED_WAIT_S = 10
_HEARTBEAT_S = 5
_LOOK_AT_SETTINGS_S = 1
_GIVE_BACK_S = 60
_OWN_DUTIES = 10
"""Beside those for each peer; a few threads more harm nobody."""
_PEERS_TO_COME = 32
"""That may be added while the worker runs; threads are made when they are needed."""


def run_worker(file: SettingsFile, *, stop: Event, on_ready: Callable[[], None]) -> None:
    """Work until told to stop.

    Args:
        file: The configuration of the node; it is followed.
        stop: Set to end; a running attempt goes back to the queue.
        on_ready: Called once, when everything is up.

    Raises:
        StorageError: The data folder is in use by another worker, or the index cannot be opened.
    """
    said = Event()

    def on_ready_once() -> None:
        if not said.is_set():
            said.set()
            on_ready()

    work = partial(_work, file, on_ready=on_ready_once, stopped=StoppedAttempts())
    run_alone(file.settings, work, stop=stop, on_standing_by=on_ready_once)
    notify_stopping()


def _work(file: SettingsFile, ends: Event, *, on_ready: Callable[[], None], stopped: StoppedAttempts) -> None:
    """Do everything, as the only one, until the event is set."""
    settings = file.settings
    make_index_ready(settings)
    database = open_engine(settings.database_url)
    with closing(Index(database, now=SystemClock().now)) as index, closing(_engine(settings)) as engine:
        open_what_stays(database)
        stopped.give_back(index)
        freed = index.release_all(why="the worker was started anew", maximum_attempts=settings.pipeline.attempts)
        logger.info("worker started, %d attempts freed", len(freed))
        results = ResultStore(settings.node.data_dir)
        dispatcher = Dispatcher(settings, index, results=results, engine=engine, stopped=stopped)
        dispatcher.sweep()
        trail, ready = audit_trail(settings), Event()
        with (
            process_recorded(trail, settings, "work"),
            _duties(file, index, dispatcher) as scheduler,
            WakeUps(database, _callbacks(scheduler, ready)) as wake_ups,
        ):
            on_ready()
            if isinstance(engine, RayEngine):
                Lanes(dispatcher, engine, ends).run()
            else:
                _dispatch_until(ends, dispatcher, partial(wait_for_work, ends, ready, wake_ups))


def _callbacks(scheduler: BackgroundScheduler, ready: Event) -> dict[Topic, Callable[[], None]]:
    """What is done at once when the database says so."""
    return {
        Topic.READY: ready.set,
        Topic.STUDIES: at_once(scheduler, "completeness"),
        Topic.DELIVERIES: at_once(scheduler, "outbox "),
    }


def _engine(settings: Settings) -> LocalEngine | RayEngine:
    """The engine that the settings name."""
    if settings.pipeline.engine == "ray":
        return RayEngine(DriverPlan.of(settings))
    return LocalEngine(limits_from(settings))


def _dispatch_until(stop: Event, dispatcher: Dispatcher, wait: Callable[[], None]) -> None:
    """Run attempts one after the other; wait while disk or index refuse."""
    while not stop.is_set():
        try:
            is_idle = not dispatcher.run_next(stop)
        except StorageError as error:
            logger.error("no attempt is run for %d s: %s", _REFUSED_WAIT_S, error)  # noqa: TRY400  # says what to do
            stop.wait(_REFUSED_WAIT_S)
            continue
        if is_idle:
            wait()


@contextmanager
def _duties(file: SettingsFile, index: Index, dispatcher: Dispatcher) -> Iterator[BackgroundScheduler]:
    """The periodic duties, each in its own thread, none overlapping itself; they follow the configuration.

    Yields:
        Their scheduler.
    """
    settings = file.settings
    # A peer that keeps its thread waiting keeps no other duty waiting.
    threads = ThreadPoolExecutor(_OWN_DUTIES + 4 * (len(settings.peers) + _PEERS_TO_COME))
    defaults = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    scheduler = BackgroundScheduler(executors={"default": threads}, job_defaults=defaults)
    made = WorkerDuties(settings, index, clock=SystemClock())
    duties = Duties(scheduler)
    duties.follow(made.wanted())

    def look() -> None:
        if file.look():
            dispatcher.follow(file.settings)
            dispatcher.engine.follow(file.settings)
            made.follow(file.settings)
            duties.follow(made.wanted())

    scheduler.add_job(look, "interval", seconds=_LOOK_AT_SETTINGS_S, id="configuration")
    scheduler.add_job(_beat, "interval", seconds=_HEARTBEAT_S, args=[index, file], id="heartbeat")
    scheduler.add_job(give_back, "interval", seconds=_GIVE_BACK_S, id="memory")
    _beat(index, file)
    scheduler.start()
    try:
        yield scheduler
    finally:
        # Else one that is made meanwhile would not be stopped.
        scheduler.pause()
        duties.stop()
        scheduler.shutdown(wait=True)


def _beat(index: Index, file: SettingsFile) -> None:
    """Say that the worker lives, after the index took a write."""
    machine = file.started_with.machine
    index.beat("work", gpus_in_words(visible_gpus()), machine=machine, needs_restart=file.needs_restart)
    notify_watchdog()
