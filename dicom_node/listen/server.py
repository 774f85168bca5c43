"""The listener as a process: starts, shows that it lives, stops without losing an object."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Event

from pynetdicom import _config
from pynetdicom.association import Association

from config.settings import Settings
from dicom_node.audit.trail import audit_trail, own_party, process_recorded
from dicom_node.calling import PeerUnreachableError
from dicom_node.clock import Clock, SystemClock
from dicom_node.commitment.reporter import CommitmentReporter
from dicom_node.commitment.scp import CommitmentScp
from dicom_node.listen.admission import Admission
from dicom_node.listen.association import Answerers, Services
from dicom_node.listen.auditing import ListenerAudit
from dicom_node.listen.carrying import AssociationLedger
from dicom_node.listen.dimse import ReceivingDimse
from dicom_node.listen.disk_floor import DiskFloor
from dicom_node.listen.intake import Intake
from dicom_node.listen.notices import NoticeScp
from dicom_node.listen.ports import Ports, open_ports
from dicom_node.listen.receive import Receiver
from dicom_node.service import notify_stopping, notify_watchdog
from storage.database import open_engine
from storage.errors import StorageError
from storage.files import ObjectStore, lock_data_dir
from storage.index import Index
from storage.lost_index import refuse_lost_index
from storage.migrations import migrate

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 5.0
_FINISH_OBJECTS_S = 10.0
_FINISH_POLL_S = 0.02


def run_listener(settings: Settings, *, stop: Event, on_ready: Callable[[int], None]) -> None:
    """Receive until told to stop.

    Args:
        settings: Of the node.
        stop: Set to end: the objects that are arriving are finished, at most 10 s, then associations are aborted.
        on_ready: Called once with the port, the one without TLS where there are two, when associations are accepted.

    Raises:
        ListenError: An address cannot be had.
        CertificateError: The certificates of the TLS port cannot be used.
        StorageError: The data folder is in use by another listener, or the index cannot be opened.
    """
    # pynetdicom's own log handlers render every message with its identifiers, even where nobody reads it.
    _config.LOG_HANDLER_LEVEL = "none"
    clock = SystemClock()
    with lock_data_dir(settings.data_dir, "listen"):
        refuse_lost_index(settings.database_url, settings.data_dir)
        migrate(settings.database_url)
        with (
            closing(ObjectStore(settings.data_dir)) as store,
            closing(Index(open_engine(settings.database_url), now=clock.now)) as index,
        ):
            swept = store.sweep()
            trail = audit_trail(settings, clock=clock)
            receiver = Receiver(settings, store, Intake(store, index), clock=clock)
            services = Services(
                Admission(settings, clock=clock, disk=DiskFloor(settings.storage, store.free_bytes)),
                receiver,
                ledger=AssociationLedger(index),
                answerers=Answerers(
                    notices=NoticeScp(index),
                    commitment=CommitmentScp(settings, index.commitments),
                    audit=ListenerAudit(trail, own_party(settings), clock=clock),
                ),
                listen=settings.listen,
                clock=clock,
            )
            reporter = CommitmentReporter(settings, index.commitments, services.answerers.commitment, clock=clock)
            with (
                process_recorded(trail, settings, "listen"),
                _serving(settings, services) as ports,
                reporter.running(),
            ):
                _log_start(settings, ports, swept=swept)
                on_ready(ports.open[0])
                _beat_until(stop, lambda: _beat(settings, index, services.ledger, ports))
                notify_stopping("finishing the objects that are arriving")
    logger.info("listener stopped")


@contextmanager
def _serving(settings: Settings, services: Services) -> Iterator[Ports]:
    """Accept associations for as long as the block lasts; the ports."""
    with open_ports(settings, services) as ports:
        try:
            yield ports
        finally:
            services.stopping.set()
            ports.close()
            _finish_objects(ports, services.clock)
            for association in ports.active_associations:
                association.abort()


def _finish_objects(ports: Ports, clock: Clock) -> None:
    """Wait until no object is arriving any more, not for ever."""
    ends_at_s = clock.monotonic() + _FINISH_OBJECTS_S
    never = Event()
    while any(_is_receiving(association) for association in ports.active_associations):
        if clock.monotonic() > ends_at_s:
            logger.warning("stopped with objects still arriving; their senders were not told Success")
            return
        never.wait(_FINISH_POLL_S)


def _is_receiving(association: Association) -> bool:
    return isinstance(association.dimse, ReceivingDimse) and association.dimse.is_receiving


def _beat_until(stop: Event, beat: Callable[[], None]) -> None:
    """Leave a sign of life every few seconds."""
    while True:
        beat()
        if stop.wait(_HEARTBEAT_S):
            return


def _beat(settings: Settings, index: Index, ledger: AssociationLedger, ports: Ports) -> None:
    """Leave a sign of life, once the listener answered itself and the index took a write."""
    ledger.beat()
    ports.look_at_certificates()
    try:
        ports.probe()
        index.beat("listen", f"{settings.listen.host}:{settings.listen.port}")
        notify_watchdog()
    except PeerUnreachableError:
        logger.exception("the listener does not answer itself")
    except StorageError as error:
        logger.exception("no sign of life: %s", error.detail)


def _log_start(settings: Settings, ports: Ports, *, swept: int) -> None:
    logger.info("listening as %r on %s %s", settings.node.ae_title, settings.listen.host, ports.words)
    if swept:
        logger.info("%d partial files of an earlier run removed", swept)
    if settings.listen.accept_unknown_callers:
        logger.warning("unknown callers may send: [listen].accept_unknown_callers is true")
    elif not settings.senders:
        logger.warning("nobody may send: add a [[peers]] block with may_send = true")
