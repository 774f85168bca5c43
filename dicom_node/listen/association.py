"""Serves one connection: from the first byte to the end of its association."""

import logging
import socket
import sys
from threading import BoundedSemaphore, Event, current_thread
from typing import Any

from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_node.clock import Clock
from dicom_node.listen.admission import Admission, Rejection
from dicom_node.listen.carrying import AssociationLedger
from dicom_node.listen.dimse import ReceivingDimse
from dicom_node.listen.notices import NoticeScp
from dicom_node.listen.quiet import OncePerMinute
from dicom_node.listen.receive import Receiver
from dicom_node.listen.transport import FIRST_PDU_DEADLINE_S, BoundedSocket, prepare, read_first_pdu, wait_for_close
from dicom_node.log import failure_in_short
from storage.failpoints import reach

logger = logging.getLogger(__name__)

# As socketserver types it; for TCP it is always a socket.
Connection = socket.socket | tuple[bytes, socket.socket]

_MAXIMUM_SILENT_CONNECTIONS = 128
_BACKLOG = 128
_ACCEPT_PAUSE_S = 0.1
_CLOSE_WAIT_S = 1.0


class AdmittingAcse(ACSE):
    """Association control that asks Admission before it negotiates."""

    def __init__(self, association: Association, admission: Admission) -> None:
        """Control an association."""
        super().__init__(association)
        self._admission = admission

    def _negotiate_as_acceptor(self) -> None:
        request = self.requestor.primitive
        calling_aet = str(request.calling_ae_title if request else "")
        called_aet = str(request.called_ae_title if request else "")
        rejection = self._admission.rejection_of(
            calling_aet=calling_aet,
            called_aet=called_aet,
            associations=1 + self._established_count(),
        )
        if rejection is None:
            super()._negotiate_as_acceptor()
            if calling_aet != self._admission.probe_aet:
                reach("assoc.accepted")
            return
        address = str(self.requestor.address)
        self._admission.log(rejection, calling_aet=calling_aet, called_aet=called_aet, address=address)
        self._reject(rejection)

    def _established_count(self) -> int:
        """Associations of others: the listener's call to itself takes nobody's place."""
        probe_aet = self._admission.probe_aet
        active = self.assoc.ae.active_associations
        return sum(one.is_established and one.requestor.ae_title != probe_aet for one in active)

    def _reject(self, rejection: Rejection) -> None:
        self.send_reject(*rejection.code)
        evt.trigger(self.assoc, evt.EVT_REJECTED, {})
        self.assoc.kill()


class ListenServer(ThreadedAssociationServer):
    """Accepts connections and never waits for one of them."""

    request_queue_size = _BACKLOG
    daemon_threads = True

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        contexts: list[PresentationContext],
        *,
        services: "Services",
    ) -> None:
        """Bind and listen; OSError if the address cannot be had."""
        self.services = services
        super().__init__(ae, address, ae.ae_title, contexts, request_handler=ConnectionHandler)
        # AssociationServer.shutdown takes it out again.
        ae._servers.append(self)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; where that fails for want of descriptors, not again and again without a pause."""
        try:
            return super().get_request()
        except OSError:
            self.services.stopping.wait(_ACCEPT_PAUSE_S)
            raise

    def process_request(self, request: Connection, client_address: Any) -> None:
        """Give the connection a thread of its own, unless too many have not said a word yet."""
        if self.services.silent_places.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        self.services.log_cut(client_address, "too many connections that do not speak")
        self.close_request(request)

    def shutdown_request(self, request: Connection) -> None:
        """Say that nothing more comes, give the peer a moment to close first (PS3.8 9.2.3, Sta13), close."""
        if isinstance(request, socket.socket):
            wait_for_close(request, _CLOSE_WAIT_S)
        self.close_request(request)

    def handle_error(self, request: Connection, client_address: Any) -> None:
        """Log what ended the thread of a connection; socketserver would print it with its values."""
        kind, _, trace = sys.exc_info()
        if kind:
            logger.error("connection from %s ended: %s", client_address[0], failure_in_short(kind, trace))


class Services:
    """What every connection needs."""

    def __init__(
        self,
        admission: Admission,
        receiver: Receiver,
        *,
        ledger: AssociationLedger,
        notices: NoticeScp,
        clock: Clock,
    ) -> None:
        """Hand these to every connection."""
        self.admission = admission
        self.receiver = receiver
        self.ledger = ledger
        self.notices = notices
        self.clock = clock
        self.stopping = Event()
        self.silent_places = BoundedSemaphore(_MAXIMUM_SILENT_CONNECTIONS)
        self._quiet = OncePerMinute(clock)

    def log_cut(self, address: tuple[str, int], why: str) -> None:
        """Log a connection that became no association, once a minute for each address and reason."""
        if self._quiet.passes((address[0], why)):
            logger.warning("connection from %s cut: %s", address[0], why)


class ConnectionHandler(RequestHandler):
    """Serves one connection in a thread of its own."""

    server: ListenServer

    def handle(self) -> None:
        """Wait for the request, run the association to its end."""
        first_pdu = self._first_pdu()
        if first_pdu is None:
            self.server.services.log_cut(self.client_address, "no association request in time")
            self.server.shutdown_request(self.request)
            return
        services = self.server.services
        association = self._create_association_after(first_pdu)
        name = services.ledger.begin()
        dimse = ReceivingDimse(association, services.receiver, stopping=services.stopping, name=name)
        association.dimse = dimse
        association.bind(evt.EVT_C_STORE, dimse.handle_store)
        association.bind(evt.EVT_N_CREATE, services.notices.handle_create)
        association.bind(evt.EVT_N_SET, services.notices.handle_set)
        started_at_s = services.clock.monotonic()
        association.start()
        association.join()
        dimse.end()
        services.ledger.end(name, was_released=association.is_released, has_carried=dimse.stored_count > 0)
        # pynetdicom leaves the descriptor to the garbage collector when the peer closed first.
        self.server.close_request(self.request)
        _log_end(association, dimse, duration_s=services.clock.monotonic() - started_at_s)

    def _first_pdu(self) -> bytes | None:
        try:
            prepare(self.request)
            return read_first_pdu(self.request, FIRST_PDU_DEADLINE_S)
        except OSError:
            return None
        finally:
            self.server.services.silent_places.release()

    def _create_association_after(self, first_pdu: bytes) -> Association:
        """As RequestHandler._create_association, with our socket and ACSE, and without copying the contexts."""
        server = self.server
        association = Association(self.ae, "acceptor")
        association._server = server
        # ApplicationEntity.active_associations finds acceptors by this name.
        association.name = f"AcceptorThread@{current_thread().name}"
        association.acse = AdmittingAcse(association, server.services.admission)
        association.set_socket(BoundedSocket(association, self.request, first_pdu=first_pdu))
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.supported_contexts = server.contexts
        association.requestor.address_info = self.remote
        return association


def _log_end(association: Association, dimse: ReceivingDimse, *, duration_s: float) -> None:
    if dimse.stored_count or dimse.refused_count:
        logger.info(
            "association of %r ended: %d objects stored, %d refused, %.1f s",
            association.requestor.ae_title,
            dimse.stored_count,
            dimse.refused_count,
            duration_s,
        )
