"""Serves one connection: from the first byte to the end of its association."""

import logging
import socket
import sys
from contextlib import suppress
from threading import current_thread
from typing import Any

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom._globals import APPLICATION_CONTEXT_NAME
from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from config.settings import Settings
from dicom_node.audit.events import Party
from dicom_node.errors import NodeError
from dicom_node.journal import CALLING_AET
from dicom_node.listen.admission import Caller, Rejection
from dicom_node.listen.association_request import rejection_by_titles, titles_of
from dicom_node.listen.contexts import build_report_contexts, contexts_of
from dicom_node.listen.dimse import ReceivingDimse
from dicom_node.listen.errors import NotAskedError
from dicom_node.listen.guard import GuardedAssociation
from dicom_node.listen.opening import Handshake, Opening, open_connection
from dicom_node.listen.processes import ReceivingProcesses
from dicom_node.listen.refused import plain_text
from dicom_node.listen.services import Services
from dicom_node.listen.tls import TlsPort
from dicom_node.listen.transport import BoundedSocket, prepare
from dicom_node.listen.upper_layer import BulkUpperLayer
from dicom_node.log import failure_in_short
from dicom_node.memory import TimedCollection
from storage.failpoints import reach

logger = logging.getLogger(__name__)

# As socketserver types it; for TCP it is always a socket.
Connection = socket.socket | tuple[bytes, socket.socket]

_ACCEPT_PAUSE_S = 0.1


class AdmittingAcse(ACSE):
    """Association control that asks Admission before it negotiates."""

    def __init__(self, association: Association, services: "Services", *, handshake: Handshake) -> None:
        """Control an association over a connection."""
        super().__init__(association)
        self._services = services
        self._admission = services.admission
        self._handshake = handshake

    def _negotiate_as_acceptor(self) -> None:
        request = self.requestor.primitive
        caller = Caller(
            calling_aet=str(request.calling_ae_title if request else ""),
            called_aet=str(request.called_ae_title if request else ""),
            address=str(self.requestor.address),
            has_tls=self._handshake.has_tls,
            certificate=self._handshake.certificate,
        )
        rejection = self._rejection_of(caller, request.application_context_name if request else None)
        if rejection is None:
            if not self._admission.may_store(caller.calling_aet):
                self.acceptor.supported_contexts = build_report_contexts()
            super()._negotiate_as_acceptor()
            if caller.calling_aet != self._admission.probe_aet:
                reach("assoc.accepted")
            return
        self._services.refuse(rejection, caller, answer=lambda: self._reject(rejection))

    def _rejection_of(self, caller: Caller, application_context: UID | None) -> Rejection | None:
        # One that names none breaks PS3.8 9.3.2, but can mean nothing else.
        if application_context and application_context != APPLICATION_CONTEXT_NAME:
            return Rejection.APPLICATION_CONTEXT
        return self._admission.rejection_of(caller, is_over=self._is_over)

    def _is_over(self) -> bool:
        association = self.assoc
        return association.is_released or association.is_aborted or association._kill or not association.is_alive()

    def _reject(self, rejection: Rejection) -> None:
        self.send_reject(*rejection.code)
        evt.trigger(self.assoc, evt.EVT_REJECTED, {})
        self.assoc.kill()


class ListenServer(ThreadedAssociationServer):
    """Accepts connections and never waits for one of them."""

    daemon_threads = True

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        contexts: list[PresentationContext],
        *,
        services: Services,
        tls: TlsPort | None = None,
    ) -> None:
        """Bind and listen, with TLS or without; OSError if the address cannot be had."""
        self.services = services
        self.tls = tls
        self.others: ReceivingProcesses | None = None
        """Further processes, which take connections off this one."""
        self._collection = TimedCollection()
        self.request_queue_size = services.listen.backlog
        super().__init__(ae, address, ae.ae_title, contexts, request_handler=ConnectionHandler)
        # AssociationServer.shutdown takes it out again.
        ae._servers.append(self)

    def follow(self, settings: Settings) -> None:
        """Offer new associations what these settings say; open ones keep what they negotiated."""
        self.contexts = contexts_of(settings)
        set_limits(self.ae, settings)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; where that fails for want of descriptors, not again and again without a pause."""
        try:
            return super().get_request()
        except OSError:
            self.services.stopping.wait(_ACCEPT_PAUSE_S)
            raise

    def service_actions(self) -> None:
        """Called after each connection, and while none comes; pynetdicom's would collect garbage by their number."""
        self._collection.collect_when_due()

    def process_request(self, request: Connection, client_address: Any) -> None:
        """Give the connection to the process that serves the fewest; here it gets a thread of its own."""
        if not isinstance(request, socket.socket):
            return
        if self.others and self.others.took(
            request, client_address, has_tls=self.tls is not None, open_here=len(self.services.connections)
        ):
            request.close()
            return
        self._serve(request, client_address)

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        """Serve it in a thread; of too many that do not say a word the oldest is cut for it."""
        try:
            secured = self.tls.wrap(connection) if self.tls else connection
        except OSError:
            # Closed by the peer meanwhile.
            connection.close()
            self.handle_unserved()
            return
        if loser := self.services.silent.add(secured, address[0]):
            self.services.log_cut((loser, 0), "too many connections that do not speak")
        try:
            super().process_request(secured, address)
        except RuntimeError:
            # Thread.start. Nothing is waited for here: the next connection is.
            self.services.silent.remove(secured)
            self.services.log_no_thread()
            self.close_request(secured)
            self.handle_unserved()

    def handle_unserved(self) -> None:
        """A connection was closed without a thread of its own."""

    def process_request_thread(self, request: Connection, client_address: Any) -> None:
        """Serve a connection to its end."""
        self.services.connections.begin()
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.services.connections.end()

    def shutdown_request(self, request: Connection) -> None:
        """Close what a handler that failed left open; the peer has a moment to close first."""
        if isinstance(request, socket.socket) and request.fileno() >= 0:
            self.services.closing.wait_for_close(request, "")
        self.close_request(request)

    def handle_error(self, request: Connection, client_address: Any) -> None:
        """Log what ended the thread of a connection; socketserver would print it with its values."""
        kind, _, trace = sys.exc_info()
        if kind:
            logger.error("connection from %s ended: %s", client_address[0], failure_in_short(kind, trace))


