"""Takes the questions of callers whether the node keeps what they sent (PS3.4 J.3.2, PS3.7 10.1.4)."""

import weakref
from dataclasses import dataclass
from threading import Lock

from pynetdicom.association import Association
from pynetdicom.events import Event

from config.settings import Settings
from dicom_node.commitment import answers
from dicom_node.commitment.datasets import (
    COMMITMENT_CLASS_UID,
    COMMITMENT_INSTANCE_UID,
    REQUEST_COMMITMENT,
    references_asked_for,
)
from dicom_node.commitment.reports import ReportTaker
from storage.commitment_ledger import CommitmentLedger
from storage.commitment_records import InquiryOutcome

_STATUS_OF_OUTCOME = {
    InquiryOutcome.TAKEN: answers.SUCCESS,
    InquiryOutcome.OTHER_REFERENCES: answers.INVALID_ARGUMENT,
    InquiryOutcome.TOO_MANY: answers.RESOURCE_LIMITATION,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenQuestion:
    """One asking, on an association that may be open still; the same transaction asked again is another one."""

    calling_aet: str
    transaction_uid: str
    _association: weakref.ref[Association]

    @property
    def association(self) -> Association | None:
        """The association on which it came, while that is open."""
        association = self._association()
        return association if association is not None and association.is_established else None


class CommitmentScp:
    """Answers N-ACTION and N-EVENT-REPORT of callers; whatever is wrong with a request, the answer is a status."""

    def __init__(self, settings: Settings, ledger: CommitmentLedger) -> None:
        """Keep questions and reports in the index."""
        self.ledger = ledger
        self.follow(settings)
        self._open: dict[tuple[str, str], OpenQuestion] = {}
        self._lock = Lock()

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings
        self._reports = ReportTaker(self.ledger, maximum_resends=settings.outbox.commitment_resends)

    def handle_report(self, event: Event) -> answers.Answer:
        """Take what a destination says about our results."""
        calling_aet = event.assoc.requestor.ae_title
        destinations = {
            peer.name for peer in self._settings.committers if calling_aet in {peer.ae_title, peer.commitment_ae_title}
        }
        return self._reports.take(event, destinations)

    def handle_action(self, event: Event) -> answers.Answer:
        """Keep a question; it is answered by a report of its own, soon after the answer to this request."""
        return answers.answered(lambda: self._status_of(event), what="question for commitment")

    def open_question(self, calling_aet: str, transaction_uid: str) -> OpenQuestion | None:
        """The question that was asked last for a transaction and not answered yet; None where it came elsewhere."""
        with self._lock:
            return self._open.get((calling_aet, transaction_uid))

    def open_questions(self) -> list[OpenQuestion]:
        """All that were not answered yet."""
        with self._lock:
            return list(self._open.values())

    def forget(self, question: OpenQuestion) -> None:
        """The question was answered; one that came for the same transaction since then stays."""
        key = (question.calling_aet, question.transaction_uid)
        with self._lock:
            if self._open.get(key) is question:
                del self._open[key]

    def _status_of(self, event: Event) -> int:
        if not self._settings.listen.answer_storage_commitment:
            return answers.NOT_AUTHORISED
        if getattr(event.request, "RequestedSOPClassUID", None) != COMMITMENT_CLASS_UID:
            return answers.NO_SUCH_CLASS
        if getattr(event.request, "RequestedSOPInstanceUID", None) != COMMITMENT_INSTANCE_UID:
            return answers.NO_SUCH_INSTANCE
        if event.action_type != REQUEST_COMMITMENT:
            return answers.NO_SUCH_ACTION
        transaction_uid, references = references_asked_for(event.action_information)
        calling_aet = event.assoc.requestor.ae_title
        outcome = self.ledger.ask(calling_aet, transaction_uid, references)
        if outcome is InquiryOutcome.TAKEN:
            question = OpenQuestion(
                calling_aet=calling_aet, transaction_uid=transaction_uid, _association=weakref.ref(event.assoc)
            )
            with self._lock:
                self._open[calling_aet, transaction_uid] = question
        return _STATUS_OF_OUTCOME[outcome]
