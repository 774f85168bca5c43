"""Opens associations with peers, with TLS or without, and closes them whatever the peer does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from socket import socket

from pynetdicom import AE, evt
from pynetdicom._globals import DEFAULT_MAX_LENGTH
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from config.settings import Peer
from dicom_node.checkpoint import guard_answers
from dicom_node.errors import NodeError
from dicom_node.tls.calling import tls_arguments, tls_problem
from dicom_node.tls.errors import CertificateError

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
"""A PACS that is busy writing may take its time; one that is silent longer than this gets a fresh association."""


class PeerUnreachableError(NodeError):
    """The peer did not accept an association; check its address, port, AE titles, and that it runs."""

    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an association is opened for."""

    own_aet: str
    contexts: Sequence[PresentationContext]
    called_aet: str | None = None
    """None: the peer's AE title."""
    port: int = 0
    """0: the peer's port."""
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = ()
    handlers: Sequence[EventHandlerType] = ()
    maximum_pdu_bytes: int = DEFAULT_MAX_LENGTH
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """What became of a call."""

    association: Association
    sockets: Sequence[socket]
    """Of the association."""
    tls_problem: str
    """Why there is none, as far as TLS is the reason; else empty."""

    @property
    def failure(self) -> str:
        """Why there is no association, as an administrator can act on it."""
        if self.tls_problem:
            return self.tls_problem
        if self.association.is_rejected:
            return "rejected the association: check both AE titles and whether it knows this node"
        if self.association.is_aborted:
            return "aborted the association, or nobody answers at its address and port"
        return "nobody answers at its address and port"


@contextmanager
def called(peer: Peer, call: Call) -> Iterator[Line]:
    """Call a peer; whether there is an association now is for the caller to see. It is released at the end.

    Raises:
        PeerUnreachableError: A certificate of its settings cannot be used.
    """
    ae = AE(ae_title=call.own_aet)
    ae.connection_timeout = ae.acse_timeout = call.connect_timeout_s
    ae.dimse_timeout = ae.network_timeout = call.answer_timeout_s
    sockets: list[socket] = []
    try:
        tls = tls_arguments(peer)
    except CertificateError as error:
        reason = f"{peer.name}: {error.reason}"
        raise PeerUnreachableError(reason) from error

    def handle_open(event: evt.Event) -> None:
        opened = event.assoc.dul.socket
        if opened and opened.socket:
            # pynetdicom 3.0.4 forgets a socket that the peer closed first without closing it.
            sockets.append(opened.socket)
        guard_answers(event.assoc)

    association = ae.associate(
        peer.host,
        call.port or peer.port,
        list(call.contexts),
        ae_title=call.called_aet or peer.ae_title,
        max_pdu=call.maximum_pdu_bytes,
        ext_neg=list(call.roles),
        tls_args=tls,
        evt_handlers=[(evt.EVT_CONN_OPEN, handle_open), *call.handlers],
    )
    try:
        yield Line(association=association, sockets=sockets, tls_problem=tls_problem(tls))
    finally:
        if association.is_established:
            association.release()
        for connection in sockets:
            connection.close()
