"""An association with a PACS that ends in time, whatever the PACS does."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import socket
from threading import Lock, Timer

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from config.settings import Peer
from dicom_node.calling import CONNECT_TIMEOUT_S, Call, Line, PeerUnreachableError, called, cut
from dicom_node.errors import NodeError
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.errors import ArchiveFailedError, ArchiveRefusesError, ArchiveSilentError

_AFTER_THE_LIMIT_S = 5.0
_MAXIMUM_PDU_BYTES = 131_072
"""As the listener offers it: what comes by C-GET comes in as few pieces."""
_UNREADABLE = (ArithmeticError, LookupError, TypeError, ValueError)
"""What pydicom raises where a value is none of its VR: it reads a value when it is asked for it."""

Answer = tuple[Dataset, Dataset | None]
"""Status and identifier of one response, as pynetdicom gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an association is opened for."""

    model: UID
    """Information model of what is asked over it (PS3.4 C.3); the rest of the contexts is for what comes of it."""
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
        self.audit: RetrieveAudit | None = None
        """Told of every query."""
        self.is_over = False
        """The limit passed, or the worker stops: what still comes is refused."""

    def cut(self) -> None:
        """End it now; a thread that waits for an answer goes on at once."""
        self.is_over = True
        cut(self._sockets)

    def answers(self, responses: Iterable[Answer]) -> Iterator[Answer]:
        """Each response of the PACS, the last one included.

        Raises:
            ArchiveSilentError: The limit passed.
            ArchiveFailedError: The PACS ended the association or broke the protocol.
        """
        for status, identifier in responses:
            if self.is_over or "Status" not in status:
                raise self.ended()
            yield status, identifier

    def ended(self) -> NodeError:
        """Why no further answer can come."""
        if self.is_over:
            return ArchiveSilentError(f"{self.peer.name}: no end of its answer after {self.limit_s:g} s")
        return ArchiveFailedError(f"{self.peer.name}: ended the association, or sent what is no answer")

    def unreadable(self, error: Exception) -> NodeError:
        """That the answer could not be read; what is in it is not said, it may be of a patient."""
        if self.is_over:
            return self.ended()
        return ArchiveFailedError(f"{self.peer.name}: its answer could not be read [{type(error).__name__}]")


@contextmanager
def conversation(
    peer: Peer,
    offer: Offer,
    *,
    own_aet: str,
    limit_s: float,
    switch: StopSwitch,
    audit: RetrieveAudit | None = None,
) -> Iterator[Conversation]:
    """An association with the query/retrieve service of a PACS, ended after `limit_s` in any case.

    Raises:
        PeerUnreachableError: No association.
        ArchiveRefusesError: The PACS does not accept the model.
        ArchiveSilentError: The limit passed before it was asked.
        ArchiveFailedError: The PACS ended the association before it was asked, or its answer could not be read.
    """
    call = Call(
        own_aet=own_aet,
        contexts=offer.contexts,
        called_aet=peer.query_ae_title,
        port=peer.query_port,
        roles=offer.roles,
        handlers=offer.handlers,
        maximum_pdu_bytes=_MAXIMUM_PDU_BYTES,
        connect_timeout_s=min(CONNECT_TIMEOUT_S, limit_s),
        # The timer ends the association; this only stands behind it.
        answer_timeout_s=limit_s + _AFTER_THE_LIMIT_S,
    )
    with called(peer, call) as line:
        talk = Conversation(line.association, peer, limit_s=limit_s, sockets=line.sockets)
        talk.audit = audit
        timer = Timer(limit_s, talk.cut)
        timer.daemon = True
        try:
            _require_offered(line, peer, offer.model)
            timer.start()
            switch.watch(talk)
            yield talk
        except RuntimeError as exc:
            # pynetdicom asks nothing over an association that has ended meanwhile.
            if talk.association.is_established:
                raise
            raise talk.ended() from exc
        except _UNREADABLE as exc:
            raise talk.unreadable(exc) from exc
        finally:
            timer.cancel()
            switch.watch(None)


def _require_offered(line: Line, peer: Peer, model: UID) -> None:
    """That the association stands and the model is accepted: a PACS may accept the contexts of the images alone."""
    association = line.association
    if association.is_established and model in {context.abstract_syntax for context in association.accepted_contexts}:
        return
    if association.is_established:
        reason = (
            f"{peer.name}: does not offer this node the retrieval that query_retrieve names: allow it there, or name the "
            "other one, move or get"
        )
        raise ArchiveRefusesError(reason)
    if association.rejected_contexts:
        reason = f"{peer.name}: does not offer this node query/retrieve: allow it there, or do not name it in query_retrieve and count_peer"
        raise ArchiveRefusesError(reason)
    reason = f"{peer.name}: {line.failure}"
    raise PeerUnreachableError(reason)
