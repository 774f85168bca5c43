"""Brings callers the answer whether the node keeps what they sent (PS3.4 J.3.3, PS3.7 10.1.1)."""

import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event as Flag
from threading import Thread

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from config.settings import Peer, Settings
from dicom_node.calling import PeerUnreachableError
from dicom_node.clock import Clock
from dicom_node.commitment.association import AS_SCP, commitment_association
from dicom_node.commitment.datasets import (
    COMMITMENT_CLASS_UID,
    COMMITMENT_INSTANCE_UID,
    event_type_of,
    report,
)
from dicom_node.commitment.errors import CommitmentRefusedError
from dicom_node.commitment.holding import Holding, holding_of
from dicom_node.commitment.same_association import report_on
from dicom_node.commitment.scp import CommitmentScp, OpenQuestion
from dicom_node.outbox import back_off_from
from storage.commitment_ledger import CommitmentLedger
from storage.commitment_records import Inquiry, InquiryState
from storage.errors import StorageError

logger = logging.getLogger(__name__)

_LOOK_S = 0.5
_STORAGE_WAIT_S = 10.0
_HELD_FOR = timedelta(minutes=2)
"""A question that somebody answers; it is due again should they die with it."""
_BRING_AGAIN = frozenset({0x0110, 0x0213})
"""Processing failure, resource limitation (PS3.7 C): what may pass."""


