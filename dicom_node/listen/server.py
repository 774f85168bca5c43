"""The listener as a process: starts, shows that it lives, stops without losing an object."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

from pynetdicom import AE, _config
from pynetdicom.association import Association

from config.settings import Peer, Settings
from dicom_node.clock import Clock, SystemClock
from dicom_node.listen.admission import Admission
from dicom_node.listen.association import ListenServer, Services
from dicom_node.listen.carrying import AssociationLedger
from dicom_node.listen.contexts import build_contexts
from dicom_node.listen.dimse import ReceivingDimse
from dicom_node.listen.errors import ListenError
from dicom_node.listen.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.listen.intake import Intake
from dicom_node.listen.notices import NoticeScp
from dicom_node.listen.receive import Receiver
from dicom_node.peers import PeerUnreachableError, echo
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
_ACCEPT_POLL_S = 0.1
_FINISH_POLL_S = 0.02
# Ours is the limit that counts (Admission); pynetdicom's would also count the listener's call to itself.
_NO_LIMIT = 100_000
_LOOPBACK_OF_WILDCARD = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_ACSE_TIMEOUT_S = 10.0


def run_listener(settings: Settings, *, stop: Event, on_ready: Callable[[int], None]) -> None:
    """Receive until told to stop.

    Args:
        settings: Of the node.
        stop: Set to end: the objects that are arriving are finished, at most 10 s, then associations are aborted.
        on_ready: Called once with the port, when associations are accepted.

    Raises:
        ListenError: The address cannot be had.
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
            receiver = Receiver(settings, store, Intake(store, index), clock=clock)
            services = Services(
                Admission(settings, clock=clock),
                receiver,
                ledger=AssociationLedger(index),
                notices=NoticeScp(index),
                clock=clock,
            )
            with _serving(settings, services) as port:
                _log_start(settings, port, swept=swept)
                on_ready(port)
                probe = _probe(settings, port, services.admission.probe_aet)
                _beat_until(stop, lambda: _beat(settings, index, services.ledger, probe))
                notify_stopping("finishing the objects that are arriving")
    logger.info("listener stopped")


@contextmanager
def _serving(settings: Settings, services: Services) -> Iterator[int]:
    """Accept associations for as long as the block lasts; the port."""
    server = _bound_server(settings, services)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": _ACCEPT_POLL_S}, name="accept", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        services.stopping.set()
        server.shutdown()
        _finish_objects(server, services.clock)
        for association in server.active_associations:
            association.abort()


def _bound_server(settings: Settings, services: Services) -> ListenServer:
    """The server on its address; its presentation contexts are shared by all associations."""
    ae = AE(ae_title=settings.node.ae_title)
    ae.maximum_pdu_size = settings.listen.maximum_pdu_bytes
    ae.network_timeout = settings.listen.network_timeout_s
    ae.acse_timeout = _ACSE_TIMEOUT_S
    ae.maximum_associations = _NO_LIMIT
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    address = f"{settings.listen.host} {settings.listen.port}"
    contexts = build_contexts(with_notices=settings.listen.accept_notifications)
    try:
        return ListenServer(ae, (settings.listen.host, settings.listen.port), contexts, services=services)
    except OSError as exc:
        raise ListenError(address, exc.strerror or type(exc).__name__) from exc


def _finish_objects(server: ListenServer, clock: Clock) -> None:
    """Wait until no object is arriving any more, not for ever."""
    ends_at_s = clock.monotonic() + _FINISH_OBJECTS_S
    never = Event()
    while any(_is_receiving(association) for association in server.active_associations):
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


def _beat(settings: Settings, index: Index, ledger: AssociationLedger, probe: Callable[[], None]) -> None:
    """Leave a sign of life, once the listener answered itself and the index took a write."""
    ledger.beat()
    try:
        probe()
        index.beat("listen", f"{settings.listen.host}:{settings.listen.port}")
        notify_watchdog()
    except PeerUnreachableError:
        logger.exception("the listener does not answer itself")
    except StorageError as error:
        logger.exception("no sign of life: %s", error.detail)


def _probe(settings: Settings, port: int, probe_aet: str) -> Callable[[], None]:
    """A C-ECHO to the listener itself."""
    host = _LOOPBACK_OF_WILDCARD.get(settings.listen.host, settings.listen.host)
    itself = Peer(name="self", ae_title=settings.node.ae_title, host=host, port=port)
    return lambda: echo(itself, own_aet=probe_aet)


def _log_start(settings: Settings, port: int, *, swept: int) -> None:
    logger.info("listening as %r on %s port %d", settings.node.ae_title, settings.listen.host, port)
    if swept:
        logger.info("%d partial files of an earlier run removed", swept)
    if settings.listen.accept_unknown_callers:
        logger.warning("unknown callers may send: [listen].accept_unknown_callers is true")
    elif not settings.senders:
        logger.warning("nobody may send: add a [[peers]] block with may_send = true")
