"""Takes the reports of destinations, on whatever association they come (PS3.4 J.3.3, PS3.7 10.1.1)."""

import logging
from collections.abc import Collection

from pynetdicom.events import Event

from dicom_node.commitment import answers
from dicom_node.commitment.datasets import (
    ALL_KEPT,
    COMMITMENT_CLASS_UID,
    COMMITMENT_INSTANCE_UID,
    SOME_NOT_KEPT,
    report_from,
)
from storage.commitment_ledger import CommitmentLedger
from storage.commitment_records import CommitmentReport, ReportOutcome

logger = logging.getLogger(__name__)


class ReportTaker:
    """Writes reports into the index; whatever is wrong with one, the answer is a status."""

    def __init__(self, ledger: CommitmentLedger, *, maximum_resends: int) -> None:
        """Keep reports in the index; what is not kept is sent again at most so often."""
        self._ledger = ledger
        self._maximum_resends = maximum_resends

    def take(self, event: Event, destinations: Collection[str]) -> answers.Answer:
        """Answer an N-EVENT-REPORT; success is said last.

        Args:
            event: Of pynetdicom.
            destinations: Names of the peers that the reporter may be.
        """
        return answers.answered(lambda: self._status_of(event, destinations), what="commitment report")

    def _status_of(self, event: Event, destinations: Collection[str]) -> int:
        if getattr(event.request, "AffectedSOPClassUID", None) != COMMITMENT_CLASS_UID:
            return answers.NO_SUCH_CLASS
        if getattr(event.request, "AffectedSOPInstanceUID", None) != COMMITMENT_INSTANCE_UID:
            return answers.NO_SUCH_INSTANCE
        if event.event_type not in {ALL_KEPT, SOME_NOT_KEPT}:
            return answers.NO_SUCH_EVENT
        return self._keep(report_from(event.event_information), destinations)

    def _keep(self, report: CommitmentReport, destinations: Collection[str]) -> int:
        outcome = self._ledger.note_report(report, destinations=destinations, maximum_resends=self._maximum_resends)
        if outcome is ReportOutcome.UNKNOWN:
            logger.warning("a commitment report names a transaction that was never asked of %s", _named(destinations))
            return answers.INVALID_ARGUMENT
        if outcome is ReportOutcome.DOUBLED:
            logger.warning("a commitment report of %s came again; nothing changes", _named(destinations))
            return answers.SUCCESS
        kept, lost = len(report.committed), len(report.failed)
        logger.info("%s: %d objects committed, %d not kept", _named(destinations), kept, lost)
        return answers.SUCCESS


def _named(destinations: Collection[str]) -> str:
    return " or ".join(sorted(destinations)) or "any peer with storage_commitment = true"
