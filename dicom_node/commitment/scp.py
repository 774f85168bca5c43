"""Takes the questions of callers whether the node keeps what they sent (PS3.4 J.3.2, PS3.7 10.1.4)."""

import weakref
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


class CommitmentScp:
    """Answers N-ACTION and N-EVENT-REPORT of callers; whatever is wrong with a request, the answer is a status."""

    def __init__(self, settings: Settings, ledger: CommitmentLedger) -> None:
        """Keep questions and reports in the index."""
        self.ledger = ledger
        self.follow(settings)
        self._open: dict[tuple[str, str], weakref.ref[Association]] = {}
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

    def association_of(self, calling_aet: str, transaction_uid: str) -> Association | None:
        """The association on which a question came, while it is open."""
        with self._lock:
            reference = self._open.get((calling_aet, transaction_uid))
        association = reference() if reference else None
        return association if association is not None and association.is_established else None

    def open_questions(self) -> list[tuple[str, str]]:
        """Calling AE title and transaction UID of the questions whose associations are open."""
        with self._lock:
            return list(self._open)

    def forget(self, calling_aet: str, transaction_uid: str) -> None:
        """The question was answered."""
        with self._lock:
            self._open.pop((calling_aet, transaction_uid), None)

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
            with self._lock:
                self._open[calling_aet, transaction_uid] = weakref.ref(event.assoc)
        return _STATUS_OF_OUTCOME[outcome]
