"""Takes the reports of destinations, on whatever association they come (PS3.4 J.3.3, PS3.7 10.1.1)."""

import logging
from collections.abc import Collection

from pydicom.dataset import Dataset
from pynetdicom.events import Event

from dicom_node.commitment.datasets import (
    ALL_KEPT,
    COMMITMENT_CLASS_UID,
    COMMITMENT_INSTANCE_UID,
    SOME_NOT_KEPT,
    BadContentError,
    TooManyReferencesError,
    report_from,
)
from storage.commitment_ledger import CommitmentLedger
from storage.commitment_records import CommitmentReport, ReportOutcome
from storage.errors import StorageError

logger = logging.getLogger(__name__)

# PS3.7 10.1.1.1.8 and annex C.
_SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_NO_SUCH_INSTANCE = 0x0112
_NO_SUCH_EVENT = 0x0113
_INVALID_ARGUMENT = 0x0115
_NO_SUCH_CLASS = 0x0118
_RESOURCE_LIMITATION = 0x0213

Answer = tuple[int, Dataset | None]


class ReportTaker:
    """Writes reports into the index; whatever is wrong with one, the answer is a status."""

    def __init__(self, ledger: CommitmentLedger, *, maximum_resends: int) -> None:
        """Keep reports in the index; what is not kept is sent again at most so often."""
        self._ledger = ledger
        self._maximum_resends = maximum_resends

    def take(self, event: Event, destinations: Collection[str]) -> Answer:
        """Answer an N-EVENT-REPORT; success is said last.

        Args:
            event: Of pynetdicom.
            destinations: Names of the peers that the reporter may be.
        """
        try:
            status = self._status_of(event, destinations)
        except BadContentError:
            status = _INVALID_ARGUMENT
        except TooManyReferencesError:
            status = _RESOURCE_LIMITATION
        except StorageError as error:
            logger.warning("a commitment report was not kept: %s", error.detail)
            status = _PROCESSING_FAILURE
        except Exception as error:  # noqa: BLE001  # pydicom raises whatever it likes over a malformed data set
            logger.warning("a commitment report was not understood [%s]", type(error).__name__)
            status = _PROCESSING_FAILURE
        if status != _SUCCESS:
            logger.warning("commitment report refused with 0x%04X", status)
        return status, None

    def _status_of(self, event: Event, destinations: Collection[str]) -> int:
        if getattr(event.request, "AffectedSOPClassUID", None) != COMMITMENT_CLASS_UID:
            return _NO_SUCH_CLASS
        if getattr(event.request, "AffectedSOPInstanceUID", None) != COMMITMENT_INSTANCE_UID:
            return _NO_SUCH_INSTANCE
        if event.event_type not in {ALL_KEPT, SOME_NOT_KEPT}:
            return _NO_SUCH_EVENT
        return self._keep(report_from(event.event_information), destinations)

    def _keep(self, report: CommitmentReport, destinations: Collection[str]) -> int:
        outcome = self._ledger.note_report(report, destinations=destinations, maximum_resends=self._maximum_resends)
        if outcome is ReportOutcome.UNKNOWN:
            logger.warning("a commitment report names a transaction that was never asked of %s", _named(destinations))
            return _INVALID_ARGUMENT
        if outcome is ReportOutcome.DOUBLED:
            logger.warning("a commitment report of %s came again; nothing changes", _named(destinations))
            return _SUCCESS
        kept, lost = len(report.committed), len(report.failed)
        logger.info("%s: %d objects committed, %d not kept", _named(destinations), kept, lost)
        return _SUCCESS


def _named(destinations: Collection[str]) -> str:
    return " or ".join(sorted(destinations)) or "any peer with storage_commitment = true"
