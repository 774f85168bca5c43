"""What the node asks of other application entities: C-ECHO, C-STORE, what they accept."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SegmentationStorage,
)
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import by pynetdicom

from config.settings import Peer
from dicom_node.calling import ANSWER_TIMEOUT_S, Call, Line, PeerUnreachableError, called, cut
from storage.failpoints import reach

logger = logging.getLogger(__name__)

_DEFLATABLE = frozenset(
    {
        ComprehensiveSRStorage,
        Comprehensive3DSRStorage,
        EnhancedSRStorage,
        BasicTextSRStorage,
        SegmentationStorage,
    }
)
"""What is worth to be deflated; the pages of a PDF already are."""

_REFUSALS = {
    1: "refused by its user",
    2: "refused without a reason",
    3: "SOP class not supported",
    4: "no transfer syntax in common",
}
"""PS3.8 table 9-18, Result/Reason of a presentation context."""

_CLASS_REFUSED = frozenset({0x0118, 0x0122})
"""No such SOP class, SOP class not supported (PS3.7 C.5.7 and 9.1.1.1.9): about the class, whatever the object.

Not Error: Data Set does not match SOP Class (0xA9xx) and not Cannot understand (0xCxxx, both PS3.4 B.2.3): these are about
the object, and an object that is wrong is to be seen, not hidden behind another one."""


class Verdict(StrEnum):
    """What the answer to a C-STORE means for the delivery."""

    ACCEPTED = "accepted"
    TRY_AGAIN = "try_again"
    DECLINED = "declined"
    """The peer takes no objects of this SOP class; it may take another."""
    REFUSED = "refused"
    """The peer takes the class and refuses this object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAnswer:
    """How a peer answered one C-STORE."""

    verdict: Verdict
    words: str
    """The status in words, with its number."""
    has_ended: bool = False
    """No answer came, and the association is over."""
    is_ours: bool = False
    """The peer was sent nothing: what is wrong is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedClass:
    """One SOP class as a peer negotiates it."""

    sop_class_uid: str
    transfer_syntax_uids: tuple[str, ...]
    """Best first: what objects of the class are sent in; empty when the peer refuses the class."""
    refusal: str = ""
    """Why it refuses, in words."""


def echo(peer: Peer, *, own_aet: str) -> None:
    """Verify a peer by C-ECHO (PS3.7 9.1.5).

    Raises:
        PeerUnreachableError: No association, or another answer than Success.
    """
    with _association(peer, own_aet=own_aet, sop_class_uids=(str(Verification),)) as line:
        association = line.association
        if not association.is_established:
            reason = f"{peer.name}: does not accept Verification, so whether it works is not known"
            raise PeerUnreachableError(reason)
        status = association.send_c_echo()
        if "Status" not in status or status.Status != 0x0000:
            reason = f"{peer.name}: C-ECHO was not answered with Success"
            raise PeerUnreachableError(reason)


def accepted_classes(peer: Peer, *, own_aet: str, sop_class_uids: Sequence[str]) -> tuple[AcceptedClass, ...]:
    """Ask a peer by negotiation which SOP classes it takes, without sending anything.

    Raises:
        PeerUnreachableError: No association.
    """
    with store_connection(peer, own_aet=own_aet, sop_class_uids=sop_class_uids) as connection:
        return connection.answers


class StoreConnection:
    """An open association for C-STORE."""

    def __init__(self, line: Line, peer: Peer, *, sop_class_uids: Sequence[str]) -> None:
        """Wrap the line of an association that offered these classes."""
        association = line.association
        self._association = association
        self._sockets = line.sockets
        self._peer = peer
        self.answers = tuple(_answer(association, str(uid)) for uid in dict.fromkeys(sop_class_uids))
        """What the peer negotiated for each class, in the order of the offer."""
        # pynetdicom says only a moment later that the peer aborted; another request would wait for its whole time-out.
        self._is_unanswered = False

    @property
    def has_ended(self) -> bool:
        """Whether the peer ended the association; one of which it accepted no class never began."""
        accepts_some = any(answer.transfer_syntax_uids for answer in self.answers)
        return accepts_some and not self._is_usable

    @property
    def _is_usable(self) -> bool:
        return self._association.is_established and not self._is_unanswered

    def cut(self) -> None:
        """End it now, from any thread; an object that waits for its answer gets none."""
        cut(self._sockets)

    def store(self, path: Path) -> StoreAnswer:
        """Send one file; every outcome is an answer, none an exception.

        Args:
            path: A DICOM file (PS3.10), Explicit VR little endian, uncompressed.
        """
        dataset = dcmread(path)
        negotiated = _answer(self._association, str(dataset.SOPClassUID))
        if not negotiated.transfer_syntax_uids:
            return self._declined(dataset.SOPClassUID, negotiated.refusal)
        if not self._is_usable:
            return StoreAnswer(verdict=Verdict.TRY_AGAIN, words="the association ended early", has_ended=True)
        if DeflatedExplicitVRLittleEndian in negotiated.transfer_syntax_uids:
            # pynetdicom takes the context of this syntax, and deflates what it encodes for it.
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        try:
            status = self._association.send_c_store(dataset)
        except ValueError:
            return StoreAnswer(verdict=Verdict.REFUSED, words="the object cannot be encoded; see the log")
        except RuntimeError:
            return StoreAnswer(verdict=Verdict.TRY_AGAIN, words="the association ended while sending", has_ended=True)
        if "Status" not in status:
            self._is_unanswered = True
            return StoreAnswer(verdict=Verdict.TRY_AGAIN, words="no answer: aborted or timed out", has_ended=True)
        answer = answer_from_status(int(status.Status))
        return self._declined(dataset.SOPClassUID, answer.words) if answer.verdict is Verdict.DECLINED else answer

    def _declined(self, sop_class_uid: UID, why: str) -> StoreAnswer:
        """The peer takes no objects of a class."""
        words = f"{self._peer.name} does not accept {sop_class_uid.name} ({why}): let it accept this SOP class"
        return StoreAnswer(verdict=Verdict.DECLINED, words=words)


def answer_from_status(status: int) -> StoreAnswer:
    """What a C-STORE status means for the delivery (PS3.4 B.2.3, PS3.7 C)."""
    words = f"status 0x{status:04X}"
    if status == 0x0000:
        return StoreAnswer(verdict=Verdict.ACCEPTED, words=f"{words} Success")
    if status >> 12 == 0xB:
        return StoreAnswer(verdict=Verdict.ACCEPTED, words=f"{words} Warning, stored")
    if status == 0x0111:
        return StoreAnswer(verdict=Verdict.ACCEPTED, words=f"{words} Duplicate SOP Instance, the peer has it")
    if status in _CLASS_REFUSED:
        return StoreAnswer(verdict=Verdict.DECLINED, words=f"{words} SOP class not supported")
    if status >> 8 == 0xA7 or status in {0x0110, 0x0124, 0x0213}:
        return StoreAnswer(verdict=Verdict.TRY_AGAIN, words=f"{words} refused for now")
    return StoreAnswer(verdict=Verdict.REFUSED, words=f"{words} refused for good")


@contextmanager
def store_connection(
    peer: Peer, *, own_aet: str, sop_class_uids: Sequence[str], answer_timeout_s: float = ANSWER_TIMEOUT_S
) -> Iterator[StoreConnection]:
    """An association that offers the given storage SOP classes; released at the end.

    Raises:
        PeerUnreachableError: No association.
    """
    with _association(peer, own_aet=own_aet, sop_class_uids=sop_class_uids, answer_timeout_s=answer_timeout_s) as line:
        yield StoreConnection(line, peer, sop_class_uids=sop_class_uids)


@contextmanager
def _association(
    peer: Peer, *, own_aet: str, sop_class_uids: Sequence[str], answer_timeout_s: float = ANSWER_TIMEOUT_S
) -> Iterator[Line]:
    """The line of an association that the peer accepted; released at the end.

    It is not established where the peer refused every presentation context: pynetdicom then ends it by itself.
    """
    contexts = [
        build_context(uid, [syntax]) for uid in dict.fromkeys(sop_class_uids) for syntax in _syntaxes(uid, peer)
    ]
    call = Call(
        own_aet=own_aet,
        contexts=contexts,
        handlers=[(evt.EVT_DATA_SENT, _handle_data_sent)],
        answer_timeout_s=answer_timeout_s,
    )
    with called(peer, call) as line:
        if not (line.association.is_established or line.association.rejected_contexts):
            reason = f"{peer.name}: {line.failure}"
            raise PeerUnreachableError(reason)
        yield line


def _handle_data_sent(event: Event) -> None:
    """The first P-DATA-TF (PS3.8 9.3.5) of a C-STORE is its command set: the object is then under way."""
    if event.data[:1] == b"\x04":
        reach("send.mid_object")


def _syntaxes(sop_class_uid: str, peer: Peer) -> tuple[UID, ...]:
    """Transfer syntaxes to offer, each in a context of its own so that the peer may accept several."""
    plain = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    is_deflated = peer.compression == "deflated" and sop_class_uid in _DEFLATABLE
    return (DeflatedExplicitVRLittleEndian, *plain) if is_deflated else plain


def _answer(association: Association, sop_class_uid: str) -> AcceptedClass:
    """What the negotiation of an association says about a class."""
    accepted = [
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == sop_class_uid
    ]
    reasons = [
        _REFUSALS.get(context.result or 0, "refused")
        for context in association.rejected_contexts
        if context.abstract_syntax == sop_class_uid
    ]
    refusal = "" if accepted else (reasons or ["it was not offered"])[0]
    return AcceptedClass(sop_class_uid=sop_class_uid, transfer_syntax_uids=tuple(accepted), refusal=refusal)
