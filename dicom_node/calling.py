"""Opens associations with peers, with TLS or without, and closes them whatever the peer does."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import MSG_DONTWAIT, SHUT_RDWR, gaierror, socket
from ssl import SSLSocket

from pynetdicom import evt
from pynetdicom._globals import DEFAULT_MAX_LENGTH
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from config.settings import Peer
from dicom_node.checkpoint import guard_answers
from dicom_node.connecting import CallingAe, failure_in_words
from dicom_node.errors import NodeError
from dicom_node.tls.calling import TlsArguments, tls_arguments, tls_problem
from dicom_node.tls.errors import CertificateError

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
"""A PACS that is busy writing may take its time; one that is silent longer than this gets a fresh association."""


_A_ABORT = bytes.fromhex("07 00 00000004 0000 00 00")
"""PS3.8 table 9-26: by the service user."""


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
    failure: str
    """Why there is no association, as an administrator can act on it; empty where there is one."""


@contextmanager
def called(peer: Peer, call: Call) -> Iterator[Line]:
    """Call a peer; whether there is an association now is for the caller to see. It is released at the end.

    Raises:
        PeerUnreachableError: A certificate of its settings cannot be used, or nothing is known of its host.
    """
    ae = CallingAe(ae_title=call.own_aet)
    ae.connection_timeout = ae.acse_timeout = call.connect_timeout_s
    ae.dimse_timeout = ae.network_timeout = call.answer_timeout_s
    opening = _Opening(peer=peer, call=call, ae=ae)
    association = opening.associate()
    try:
        yield Line(association=association, sockets=opening.sockets, failure=opening.failure(association))
    finally:
        if association.is_established:
            association.release()
        for connection in opening.sockets:
            connection.close()


def cut(sockets: Sequence[socket]) -> None:
    """End an association now; a thread that waits for an answer goes on at once, as when the peer closes the connection.

    pynetdicom's own abort wakes nobody who waits, and waits itself for the peer to close.

    Args:
        sockets: Of its line.
    """
    for connection in sockets:
        # Another thread may be reading, and TLS does not stand two: there the connection is cut below it.
        if not isinstance(connection, SSLSocket):
            with suppress(OSError):
                connection.send(_A_ABORT, MSG_DONTWAIT)
        with suppress(OSError):
            socket.shutdown(connection, SHUT_RDWR)


class _Opening:
    """An association that is being opened."""

    def __init__(self, *, peer: Peer, call: Call, ae: CallingAe) -> None:
        self._peer = peer
        self._call = call
        self._ae = ae
        self._tls: TlsArguments = None
        self._port = call.port or peer.port
        self._connected_s: float | None = None
        self.sockets: list[socket] = []

    def associate(self) -> Association:
        """Ask for it."""
        peer, call = self._peer, self._call
        try:
            self._tls = tls_arguments(peer)
        except CertificateError as error:
            reason = f"{peer.name}: {error.reason}"
            raise PeerUnreachableError(reason) from error
        try:
            return self._ae.associate(
                peer.host,
                self._port,
                list(call.contexts),
                ae_title=call.called_aet or peer.ae_title,
                max_pdu=call.maximum_pdu_bytes,
                ext_neg=list(call.roles),
                tls_args=self._tls,
                evt_handlers=[(evt.EVT_CONN_OPEN, self._handle_open), *call.handlers],
            )
        except gaierror as error:
            reason = f"{peer.name}: {self._unconnected(error)}"
            raise PeerUnreachableError(reason) from error

    def failure(self, association: Association) -> str:
        """Why there is none."""
        if association.is_established:
            return ""
        if problem := tls_problem(self._tls):
            return problem
        where, timeout_s = f"{self._peer.host}:{self._port}", self._call.connect_timeout_s
        if self._connected_s is None:
            return self._unconnected(self._ae.failure or OSError())
        if association.is_rejected:
            return f"{where} rejected the association{_reason(association)}: check both AE titles and whether it knows this node"
        if time.monotonic() - self._connected_s >= timeout_s:
            tls = "without TLS" if self._tls is None else "with TLS"
            return f"{where} takes connections and answers no DICOM within {timeout_s:g} s: is it the port for DICOM {tls}?"
        return (
            f"{where} ended the association: does it know our AE title {self._call.own_aet}, is it the port for DICOM?"
        )

    def _unconnected(self, failure: OSError) -> str:
        return failure_in_words(failure, host=self._peer.host, port=self._port, within_s=self._call.connect_timeout_s)

    def _handle_open(self, event: evt.Event) -> None:
        opened = event.assoc.dul.socket
        if opened and opened.socket:
            # pynetdicom 3.0.4 forgets a socket that the peer closed first without closing it.
            self.sockets.append(opened.socket)
        self._connected_s = time.monotonic()
        guard_answers(event.assoc)


def _reason(association: Association) -> str:
    """Why the peer rejected, as it says (PS3.8 9.3.4), in brackets; empty where it says nothing."""
    answer = association.acceptor.primitive
    said = answer.reason_str if answer else ""
    return f" ({said})" if said.endswith("not recognised") or said.endswith(("congestion", "exceeded")) else ""
