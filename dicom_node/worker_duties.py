"""The duties of the worker, as the configuration asks for them."""

from collections.abc import Callable, Iterator
from functools import partial

from config.settings import Peer, Settings
from dicom_node.alerts.duty import AlertWatch
from dicom_node.audit.deliveries import DeliveryAudit
from dicom_node.audit.syslog import SyslogShipper
from dicom_node.audit.trail import audit_trail, process_party, trail_folder
from dicom_node.batch.duty import batch_runner_for
from dicom_node.batch.ends import note_ends
from dicom_node.clock import Clock
from dicom_node.commitment.scu import CommitmentScu, rules_from
from dicom_node.counts import PeerCounts
from dicom_node.duties import Duty, WantedDuty
from dicom_node.evidence import SeriesCount
from dicom_node.outbox import Outbox, back_off_from
from dicom_node.peer_names import peer_named
from dicom_node.removed_peers import RemovedPeersSweep
from dicom_node.retention import Retention
from dicom_node.retrieve.association import StopSwitch
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.count import count_images
from dicom_node.retrieve.duty import FetchStore, fetcher_for
from dicom_node.sweep import CompletenessSweep
from storage.database import open_engine
from storage.index import Index

_ASK_INTERVAL_S = 0.5
_PEER_INTERVAL_S = 1.0
_SHIP_INTERVAL_S = 2.0
_ALERT_INTERVAL_S = 30.0
_REMOVED_PEERS_INTERVAL_S = 60.0


