"""The worker: everything after an instance is received."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from config.settings import Settings
from dicom_node.alerts.duty import AlertWatch
from dicom_node.audit.deliveries import DeliveryAudit
from dicom_node.audit.syslog import SyslogShipper
from dicom_node.audit.trail import audit_trail, process_recorded, trail_folder
from dicom_node.batch.duty import batch_runners
from dicom_node.clock import Clock, SystemClock
from dicom_node.commitment.scu import CommitmentScu, rules_from
from dicom_node.counts import PeerCounts
from dicom_node.dispatch import Dispatcher
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.evidence import SeriesCount
from dicom_node.outbox import Outbox, back_off_from
from dicom_node.retrieve.association import StopSwitch
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.count import count_images
from dicom_node.retrieve.duty import fetchers
from dicom_node.service import notify_stopping, notify_watchdog
from dicom_node.sweep import CompletenessSweep
from dicom_node.watching.gpus import gpus_in_words, visible_gpus
from storage.database import open_engine
from storage.errors import StorageError
from storage.files import ResultStore, lock_data_dir
from storage.index import Index
from storage.lost_index import refuse_lost_index
from storage.migrations import migrate

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.5
_REFUSED_WAIT_S = 10
_HEARTBEAT_S = 5
_ASK_INTERVAL_S = 0.5
_SHIP_INTERVAL_S = 2
_ALERT_INTERVAL_S = 30
_OWN_DUTIES = 10
"""Beside those for each peer; a few threads more harm nobody."""


def run_worker(settings: Settings, *, stop: Event, on_ready: Callable[[], None]) -> None:
    """Work until told to stop.

    Args:
        settings: Of the node.
        stop: Set to end; a running attempt goes back to the queue.
        on_ready: Called once, when everything is up.

    Raises:
        StorageError: The data folder is in use by another worker, or the index cannot be opened.
    """
    with lock_data_dir(settings.node.data_dir, "work"):
        refuse_lost_index(settings.database_url, settings.data_dir)
        migrate(settings.database_url)
        index = Index(open_engine(settings.database_url), now=SystemClock().now)
        freed = index.release_all(why="the worker was started anew", maximum_attempts=settings.pipeline.attempts)
        logger.info("worker started, %d attempts freed", len(freed))
        dispatcher = _dispatcher(settings, index)
        dispatcher.sweep()
        trail = audit_trail(settings)
        with process_recorded(trail, settings, "work"), _duties(settings, index):
            on_ready()
            _dispatch_until(stop, dispatcher)
            notify_stopping()


def _dispatcher(settings: Settings, index: Index) -> Dispatcher:
    """The dispatcher with the engine that the settings name."""
    limits = EngineLimits(
        time_limit_s=settings.pipeline.time_limit_s, memory_limit_bytes=settings.pipeline.memory_limit_bytes
    )
    return Dispatcher(settings, index, results=ResultStore(settings.node.data_dir), engine=LocalEngine(limits))


def _dispatch_until(stop: Event, dispatcher: Dispatcher) -> None:
    """Run attempts one after the other; wait while disk or index refuse."""
    while not stop.is_set():
        try:
            is_idle = not dispatcher.run_next(stop)
        except StorageError as error:
            logger.error("no attempt is run for %d s: %s", _REFUSED_WAIT_S, error)  # noqa: TRY400  # says what to do
            stop.wait(_REFUSED_WAIT_S)
            continue
        if is_idle:
            stop.wait(_LOOK_INTERVAL_S)


@contextmanager
def _duties(settings: Settings, index: Index) -> Iterator[None]:
    """The periodic duties, each in its own thread, none overlapping itself."""
    clock = SystemClock()
    # A peer that keeps its thread waiting keeps no other duty waiting.
    threads = ThreadPoolExecutor(_OWN_DUTIES + 4 * len(settings.peers))
    defaults = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    scheduler = BackgroundScheduler(executors={"default": threads}, job_defaults=defaults)
    counting = StopSwitch()
    counts = _counts(settings, clock, counting)
    sweep = CompletenessSweep(settings, index, counts=counts, clock=clock)
    scheduler.add_job(counts.ask_next, "interval", seconds=_ASK_INTERVAL_S, id="counts")
    scheduler.add_job(sweep.run, "interval", seconds=settings.completeness.sweep_interval_s, id="completeness")
    scheduler.add_job(
        index.release_expired,
        "interval",
        seconds=settings.pipeline.lease_s / 2,
        kwargs={"maximum_attempts": settings.pipeline.attempts},
        id="leases",
    )
    scheduler.add_job(_beat, "interval", seconds=_HEARTBEAT_S, args=[index], id="heartbeat")
    for outbox in _outboxes(settings, index, clock):
        scheduler.add_job(outbox.send_due, "interval", seconds=1, id=f"outbox {outbox.destination}")
    _add_watching(scheduler, settings, clock)
    committing = _committing(settings, index, clock)
    for scu in committing:
        scheduler.add_job(scu.ask_due, "interval", seconds=1, id=f"commitment {scu.destination}")
    with ExitStack() as at_the_end:
        asked = at_the_end.enter_context(fetchers(settings, index, clock=clock))
        for fetcher in asked:
            scheduler.add_job(fetcher.fetch_due, "interval", seconds=1, id=f"fetch {fetcher.peer.name}")
        runners = at_the_end.enter_context(batch_runners(settings, index, clock=clock))
        for runner in runners:
            scheduler.add_job(runner.run_due, "interval", seconds=1, id=f"batch {runner.peer.name}")
        _beat(index)
        scheduler.start()
        at_the_end.callback(scheduler.shutdown, wait=True)
        at_the_end.callback(counting.stop)
        for fetcher in asked:
            at_the_end.callback(fetcher.stop)
        for runner in runners:
            at_the_end.callback(runner.stop)
        for scu in committing:
            at_the_end.callback(scu.stop)
        yield


def _add_watching(scheduler: BackgroundScheduler, settings: Settings, clock: Clock) -> None:
    """Look for what an administrator should see, tell it; bring the audit trail to its server."""
    watch = AlertWatch(settings, open_engine(settings.database_url), clock=clock)
    scheduler.add_job(watch.look, "interval", seconds=_ALERT_INTERVAL_S, id="alerts")
    for channel in settings.alerts.channels:
        scheduler.add_job(watch.tell, "interval", seconds=_ALERT_INTERVAL_S, args=[channel], id=f"alerts {channel}")
    if settings.audit.syslog_host:
        shipper = SyslogShipper(settings.audit, trail_folder(settings), clock=clock)
        scheduler.add_job(shipper.ship_due, "interval", seconds=_SHIP_INTERVAL_S, id="audit")


def _beat(index: Index) -> None:
    """Say that the worker lives, after the index took a write."""
    index.beat("work", gpus_in_words(visible_gpus()))
    notify_watchdog()


def _counts(settings: Settings, clock: Clock, switch: StopSwitch) -> PeerCounts:
    """What peers have of a study, asked by C-FIND."""
    peers = {peer.name: peer for peer in settings.peers}
    trail = audit_trail(settings, clock=clock)

    def ask(name: str, study_instance_uid: str) -> tuple[SeriesCount, ...]:
        own_aet = settings.node.ae_title
        audit = RetrieveAudit(trail, peers[name], own_aet=own_aet)
        return count_images(peers[name], study_instance_uid, own_aet=own_aet, switch=switch, audit=audit)

    return PeerCounts(ask, clock=clock)


def _outboxes(settings: Settings, index: Index, clock: Clock) -> tuple[Outbox, ...]:
    """One outbox for each peer that receives results."""
    back_off = back_off_from(settings.outbox)
    made = tuple(
        Outbox(
            index,
            peer,
            own_aet=settings.node.ae_title,
            back_off=back_off,
            clock=clock,
            answer_timeout_s=settings.outbox.answer_timeout_s,
        )
        for peer in settings.peers
        if peer.receives_results
    )
    trail = audit_trail(settings, clock=clock)
    for outbox, peer in zip(made, settings.destinations, strict=True):
        outbox.audit = DeliveryAudit(trail, index, peer, own_aet=settings.node.ae_title)
    return made


def _committing(settings: Settings, index: Index, clock: Clock) -> tuple[CommitmentScu, ...]:
    """Who asks each peer with storage commitment whether it keeps its results."""
    rules = rules_from(settings)
    own_aet = settings.node.ae_title
    return tuple(CommitmentScu(index, peer, own_aet=own_aet, rules=rules, clock=clock) for peer in settings.committers)
