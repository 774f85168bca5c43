"""What the listener writes into the audit trail: transfers that ended, callers that were refused."""

from threading import Lock

from dicom_node.audit.events import AlertKind, InstancesTransferred, Outcome, Party, SecurityAlert
from dicom_node.audit.trail import Recorder
from dicom_node.clock import Clock
from dicom_node.listen.admission import Caller, Rejection
from dicom_node.listen.dimse import ReceivingDimse

_MAXIMUM_ALERTS_A_MINUTE = 60
"""Of more refused callers only the number is written: who calls under ever new names must not fill the disk."""


class ListenerAudit:
    """Writes one event for each association that carried something, and for each caller that was refused."""

    def __init__(self, trail: Recorder, own: Party, *, clock: Clock) -> None:
        """Write into a trail."""
        self._trail = trail
        self._own = own
        self._clock = clock
        self._lock = Lock()
        self._minute_began_at_s = clock.monotonic()
        self._alerts_this_minute = 0
        self._unwritten = 0

    def note_transfer(self, sender: Party, dimse: ReceivingDimse, *, was_released: bool) -> None:
        """An association ended."""
        if not dimse.stored_count and not dimse.refused_count:
            return
        wrong = [f"{dimse.refused_count} objects were refused"] if dimse.refused_count else []
        wrong += [] if was_released else ["the association was aborted"]
        more = dimse.tally.uncounted
        said = [*wrong, f"{more} objects of further studies are not listed"] if more else wrong
        event = InstancesTransferred(source=sender, destination=self._own, studies=dimse.tally.studies())
        outcome = Outcome.MINOR_FAILURE if wrong else Outcome.SUCCESS
        self._trail.record(event, outcome=outcome, words="; ".join(said))

    def note_refusal(self, rejection: Rejection, caller: Caller) -> None:
        """A caller was refused; a shortage of places is none."""
        if rejection.is_shortage or not self._may_write():
            return
        with self._lock:
            unwritten, self._unwritten = self._unwritten, 0
        more = f"; {unwritten} further callers were refused before and not listed" if unwritten else ""
        event = SecurityAlert(
            kind=AlertKind.NODE_AUTHENTICATION,
            reporter=self._own,
            performer=Party(user_id=caller.calling_aet.strip(), address=caller.address),
            subject=caller.called_aet.strip() or self._own.user_id,
            description=f"refused: {rejection.words}{more}",
        )
        self._trail.record(event, outcome=Outcome.MINOR_FAILURE, words=rejection.words)

    def _may_write(self) -> bool:
        now_s = self._clock.monotonic()
        with self._lock:
            if now_s - self._minute_began_at_s >= 60:
                self._minute_began_at_s, self._alerts_this_minute = now_s, 0
            if self._alerts_this_minute >= _MAXIMUM_ALERTS_A_MINUTE:
                self._unwritten += 1
                return False
            self._alerts_this_minute += 1
        return True
