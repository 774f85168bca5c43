"""An association with a PACS that ends in time, whatever the PACS does."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socket import MSG_DONTWAIT, SHUT_RDWR, socket
from ssl import SSLSocket
from threading import Lock, Timer

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from config.settings import Peer
from dicom_node.peers import PeerUnreachableError
from dicom_node.retrieve.errors import ArchiveFailedError, ArchiveRefusesError, ArchiveSilentError
from dicom_node.tls.calling import TlsArguments, tls_arguments, tls_problem
from dicom_node.tls.errors import CertificateError

_CONNECT_TIMEOUT_S = 10.0
_AFTER_THE_LIMIT_S = 5.0
_MAXIMUM_PDU_BYTES = 131_072
"""As the listener offers it: what comes by C-GET comes in as few pieces."""
_NOBODY = "nobody answers at its address and port, or it aborted the association"
_A_ABORT = bytes.fromhex("07 00 00000004 0000 00 00")
"""PS3.8 table 9-26: by the service user."""

Answer = tuple[Dataset, Dataset | None]
"""Status and identifier of one response, as pynetdicom gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an association is opened for."""

    contexts: Sequence[PresentationContext]
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = ()
    handlers: Sequence[EventHandlerType] = ()


@dataclass(slots=True)
class StopSwitch:
    """Ends whatever association is open when the worker stops; none is opened after that."""

    is_stopped: bool = False
    _open: "Conversation | None" = None
    _lock: Lock = field(default_factory=Lock)

    def watch(self, conversation: "Conversation | None") -> None:
        """Remember the association that is open."""
        with self._lock:
            self._open = conversation
            if self.is_stopped and conversation:
                conversation.cut()

    def stop(self) -> None:
        """End it."""
        with self._lock:
            self.is_stopped = True
            if self._open:
                self._open.cut()


class Conversation:
    """An open association with a PACS."""

    def __init__(self, association: Association, peer: Peer, *, limit_s: float, sockets: Sequence[socket] = ()) -> None:
        """Use an established association for at most `limit_s`."""
        self.association = association
        self._sockets = sockets
        self.peer = peer
        self.limit_s = limit_s
        self.is_over = False
        """The limit passed, or the worker stops: what still comes is refused."""

    def cut(self) -> None:
        """End it now; a thread that waits for an answer goes on at once, as when the peer closes the connection.

        pynetdicom's own abort wakes nobody who waits, and waits itself for the peer to close.
        """
        self.is_over = True
        for connection in self._sockets:
            # Another thread may be reading, and TLS does not stand two: there the connection is cut below it.
            if not isinstance(connection, SSLSocket):
                with suppress(OSError):
                    connection.send(_A_ABORT, MSG_DONTWAIT)
            with suppress(OSError):
                socket.shutdown(connection, SHUT_RDWR)

    def answers(self, responses: Iterable[Answer]) -> Iterator[Answer]:
        """Each response of the PACS, the last one included.

        Raises:
            ArchiveSilentError: The limit passed.
            ArchiveFailedError: The PACS ended the association or broke the protocol.
        """
        for status, identifier in responses:
            if self.is_over:
                reason = f"{self.peer.name}: no end of its answer after {self.limit_s:g} s"
                raise ArchiveSilentError(reason)
            if "Status" not in status:
                reason = f"{self.peer.name}: ended the association, or sent what is no answer"
                raise ArchiveFailedError(reason)
            yield status, identifier


@contextmanager
def conversation(
    peer: Peer, offer: Offer, *, own_aet: str, limit_s: float, switch: StopSwitch
) -> Iterator[Conversation]:
    """An association with the query/retrieve service of a PACS, ended after `limit_s` in any case.

    Raises:
        PeerUnreachableError: No association.
        ArchiveRefusesError: The PACS accepts none of what is offered.
    """
    sockets: list[socket] = []
    tls = _tls_of(peer)
    association = _associate(peer, offer, own_aet=own_aet, limit_s=limit_s, opened=(tls, sockets))
    talk = Conversation(association, peer, limit_s=limit_s, sockets=sockets)
    timer = Timer(limit_s, talk.cut)
    timer.daemon = True
    try:
        _require_established(association, peer, tls_problem(tls))
        timer.start()
        switch.watch(talk)
        yield talk
    finally:
        timer.cancel()
        switch.watch(None)
        if association.is_established:
            association.release()
        for connection in sockets:
            connection.close()


def _tls_of(peer: Peer) -> TlsArguments:
    try:
        return tls_arguments(peer)
    except CertificateError as error:
        reason = f"{peer.name}: {error.reason}"
        raise PeerUnreachableError(reason) from error


def _associate(
    peer: Peer, offer: Offer, *, own_aet: str, limit_s: float, opened: tuple[TlsArguments, list[socket]]
) -> Association:
    tls, sockets = opened
    ae = AE(ae_title=own_aet)
    ae.connection_timeout = min(_CONNECT_TIMEOUT_S, limit_s)
    ae.acse_timeout = min(_CONNECT_TIMEOUT_S, limit_s)
    # The timer ends the association; these only stand behind it.
    ae.dimse_timeout = limit_s + _AFTER_THE_LIMIT_S
    ae.network_timeout = limit_s + _AFTER_THE_LIMIT_S
    # pynetdicom 3.0.4 forgets a socket that the peer closed first without closing it.
    keep_socket = (evt.EVT_CONN_OPEN, lambda event: sockets.append(event.assoc.dul.socket.socket))
    return ae.associate(
        peer.host,
        peer.query_port or peer.port,
        list(offer.contexts),
        max_pdu=_MAXIMUM_PDU_BYTES,
        ae_title=peer.query_ae_title or peer.ae_title,
        ext_neg=list(offer.roles),
        tls_args=tls,
        evt_handlers=[keep_socket, *offer.handlers],
    )


def _require_established(association: Association, peer: Peer, tls_problem_found: str) -> None:
    if association.is_established:
        return
    if association.rejected_contexts:
        reason = f"{peer.name}: does not offer this node query/retrieve: allow it there, or do not name it in query_retrieve and count_peer"
        raise ArchiveRefusesError(reason)
    if association.is_rejected:
        reason = f"{peer.name}: rejected the association: check both AE titles and whether it knows this node"
        raise PeerUnreachableError(reason)
    reason = f"{peer.name}: {tls_problem_found or _NOBODY}"
    raise PeerUnreachableError(reason)
