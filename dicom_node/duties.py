"""The periodic duties of the worker: judge, ask, fetch, deliver, watch."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from threading import Lock, Thread

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from config.settings import Settings
from dicom_node.alerts.duty import AlertWatch
from dicom_node.audit.deliveries import DeliveryAudit
from dicom_node.audit.syslog import SyslogShipper
from dicom_node.audit.trail import audit_trail, process_party, trail_folder
from dicom_node.clock import Clock
from dicom_node.commitment.scu import CommitmentScu, rules_from
from dicom_node.counts import PeerCounts
from dicom_node.evidence import SeriesCount
from dicom_node.outbox import Outbox, back_off_from
from dicom_node.retention import Retention
from dicom_node.retrieve.association import StopSwitch
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.count import count_images
from dicom_node.retrieve.duty import fetchers
from dicom_node.sweep import CompletenessSweep
from storage.database import open_engine
from storage.index import Index

logger = logging.getLogger(__name__)

_ASK_INTERVAL_S = 0.5
_SHIP_INTERVAL_S = 2
_ALERT_INTERVAL_S = 30
_OWN_DUTIES = 10
"""Beside those for each peer; a few threads more harm nobody."""


class Duties:
    """The duties by the newest settings; what began by older ones ends undisturbed.

    A duty never overlaps itself, not even one of older settings: two outboxes of one destination would send an object
    twice.
    """

    def __init__(self, index: Index, *, clock: Clock) -> None:
        """None is done yet."""
        self._index = index
        self._clock = clock
        self._turns: dict[str, Lock] = {}
        self._current: _DutiesOfSettings | None = None
        self._ending: list[tuple[_DutiesOfSettings, Thread]] = []

    def go_by(self, settings: Settings) -> None:
        """Do them by these settings from now on."""
        self._retire()
        self._current = _DutiesOfSettings(settings, self._index, self._clock, self._turns)
        self._current.start()

    def end(self) -> None:
        """End them all: what waits for a peer is interrupted."""
        self._retire()
        for duties, thread in self._ending:
            duties.interrupt()
            thread.join()

    def _retire(self) -> None:
        """Begin nothing new by the settings before."""
        self._ending = [(duties, thread) for duties, thread in self._ending if thread.is_alive()]
        if self._current:
            thread = Thread(target=self._current.finish, name="ending duties", daemon=True)
            self._ending.append((self._current, thread))
            thread.start()
        self._current = None


class _DutiesOfSettings:
    """The duties by one set of settings, each in its own thread."""

    def __init__(self, settings: Settings, index: Index, clock: Clock, turns: dict[str, Lock]) -> None:
        self._turns = turns
        self._at_the_end = ExitStack()
        # A peer that keeps its thread waiting keeps no other duty waiting.
        threads = ThreadPoolExecutor(_OWN_DUTIES + 3 * len(settings.peers))
        defaults = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        self._scheduler = BackgroundScheduler(executors={"default": threads}, job_defaults=defaults)
        counting = StopSwitch()
        self._interrupts: list[Callable[[], None]] = [counting.stop]
        counts = _counts(settings, clock, counting)
        sweep = CompletenessSweep(settings, index, counts=counts, clock=clock)
        self._add("counts", counts.ask_next, _ASK_INTERVAL_S)
        self._add("completeness", sweep.run, settings.completeness.sweep_interval_s)
        for outbox in _outboxes(settings, index, clock):
            self._add(f"outbox {outbox.destination}", outbox.send_due, 1)
        for scu in _committing(settings, index, clock):
            self._add(f"commitment {scu.destination}", scu.ask_due, 1)
            self._interrupts.append(scu.stop)
        for fetcher in self._at_the_end.enter_context(fetchers(settings, index, clock=clock)):
            self._add(f"fetch {fetcher.peer.name}", fetcher.fetch_due, 1)
            self._interrupts.append(fetcher.stop)
        self._add_watching(settings, clock)
        self._add_retention(settings, clock)

    def start(self) -> None:
        """Do them from now on."""
        self._scheduler.start()

    def interrupt(self) -> None:
        """Wait for no peer any longer."""
        for interrupt in self._interrupts:
            interrupt()

    def finish(self) -> None:
        """Begin none any more; returns when those that run have ended."""
        self._scheduler.shutdown(wait=True)
        self._at_the_end.close()

    def _add(self, name: str, duty: Callable[[], object], interval_s: float) -> None:
        turn = self._turns.setdefault(name, Lock())

        def take_turn() -> None:
            """The duty, unless the same one by older settings is still being done."""
            if turn.acquire(blocking=False):
                try:
                    duty()
                finally:
                    turn.release()

        self._scheduler.add_job(take_turn, "interval", seconds=interval_s, id=name, name=name)

    def _add_retention(self, settings: Settings, clock: Clock) -> None:
        """Delete what need not be kept."""
        engine = open_engine(settings.database_url)
        self._at_the_end.callback(engine.dispose)
        trail = audit_trail(settings, clock=clock)
        retention = Retention(settings, engine, clock=clock, trail=trail, by=process_party(settings, "work"))
        self._add("retention", retention.look, settings.retention.sweep_interval_s)

    def _add_watching(self, settings: Settings, clock: Clock) -> None:
        """Look for what an administrator should see, tell it; bring the audit trail to its server."""
        engine = open_engine(settings.database_url)
        self._at_the_end.callback(engine.dispose)
        watch = AlertWatch(settings, engine, clock=clock)
        self._add("alerts", watch.look, _ALERT_INTERVAL_S)
        for channel in settings.alerts.channels:
            self._add(f"alerts {channel}", partial(watch.tell, channel), _ALERT_INTERVAL_S)
        if settings.audit.syslog_host:
            shipper = SyslogShipper(settings.audit, trail_folder(settings), clock=clock)
            self._add("audit", shipper.ship_due, _SHIP_INTERVAL_S)


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
