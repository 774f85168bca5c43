"""Serves one connection: from the first byte to the end of its association."""

import logging
import socket
import sys
from dataclasses import dataclass
from threading import Event, current_thread
from typing import Any

from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from config.settings import ListenSettings
from dicom_node.audit.events import Party
from dicom_node.clock import Clock
from dicom_node.commitment.scp import CommitmentScp
from dicom_node.errors import NodeError
from dicom_node.listen.admission import Admission, Caller, Rejection
from dicom_node.listen.auditing import ListenerAudit
from dicom_node.listen.carrying import AssociationLedger
from dicom_node.listen.contexts import build_report_contexts
from dicom_node.listen.dimse import ReceivingDimse
from dicom_node.listen.guard import GuardedAssociation
from dicom_node.listen.limits import SilentConnections
from dicom_node.listen.notices import NoticeScp
from dicom_node.listen.opening import Handshake, Opening, open_connection
from dicom_node.listen.quiet import OncePerMinute
from dicom_node.listen.receive import Receiver
from dicom_node.listen.tls import TlsPort
from dicom_node.listen.transport import BoundedSocket, prepare, wait_for_close
from dicom_node.listen.upper_layer import BulkUpperLayer
from dicom_node.log import failure_in_short
from storage.failpoints import reach

logger = logging.getLogger(__name__)

# As socketserver types it; for TCP it is always a socket.
Connection = socket.socket | tuple[bytes, socket.socket]

_ACCEPT_PAUSE_S = 0.1
_CLOSE_WAIT_S = 1.0


class AdmittingAcse(ACSE):
    """Association control that asks Admission before it negotiates."""

    def __init__(self, association: Association, services: "Services", *, handshake: Handshake) -> None:
        """Control an association over a connection."""
        super().__init__(association)
        self._admission = services.admission
        self._audit = services.answerers.audit
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
        rejection = self._admission.rejection_of(caller, is_over=self._is_over)
        if rejection is None:
            if not self._admission.may_store(caller.calling_aet):
                self.acceptor.supported_contexts = build_report_contexts()
            super()._negotiate_as_acceptor()
            if caller.calling_aet != self._admission.probe_aet:
                reach("assoc.accepted")
            return
        is_first = self._admission.log(rejection, caller)
        self._reject(rejection)
        if is_first:
            self._audit.note_refusal(rejection, caller)

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
        services: "Services",
        tls: TlsPort | None = None,
    ) -> None:
        """Bind and listen, with TLS or without; OSError if the address cannot be had."""
        self.services = services
        self.tls = tls
        self.request_queue_size = services.listen.backlog
        super().__init__(ae, address, ae.ae_title, contexts, request_handler=ConnectionHandler)
        # AssociationServer.shutdown takes it out again.
        ae._servers.append(self)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; where that fails for want of descriptors, not again and again without a pause."""
        try:
            connection, address = super().get_request()
        except OSError:
            self.services.stopping.wait(_ACCEPT_PAUSE_S)
            raise
        if self.tls is None:
            return connection, address
        try:
            return self.tls.wrap(connection), address
        except OSError:
            # Closed by the peer meanwhile.
            connection.close()
            raise

    def process_request(self, request: Connection, client_address: Any) -> None:
        """Give the connection a thread of its own; of too many that do not say a word the oldest is cut for it."""
        if isinstance(request, socket.socket):
            loser = self.services.silent.add(request, client_address[0])
            if loser:
                self.services.log_cut((loser, 0), "too many connections that do not speak")
        super().process_request(request, client_address)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerers:
    """Who answers what is neither C-STORE nor C-ECHO, and who writes down what happened."""

    notices: NoticeScp
    commitment: CommitmentScp
    audit: ListenerAudit


class Services:
    """What every connection needs."""

    def __init__(
        self,
        admission: Admission,
        receiver: Receiver,
        *,
        ledger: AssociationLedger,
        answerers: Answerers,
        listen: ListenSettings,
        clock: Clock,
    ) -> None:
        """Hand these to every connection."""
        self.listen = listen
        self.admission = admission
        self.receiver = receiver
        self.ledger = ledger
        self.answerers = answerers
        self.clock = clock
        self.stopping = Event()
        self.silent = SilentConnections(listen.maximum_silent_connections)
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
        opening = self._opening()
        if opening is None:
            self.server.shutdown_request(self.request)
            return
        services = self.server.services
        association = self._create_guarded_association(opening.handshake)
        name = services.ledger.begin()
        dimse = ReceivingDimse(association, services.receiver, stopping=services.stopping, name=name)
        association.dimse = dimse
        association.guard(BulkUpperLayer(association, dimse))
        association.set_socket(BoundedSocket(association, self.request, first_pdu=opening.first_pdu))
        association.bind(evt.EVT_C_STORE, dimse.handle_store)
        association.bind(evt.EVT_N_CREATE, services.answerers.notices.handle_create)
        association.bind(evt.EVT_N_SET, services.answerers.notices.handle_set)
        association.bind(evt.EVT_N_ACTION, services.answerers.commitment.handle_action)
        association.bind(evt.EVT_N_EVENT_REPORT, services.answerers.commitment.handle_report)
        started_at_s = services.clock.monotonic()
        association.start()
        association.join()
        dimse.end()
        services.ledger.end(name, was_released=association.is_released, has_carried=dimse.stored_count > 0)
        # pynetdicom leaves the descriptor to the garbage collector when the peer closed first.
        self.server.close_request(self.request)
        _log_end(association, dimse, duration_s=services.clock.monotonic() - started_at_s)
        sender = Party(user_id=str(association.requestor.ae_title), address=str(self.client_address[0]))
        services.answerers.audit.note_transfer(sender, dimse, was_released=association.is_released)

    def _opening(self) -> Opening | None:
        """Handshake and request; None, with a line in the log, if they do not come in time."""
        services = self.server.services
        try:
            prepare(self.request)
            return open_connection(self.request, within_s=services.listen.first_pdu_timeout_s)
        except NodeError as error:
            services.log_cut(self.client_address, error.reason)
            return None
        except OSError:
            services.log_cut(self.client_address, "closed before it asked for an association")
            return None
        finally:
            services.silent.remove(self.request)

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


def _log_end(association: Association, dimse: ReceivingDimse, *, duration_s: float) -> None:
    if dimse.stored_count or dimse.refused_count:
        logger.info(
            "association of %r ended: %d objects stored, %d refused, %.1f s",
            association.requestor.ae_title,
            dimse.stored_count,
            dimse.refused_count,
            duration_s,
        )
