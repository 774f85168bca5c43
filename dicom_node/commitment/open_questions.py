"""Reports on the associations of a further receiving process, which the listener's own reporter cannot reach."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

from pynetdicom.association import Association

from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.commitment.datasets import event_type_of, report
from dicom_node.commitment.holding import holding_of
from dicom_node.commitment.same_association import report_on
from dicom_node.commitment.scp import CommitmentScp, OpenQuestion
from storage.commitment_ledger import CommitmentLedger
from storage.commitment_records import Inquiry, InquiryState
from storage.errors import StorageError

logger = logging.getLogger(__name__)

_LOOK_S = 0.3
"""Before the listener's reporter takes a question, a second after it came (storage.inquiries)."""
_CLAIM = timedelta(seconds=30)


class OpenQuestions:
    """Answers questions on their own associations; what cannot be answered there, the listener's reporter answers."""

    def __init__(self, settings: Settings, ledger: CommitmentLedger, scp: CommitmentScp, *, clock: Clock) -> None:
        """Answer what this SCP was asked."""
        self._data_dir = settings.data_dir
        self._ledger = ledger
        self._scp = scp
        self._clock = clock

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer in a thread of its own for as long as the block lasts."""
        stop = Event()
        thread = Thread(target=self._run, args=(stop,), name="open questions", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(_LOOK_S)

    def _run(self, stop: Event) -> None:
        while not stop.wait(_LOOK_S):
            for question in self._scp.open_questions():
                try:
                    self._answer(question)
                except StorageError as error:
                    logger.warning("a commitment report is put off: %s", error.detail)
                except Exception:
                    logger.exception("a commitment report is left to the listener: a defect of the node")
                    self._scp.forget(question)

    def _answer(self, question: OpenQuestion) -> None:
        """Report once, here; the question is back with the listener's reporter where that failed."""
        until = self._clock.now() + _CLAIM
        inquiry = self._ledger.claim_inquiry(question.calling_aet, question.transaction_uid, until=until)
        if inquiry and self._is_told(inquiry, question.association):
            self._ledger.end_inquiry(inquiry, InquiryState.REPORTED)
        elif inquiry:
            self._ledger.postpone_inquiry(inquiry, next_try_at=self._clock.now())
        self._scp.forget(question)

    def _is_told(self, inquiry: Inquiry, association: Association | None) -> bool:
        if association is None:
            return False
        holding = holding_of(inquiry.references, self._ledger, data_dir=self._data_dir)
        content = report(inquiry.transaction_uid, holding.kept, holding.not_kept)
        status = report_on(association, content, event_type_of(holding.not_kept))
        if status == 0x0000:
            kept, asked = len(holding.kept), len(inquiry.references)
            logger.info("%r was told that %d of %d objects are kept", inquiry.calling_aet, kept, asked)
        return status == 0x0000