class ConnectionHandler(RequestHandler):
    """Serves one connection in a thread of its own."""

    server: ListenServer

    def handle(self) -> None:
        """Wait for the request, run the association to its end."""
        opening, services = self._opening(), self.server.services
        if opening is None or not self._has_titles(opening):
            services.closing.wait_for_close(self.request, str(self.client_address[0]))
            self.server.close_request(self.request)
            return
        association = self._create_guarded_association(opening.handshake)
        name = services.ledger.begin()
        dimse = ReceivingDimse(association, services.receiver, stopping=services.stopping, name=name)
        association.dimse = dimse
        association.guard(BulkUpperLayer(association, dimse, closing=services.closing))
        connection = BoundedSocket(association, self.request, first_pdu=opening.first_pdu, before_refill=dimse.flush)
        association.set_socket(connection)
        association.bind(evt.EVT_C_STORE, dimse.handle_store)
        association.bind(evt.EVT_N_CREATE, services.notices.handle_create)
        association.bind(evt.EVT_N_SET, services.notices.handle_set)
        association.bind(evt.EVT_N_ACTION, services.commitment.handle_action)
        association.bind(evt.EVT_N_EVENT_REPORT, services.commitment.handle_report)
        started_at_s = services.clock.monotonic()
        try:
            association.start()
        except RuntimeError:
            services.log_no_thread()
        else:
            association.join()
        dimse.end()
        services.ledger.end(name, was_released=association.is_released, has_carried=dimse.stored_count > 0)
        # pynetdicom leaves the descriptor to the garbage collector when the peer closed first.
        self.server.close_request(self.request)
        _log_end(association, dimse, duration_s=services.clock.monotonic() - started_at_s)
        sender = Party(user_id=str(association.requestor.ae_title), address=str(self.client_address[0]))
        services.audit.note_transfer(sender, dimse, was_released=association.is_released)

    def _opening(self) -> Opening | None:
        """Handshake and request; None, with a line in the log, if they do not come in time."""
        services = self.server.services
        try:
            prepare(self.request)
            return self._opened(may_be_proxied=self.client_address[0] in services.load_balancers)
        except NodeError as error:
            services.log_cut(self.client_address, error.reason)
            return None
        except OSError:
            services.log_cut(self.client_address, "closed before it asked for an association")
            return None
        finally:
            services.silent.remove(self.request)

    def _opened(self, *, may_be_proxied: bool) -> Opening:
        """The opening, after which the caller's address is the one that a load balancer named."""
        services = self.server.services
        within_s = services.listen.first_pdu_timeout_s
        opening = open_connection(self.request, within_s=within_s, may_be_proxied=may_be_proxied)
        if opening.header is None and may_be_proxied and opening.calling_aet != services.admission.probe_aet:
            reason = "the load balancer does not say whom it speaks for: let it send the PROXY protocol"
            raise NotAskedError(reason)
        if opening.header and opening.header.source:
            self.client_address = opening.header.source
        return opening

    def _has_titles(self, opening: Opening) -> bool:
        """Whether the request has AE titles; else it is rejected, and noted in characters that harm no reader."""
        rejection = rejection_by_titles(opening.first_pdu)
        if rejection is None:
            return True
        calling_aet, called_aet = map(plain_text, titles_of(opening.first_pdu))
        caller = Caller(calling_aet=calling_aet, called_aet=called_aet, address=str(self.client_address[0]))
        self.server.services.refuse(rejection, caller, answer=lambda: self._say(rejection.pdu))
        return False

    def _say(self, pdu: bytes) -> None:
        # Closed by the peer meanwhile.
        with suppress(OSError):
            self.request.sendall(pdu)

    def _create_guarded_association(self, handshake: Handshake) -> GuardedAssociation:
        """As RequestHandler._create_association, with our ACSE, without a socket, and without copying the contexts."""
        server = self.server
        association = GuardedAssociation(self.ae)
        association._server = server
        # ApplicationEntity.active_associations finds acceptors by this name.
        association.name = f"AcceptorThread@{current_thread().name}"
        association.acse = AdmittingAcse(association, server.services, handshake=handshake)
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.supported_contexts = server.contexts
        association.requestor.address_info = self.remote
        return association


def set_limits(ae: ApplicationEntity, settings: Settings) -> None:
    """Limits that the application entity hands to each new association."""
    ae.maximum_pdu_size = settings.listen.maximum_pdu_bytes
    ae.network_timeout = settings.listen.network_timeout_s


def _log_end(association: Association, dimse: ReceivingDimse, *, duration_s: float) -> None:
    if dimse.stored_count or dimse.refused_count:
        logger.info(
            "association of %r ended: %d objects stored, %d refused, %.1f s",
            association.requestor.ae_title,
            dimse.stored_count,
            dimse.refused_count,
            duration_s,
            extra={CALLING_AET: association.requestor.ae_title},
        )
