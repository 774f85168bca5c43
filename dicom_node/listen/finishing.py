"""The end of a receiving process: objects that are arriving are finished."""

import logging
from collections.abc import Callable, Sequence
from threading import Event

from pynetdicom.association import Association

from dicom_node.clock import Clock
from dicom_node.listen.dimse import ReceivingDimse

logger = logging.getLogger(__name__)

FINISH_OBJECTS_S = 10.0
_ABORTED_WITHIN_S = 2.5
_POLL_S = 0.02


def finish_objects(associations: Callable[[], Sequence[Association]], clock: Clock) -> None:
    """Wait until no object is arriving any more, not for ever."""
    ends_at_s = clock.monotonic() + FINISH_OBJECTS_S
    never = Event()
    while any(_is_receiving(association) for association in associations()):
        if clock.monotonic() > ends_at_s:
            logger.warning("stopped with objects still arriving; their senders were not told Success")
            return
        never.wait(_POLL_S)


def abort_associations(associations: Sequence[Association], clock: Clock) -> None:
    """Abort them, and wait until all are over, not for ever; their peers have the same moment to close their ends."""
    for association in associations:
        association.abort(block=False)
    ends_at_s = clock.monotonic() + _ABORTED_WITHIN_S
    for association in associations:
        association.join(max(0.0, ends_at_s - clock.monotonic()))


def _is_receiving(association: Association) -> bool:
    return isinstance(association.dimse, ReceivingDimse) and association.dimse.is_receiving