class WorkerDuties:
    """Makes the duties; those that do not come and go are here for as long as the worker is."""

    def __init__(self, settings: Settings, index: Index, *, clock: Clock) -> None:
        """Begin with these settings."""
        self._settings = settings
        self._index = index
        self._clock = clock
        self._counting = StopSwitch()
        self._counts = PeerCounts(self._count, clock=clock)
        self._sweep = CompletenessSweep(settings, index, counts=self._counts, clock=clock)
        self._engine = open_engine(settings.database_url)
        self._watch = AlertWatch(settings, self._engine, clock=clock)
        self._removed_peers = RemovedPeersSweep(settings, self._engine, clock=clock)
        self._store = FetchStore(settings.data_dir, index)

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings
        self._sweep.follow(settings)
        self._watch.follow(settings)
        self._removed_peers.follow(settings)

    def wanted(self) -> dict[str, WantedDuty]:
        """Every duty that the settings ask for, by name."""
        return dict([*self._of_index(), *self._of_watching(), *self._of_peers(), *self._of_retention()])

    def _of_index(self) -> Iterator[tuple[str, WantedDuty]]:
        """What moves studies on."""
        pipeline, sweep_s = self._settings.pipeline, self._settings.completeness.sweep_interval_s
        free = partial(self._index.release_expired, maximum_attempts=pipeline.attempts)
        yield "counts", _made(Duty(run=self._counts.ask_next, interval_s=_ASK_INTERVAL_S, stop=self._counting.stop))
        yield "completeness", _made(Duty(run=self._sweep.run, interval_s=sweep_s), sweep_s)
        # Not of a PACS: what is here of a batch goes on when its PACS is asked for nothing any more.
        yield "batches", _made(Duty(run=self._note_ends, interval_s=_PEER_INTERVAL_S))
        yield "leases", _made(Duty(run=free, interval_s=pipeline.lease_s / 2), pipeline.attempts, pipeline.lease_s)

    def _note_ends(self) -> None:
        """What became of the studies of batches, by the settings of this moment."""
        note_ends(self._index, self._settings)

    def _of_watching(self) -> Iterator[tuple[str, WantedDuty]]:
        """Look for what an administrator should see, tell it; bring the audit trail to its server."""
        settings = self._settings
        yield "alerts", _made(Duty(run=self._watch.look, interval_s=_ALERT_INTERVAL_S))
        for channel in settings.alerts.channels:
            tell = partial(self._watch.tell, channel)
            yield f"alerts {channel}", _made(Duty(run=tell, interval_s=_ALERT_INTERVAL_S))
        if settings.audit.syslog_host:
            yield "audit", WantedDuty(made_of=settings.audit, make=self._shipping)

    def _of_peers(self) -> Iterator[tuple[str, WantedDuty]]:
        """What each peer gets, is asked, and gives."""
        settings = self._settings
        for peer in settings.destinations:
            yield f"outbox {peer.name}", _for(peer, self._sending, settings.outbox)
        for peer in settings.committers:
            yield f"commitment {peer.name}", _for(peer, self._committing, settings.outbox)
        yield "removed peers", _made(Duty(run=self._removed_peers.look, interval_s=_REMOVED_PEERS_INTERVAL_S))
        for peer in settings.archives if settings.priors.maximum_count else ():
            yield f"fetch {peer.name}", _for(peer, self._fetching, settings.priors, settings.listen, settings.storage)

        for peer in settings.archives:
            yield f"batch {peer.name}", _for(peer, self._batching, settings.priors, settings.listen, settings.storage)

    def _batching(self, peer: Peer) -> Duty:
        """Get the studies of batches from a PACS."""
        receiver = self._store.receiver(self._settings, clock=self._clock)
        runner = batch_runner_for(peer, self._settings, self._index, receiver=receiver, clock=self._clock)
        return Duty(run=runner.run_due, interval_s=_PEER_INTERVAL_S, stop=runner.stop)

    def _of_retention(self) -> Iterator[tuple[str, WantedDuty]]:
        """Delete what need not be kept."""
        settings = self._settings
        yield "retention", WantedDuty(made_of=(settings.retention, settings.storage), make=self._deleting)

    def _deleting(self) -> Duty:
        settings = self._settings
        trail = audit_trail(settings, clock=self._clock)
        by = process_party(settings, "work")
        retention = Retention(settings, self._engine, clock=self._clock, trail=trail, by=by)
        return Duty(run=retention.look, interval_s=settings.retention.sweep_interval_s)

    def _sending(self, peer: Peer) -> Duty:
        """Deliver results to a peer."""
        settings = self._settings
        outbox = Outbox(
            self._index,
            peer,
            own_aet=settings.node.ae_title,
            back_off=back_off_from(settings.outbox),
            clock=self._clock,
            answer_timeout_s=settings.outbox.answer_timeout_s,
        )
        trail = audit_trail(settings, clock=self._clock)
        outbox.audit = DeliveryAudit(trail, self._index, peer, own_aet=settings.node.ae_title)
        return Duty(run=outbox.send_due, interval_s=_PEER_INTERVAL_S, stop=outbox.stop)

    def _committing(self, peer: Peer) -> Duty:
        """Ask a peer with storage commitment whether it keeps its results."""
        settings = self._settings
        rules, own_aet = rules_from(settings), settings.node.ae_title
        scu = CommitmentScu(self._index, peer, own_aet=own_aet, rules=rules, clock=self._clock)
        return Duty(run=scu.ask_due, interval_s=_PEER_INTERVAL_S, stop=scu.stop)

    def _fetching(self, peer: Peer) -> Duty:
        """Get earlier studies from a PACS."""
        receiver = self._store.receiver(self._settings, clock=self._clock)
        fetcher = fetcher_for(peer, self._settings, self._index, receiver=receiver, clock=self._clock)
        return Duty(run=fetcher.fetch_due, interval_s=_PEER_INTERVAL_S, stop=fetcher.stop)

    def _shipping(self) -> Duty:
        settings = self._settings
        shipper = SyslogShipper(settings.audit, trail_folder(settings), clock=self._clock)
        return Duty(run=shipper.ship_due, interval_s=_SHIP_INTERVAL_S)

    def _count(self, name: str, study_instance_uid: str) -> tuple[SeriesCount, ...]:
        """What a peer has of a study, asked by C-FIND; UnknownPeerError where it was taken out meanwhile."""
        settings = self._settings
        peer, own_aet = peer_named(settings, name), settings.node.ae_title
        audit = RetrieveAudit(audit_trail(settings, clock=self._clock), peer, own_aet=own_aet)
        return count_images(peer, study_instance_uid, own_aet=own_aet, switch=self._counting, audit=audit)


def _made(duty: Duty, *made_of: object) -> WantedDuty:
    return WantedDuty(made_of=made_of, make=lambda: duty)


def _for(peer: Peer, make: Callable[[Peer], Duty], *made_of: object) -> WantedDuty:
    return WantedDuty(made_of=(peer, *made_of), make=partial(make, peer))
