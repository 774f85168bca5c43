"""Reports on the association of the question, between the requests of a caller that goes on using it."""

import logging
from io import BytesIO
from threading import Event as Flag
from time import monotonic

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext

from dicom_node.commitment.datasets import COMMITMENT_CLASS_UID, COMMITMENT_INSTANCE_UID

logger = logging.getLogger(__name__)

_PAUSE_WITHIN_S = 2.0
_ANSWER_WITHIN_S = 10.0
_LOOK_S = 0.05


def report_on(association: Association, content: Dataset, event_type: int) -> int | None:
    """Status of the caller's answer; None where the association was busy or closed, or no answer came.

    pynetdicom's own `send_n_event_report` takes whatever comes next for the answer; a caller that sends the next object
    at that moment would be aborted.
    """
    answers = _Answers()
    association.bind(evt.EVT_DIMSE_RECV, answers.handle_received)
    try:
        return answers.wait(association) if _is_sent(association, content, event_type) else None
    finally:
        association.unbind(evt.EVT_DIMSE_RECV, answers.handle_received)


class _Answers:
    """Waits for the answer to a report."""

    def __init__(self) -> None:
        self._came = Flag()
        self._status: int | None = None

    def handle_received(self, event: Event) -> None:
        """Look at a message that came."""
        if isinstance(event.message, N_EVENT_REPORT_RSP):
            self._status = int(event.message.command_set.get("Status", 0x0110))
            self._came.set()

    def wait(self, association: Association) -> int | None:
        ends_at_s = monotonic() + _ANSWER_WITHIN_S
        while monotonic() < ends_at_s and not self._came.wait(_LOOK_S):
            if not association.is_established:
                break
        return self._status


def _is_sent(association: Association, content: Dataset, event_type: int) -> bool:
    """Send the report while the association does nothing else; False where it is not idle."""
    context = next((one for one in association.accepted_contexts if one.abstract_syntax == COMMITMENT_CLASS_UID), None)
    if context is None or getattr(association.dimse, "is_receiving", False):
        return False
    association._reactor_checkpoint.clear()
    try:
        if not _is_paused(association) or getattr(association.dimse, "is_receiving", False):
            return False
        association.dimse.send_msg(_request(content, event_type, context), context.context_id or 0)
        return True
    finally:
        association._reactor_checkpoint.set()


def _is_paused(association: Association) -> bool:
    """Whether the thread that answers requests stands still, as pynetdicom has it before it sends requests."""
    ends_at_s, never = monotonic() + _PAUSE_WITHIN_S, Flag()
    while association.is_established and monotonic() < ends_at_s:
        if association._is_paused:
            return True
        never.wait(0.001)
    return False


def _request(content: Dataset, event_type: int, context: PresentationContext) -> N_EVENT_REPORT:
    """The N-EVENT-REPORT request (PS3.7 10.1.1)."""
    syntax = context.transfer_syntax[0]
    request = N_EVENT_REPORT()
    request.MessageID = 1
    request.AffectedSOPClassUID = COMMITMENT_CLASS_UID
    request.AffectedSOPInstanceUID = COMMITMENT_INSTANCE_UID
    request.EventTypeID = event_type
    encoded = encode(content, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    request.EventInformation = BytesIO(encoded or b"")
    return request