class CommitmentReporter:
    """Answers the questions that are due, one after the other; what it knows is in the index.

    A caller that cannot be reached is tried once for all that it asked, with a pause that doubles: each try may take a
    minute, and other callers wait for it.
    """

    def __init__(self, settings: Settings, ledger: CommitmentLedger, scp: CommitmentScp, *, clock: Clock) -> None:
        """Answer for the data folder of the settings."""
        self._ledger = ledger
        self._scp = scp
        self._clock = clock
        self._random = random.Random()  # spreads retries, hides nothing
        self._failures: Counter[str] = Counter()
        """Calls in a row that failed, by the peer's name; a restart begins with short pauses again."""
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings
        self._back_off = back_off_from(settings.outbox)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer in a thread of its own for as long as the block lasts."""
        stop = Flag()
        thread = Thread(target=self._run, args=(stop,), name="commitment reports", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(_STORAGE_WAIT_S)

    def answer_next(self) -> bool:
        """Answer one question; False when none is due."""
        now = self._clock.now()
        latest = max(self._back_off.latest_from(now), now + 2 * _HELD_FOR)
        inquiry = self._ledger.take_inquiry(held_for=_HELD_FOR, latest=latest)
        if inquiry is None:
            return False
        holding = holding_of(inquiry.references, self._ledger, data_dir=self._settings.data_dir)
        question = self._scp.open_question(inquiry.calling_aet, inquiry.transaction_uid)
        try:
            is_brought = self._is_brought(inquiry, holding, question)
        except PeerUnreachableError as error:
            logger.warning("no commitment report to %r for now: %s", inquiry.calling_aet, error)
            self._leave_alone(inquiry, question)
            return True
        self._failures.pop(self._name_of(inquiry.calling_aet), None)
        if is_brought:
            self._end(inquiry, InquiryState.REPORTED, question)
            kept, asked = len(holding.kept), len(inquiry.references)
            logger.info("%r was told that %d of %d objects are kept", inquiry.calling_aet, kept, asked)
        else:
            self._put_off(inquiry, question, next_try_at=self._later(inquiry.tries + 1, jitter=self._random.random()))
        return True

    def _end(self, inquiry: Inquiry, state: InquiryState, question: OpenQuestion | None) -> None:
        """Be done with a question, unless it was asked again meanwhile."""
        if self._ledger.end_inquiry(inquiry, state) and question:
            self._scp.forget(question)

    def _run(self, stop: Flag) -> None:
        while not stop.wait(_LOOK_S):
            try:
                while not stop.is_set() and self.answer_next():
                    pass
            except StorageError as error:
                logger.warning("no commitment reports for %d s: %s", _STORAGE_WAIT_S, error.detail)
                stop.wait(_STORAGE_WAIT_S)
            except Exception:
                logger.exception("no commitment reports for %d s: a defect of the node", _STORAGE_WAIT_S)
                stop.wait(_STORAGE_WAIT_S)

    def _is_brought(self, inquiry: Inquiry, holding: Holding, question: OpenQuestion | None) -> bool:
        """Report on the association of the question if it is open and idle, else on a new one.

        Raises:
            PeerUnreachableError: There is no new one, or no answer on it.
        """
        content = report(inquiry.transaction_uid, holding.kept, holding.not_kept)
        event_type = event_type_of(holding.not_kept)
        association = question.association if question else None
        status = report_on(association, content, event_type) if association else None
        if status is None:
            status = self._on_new_association(inquiry, content, event_type)
        if status is None or status in _BRING_AGAIN:
            return False
        if status != 0x0000:
            logger.warning("%r answered its commitment report with 0x%04X", inquiry.calling_aet, status)
        return True

    def _on_new_association(self, inquiry: Inquiry, content: Dataset, event_type: int) -> int | None:
        """Status of the caller's answer; None where there is nowhere to call it.

        Raises:
            PeerUnreachableError: It could not be reached, or did not answer.
        """
        peer = self._peer_of(inquiry.calling_aet)
        if peer is None:
            if not inquiry.tries:
                logger.warning(
                    "no commitment report to %r: only a caller with a [[peers]] block can be called",
                    inquiry.calling_aet,
                )
            return None
        try:
            with commitment_association(peer, own_aet=self._settings.node.ae_title, roles=AS_SCP) as line:
                status = _status_of_report(line.association, content, event_type)
        except (CommitmentRefusedError, RuntimeError, ValueError) as error:
            raise PeerUnreachableError(str(error)) from error
        if status is None:
            reason = f"{peer.name}: no answer to its commitment report"
            raise PeerUnreachableError(reason)
        return status

    def _peer_of(self, calling_aet: str) -> Peer | None:
        peers = self._settings.peers
        return next((peer for peer in peers if calling_aet in {peer.ae_title, peer.commitment_ae_title}), None)

    def _leave_alone(self, inquiry: Inquiry, question: OpenQuestion | None) -> None:
        """Put off all that a caller asked, but for what can be answered on an association that is open here."""
        peer = self._peer_of(inquiry.calling_aet)
        titles = (peer.ae_title, peer.commitment_ae_title) if peer else ()
        callers = {inquiry.calling_aet, *(title for title in titles if title)}
        name, jitter = self._name_of(inquiry.calling_aet), self._random.random()
        self._failures[name] += 1
        failures = self._failures[name]
        self._put_off(inquiry, question, next_try_at=self._later(max(inquiry.tries + 1, failures), jitter=jitter))
        asked_here = self._scp.open_questions()
        spare = {one.transaction_uid for one in asked_here if one.calling_aet in callers and one.association}
        self._ledger.postpone_inquiries(callers, spare=spare, next_try_at=self._later(failures, jitter=jitter))

    def _name_of(self, calling_aet: str) -> str:
        peer = self._peer_of(calling_aet)
        return peer.name if peer else ""

    def _later(self, tries: int, *, jitter: float) -> datetime:
        wait_s = self._back_off.wait_s(tries, jitter=jitter)
        return self._clock.now() + timedelta(seconds=wait_s)

    def _put_off(self, inquiry: Inquiry, question: OpenQuestion | None, *, next_try_at: datetime) -> None:
        """Try again later, or no more after days."""
        now = self._clock.now()
        if now - inquiry.asked_at > timedelta(seconds=self._back_off.give_up_after_s):
            logger.warning("%r never took its commitment report; it is not tried any more", inquiry.calling_aet)
            self._end(inquiry, InquiryState.GIVEN_UP, question)
            return
        self._ledger.postpone_inquiry(inquiry, next_try_at=next_try_at)


def _status_of_report(association: Association, content: Dataset, event_type: int) -> int | None:
    """Send the N-EVENT-REPORT; None without an answer."""
    status, _ = association.send_n_event_report(content, event_type, COMMITMENT_CLASS_UID, COMMITMENT_INSTANCE_UID)
    return int(status.Status) if "Status" in status else None
