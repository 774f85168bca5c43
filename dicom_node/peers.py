"""What the node asks of other application entities: C-ECHO, C-STORE, what they accept."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from socket import socket

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import by pynetdicom

from config.settings import Peer
from dicom_node.errors import NodeError

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 10
_ANSWER_TIMEOUT_S = 60
"""A PACS that is busy writing may take its time; one that is silent longer than this gets a fresh association."""


class PeerUnreachableError(NodeError):
    """The peer did not accept an association; check its address, port, AE titles, and that it runs."""

    retryable = True


class Verdict(StrEnum):
    """What the answer to a C-STORE means for the delivery."""

    ACCEPTED = "accepted"
    TRY_AGAIN = "try_again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAnswer:
    """How a peer answered one C-STORE."""

    verdict: Verdict
    words: str
    """The status in words, with its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedClass:
    """One SOP class as a peer negotiates it."""

    sop_class_uid: str
    transfer_syntax_uids: tuple[str, ...]
    """Empty when the peer refuses the class."""


def echo(peer: Peer, *, own_aet: str) -> None:
    """Verify a peer by C-ECHO (PS3.7 9.1.5).

    Raises:
        PeerUnreachableError: No association, or another answer than Success.
    """
    with _association(peer, own_aet=own_aet, sop_class_uids=(str(Verification),)) as association:
        status = association.send_c_echo()
        if "Status" not in status or status.Status != 0x0000:
            reason = f"{peer.name}: C-ECHO was not answered with Success"
            raise PeerUnreachableError(reason)


def accepted_classes(peer: Peer, *, own_aet: str, sop_class_uids: Sequence[str]) -> tuple[AcceptedClass, ...]:
    """Ask a peer by negotiation which SOP classes it takes, without sending anything.

    Raises:
        PeerUnreachableError: No association.
    """
    with _association(peer, own_aet=own_aet, sop_class_uids=sop_class_uids) as association:
        accepted = {str(context.abstract_syntax): context for context in association.accepted_contexts}
        return tuple(
            AcceptedClass(
                sop_class_uid=uid,
                transfer_syntax_uids=tuple(str(syntax) for syntax in accepted[uid].transfer_syntax)
                if uid in accepted
                else (),
            )
            for uid in sop_class_uids
        )


class StoreConnection:
    """An open association for C-STORE."""

    def __init__(self, association: Association, peer: Peer) -> None:
        """Wrap an established association."""
        self._association = association
        self._peer = peer

    def store(self, path: Path) -> StoreAnswer:
        """Send one file; every outcome is an answer, none an exception.

        Args:
            path: A DICOM file (PS3.10), uncompressed little endian.
        """
        if not self._association.is_established:
            return StoreAnswer(verdict=Verdict.TRY_AGAIN, words="the association ended early")
        dataset = dcmread(path)
        try:
            status = self._association.send_c_store(dataset)
        except ValueError:
            return StoreAnswer(
                verdict=Verdict.REFUSED,
                words=f"{self._peer.name} does not accept {dataset.SOPClassUID.name}: let it accept this SOP class",
            )
        except RuntimeError:
            return StoreAnswer(verdict=Verdict.TRY_AGAIN, words="the association ended while sending")
        if "Status" not in status:
            return StoreAnswer(verdict=Verdict.TRY_AGAIN, words="no answer: aborted or timed out")
        return answer_from_status(int(status.Status))


def answer_from_status(status: int) -> StoreAnswer:
    """What a C-STORE status means for the delivery (PS3.4 B.2.3, PS3.7 C)."""
    words = f"status 0x{status:04X}"
    if status == 0x0000:
        return StoreAnswer(verdict=Verdict.ACCEPTED, words=f"{words} Success")
    if status >> 12 == 0xB:
        return StoreAnswer(verdict=Verdict.ACCEPTED, words=f"{words} Warning, stored")
    if status == 0x0111:
        return StoreAnswer(verdict=Verdict.ACCEPTED, words=f"{words} Duplicate SOP Instance, the peer has it")
    if status >> 8 == 0xA7 or status in {0x0110, 0x0124, 0x0213}:
        return StoreAnswer(verdict=Verdict.TRY_AGAIN, words=f"{words} refused for now")
    return StoreAnswer(verdict=Verdict.REFUSED, words=f"{words} refused for good")


@contextmanager
def store_connection(peer: Peer, *, own_aet: str, sop_class_uids: Sequence[str]) -> Iterator[StoreConnection]:
    """An association that offers the given storage SOP classes; released at the end.

    Raises:
        PeerUnreachableError: No association.
    """
    with _association(peer, own_aet=own_aet, sop_class_uids=sop_class_uids) as association:
        yield StoreConnection(association, peer)


@contextmanager
def _association(peer: Peer, *, own_aet: str, sop_class_uids: Sequence[str]) -> Iterator[Association]:
    """An established association; released, or aborted when the peer no longer answers."""
    ae = AE(ae_title=own_aet)
    ae.connection_timeout = _CONNECT_TIMEOUT_S
    ae.acse_timeout = _CONNECT_TIMEOUT_S
    ae.dimse_timeout = _ANSWER_TIMEOUT_S
    ae.network_timeout = _ANSWER_TIMEOUT_S
    contexts = [
        build_context(uid, [syntax])
        for uid in dict.fromkeys(sop_class_uids)
        for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    ]
    sockets: list[socket] = []
    # pynetdicom 3.0.4 forgets a socket that the peer closed first without closing it.
    association = ae.associate(
        peer.host,
        peer.port,
        contexts,
        ae_title=peer.ae_title,
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: sockets.append(event.assoc.dul.socket.socket))],
    )
    try:
        if not association.is_established:
            reason = f"{peer.name}: {_why_not_established(association)}"
            raise PeerUnreachableError(reason)
        yield association
    finally:
        if association.is_established:
            association.release()
        for connection in sockets:
            connection.close()


def _why_not_established(association: Association) -> str:
    """Why there is no association, as an administrator can act on it."""
    if association.is_rejected:
        return "rejected the association: check both AE titles and whether it knows this node"
    if association.is_aborted:
        return "aborted the association, or nobody answers at its address and port"
    return "nobody answers at its address and port"
