"""Takes the questions of callers whether the node keeps what they sent (PS3.4 J.3.2, PS3.7 10.1.4)."""

import logging
import weakref
from threading import Lock

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.events import Event

from config.settings import Settings
from dicom_node.commitment.datasets import (
    COMMITMENT_CLASS_UID,
    COMMITMENT_INSTANCE_UID,
    REQUEST_COMMITMENT,
    BadContentError,
    TooManyReferencesError,
    references_asked_for,
)
from dicom_node.commitment.reports import ReportTaker
from storage.commitment_ledger import CommitmentLedger
from storage.commitment_records import InquiryOutcome
from storage.errors import StorageError

logger = logging.getLogger(__name__)

# PS3.7 10.1.4.1.10 and annex C.
_SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_NO_SUCH_INSTANCE = 0x0112
_INVALID_ARGUMENT = 0x0115
_NO_SUCH_CLASS = 0x0118
_NO_SUCH_ACTION = 0x0123
_NOT_AUTHORISED = 0x0124
_RESOURCE_LIMITATION = 0x0213
_STATUS_OF_OUTCOME = {
    InquiryOutcome.TAKEN: _SUCCESS,
    InquiryOutcome.OTHER_REFERENCES: _INVALID_ARGUMENT,
    InquiryOutcome.TOO_MANY: _RESOURCE_LIMITATION,
}

Answer = tuple[int, Dataset | None]


class CommitmentScp:
    """Answers N-ACTION and N-EVENT-REPORT of callers; whatever is wrong with a request, the answer is a status."""

    def __init__(self, settings: Settings, ledger: CommitmentLedger) -> None:
        """Keep questions and reports in the index."""
        self._settings = settings
        self._ledger = ledger
        self._reports = ReportTaker(ledger, maximum_resends=settings.outbox.commitment_resends)
        self._open: dict[tuple[str, str], weakref.ref[Association]] = {}
        self._lock = Lock()

    def handle_report(self, event: Event) -> Answer:
        """Take what a destination says about our results."""
        calling_aet = event.assoc.requestor.ae_title
        destinations = {
            peer.name for peer in self._settings.committers if calling_aet in {peer.ae_title, peer.commitment_ae_title}
        }
        return self._reports.take(event, destinations)

    def handle_action(self, event: Event) -> Answer:
        """Keep a question; it is answered by a report of its own, soon after the answer to this request."""
        try:
            status = self._status_of(event)
        except BadContentError:
            status = _INVALID_ARGUMENT
        except TooManyReferencesError:
            status = _RESOURCE_LIMITATION
        except StorageError as error:
            logger.warning("a question for commitment was not kept: %s", error.detail)
            status = _PROCESSING_FAILURE
        except Exception as error:  # noqa: BLE001  # pydicom raises whatever it likes over a malformed data set
            logger.warning("a question for commitment was not understood [%s]", type(error).__name__)
            status = _PROCESSING_FAILURE
        if status != _SUCCESS:
            logger.warning("question for commitment refused with 0x%04X", status)
        return status, None

    def association_of(self, calling_aet: str, transaction_uid: str) -> Association | None:
        """The association on which a question came, while it is open."""
        with self._lock:
            reference = self._open.get((calling_aet, transaction_uid))
        association = reference() if reference else None
        return association if association is not None and association.is_established else None

    def forget(self, calling_aet: str, transaction_uid: str) -> None:
        """The question was answered."""
        with self._lock:
            self._open.pop((calling_aet, transaction_uid), None)

    def _status_of(self, event: Event) -> int:
        if not self._settings.listen.answer_storage_commitment:
            return _NOT_AUTHORISED
        if getattr(event.request, "RequestedSOPClassUID", None) != COMMITMENT_CLASS_UID:
            return _NO_SUCH_CLASS
        if getattr(event.request, "RequestedSOPInstanceUID", None) != COMMITMENT_INSTANCE_UID:
            return _NO_SUCH_INSTANCE
        if event.action_type != REQUEST_COMMITMENT:
            return _NO_SUCH_ACTION
        transaction_uid, references = references_asked_for(event.action_information)
        calling_aet = event.assoc.requestor.ae_title
        with self._lock:
            self._open[calling_aet, transaction_uid] = weakref.ref(event.assoc)
        return _STATUS_OF_OUTCOME[self._ledger.ask(calling_aet, transaction_uid, references)]
