"""Tells the index who was refused, in one write every few seconds however many there were."""

import logging
from threading import Lock

from dicom_node.clock import Clock
from dicom_node.listen.admission import Caller, Rejection
from storage.errors import StorageError
from storage.refused_callers import KEPT, RefusalKey, RefusedCaller, RefusedCallers, newest_of

logger = logging.getLogger(__name__)

_LONGEST = 64
_TOO_MANY = 2 * KEPT


class RefusedCallerNotes:
    """What one receiving process knows and the index does not yet.

    Memory is bounded: of a flood of made-up titles the newest are kept, few of one address.
    """

    def __init__(self, callers: RefusedCallers, *, clock: Clock) -> None:
        """Write into the index when told to."""
        self._callers = callers
        self._clock = clock
        self._lock = Lock()
        self._noted: dict[RefusalKey, RefusedCaller] = {}

    def note(self, rejection: Rejection, caller: Caller) -> None:
        """A caller was refused; a shortage of places or of disk says nothing about it and is left out."""
        if rejection.is_shortage:
            return
        at = self._clock.now()
        key = RefusalKey(
            calling_aet=plain_text(caller.calling_aet),
            called_aet=plain_text(caller.called_aet),
            address=plain_text(caller.address),
            reason=rejection.name.lower(),
        )
        one = RefusedCaller(key=key, first_at=at, last_at=at, count=1)
        with self._lock:
            self._noted[key] = self._noted[key].joined(one) if key in self._noted else one
            if len(self._noted) > _TOO_MANY:
                self._noted = {kept.key: kept for kept in newest_of(self._noted.values())}

    def write(self) -> None:
        """Put what was noted into the index; what it does not take now is tried again the next time."""
        with self._lock:
            noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            self._callers.add(noted.values())
        except StorageError as error:
            logger.warning("refused callers were not noted, it is tried again: %s", error.detail)
            with self._lock:
                for key, one in noted.items():
                    self._noted[key] = self._noted[key].joined(one) if key in self._noted else one


def plain_text(said: str) -> str:
    """What a caller said, so that it can be printed and stored anywhere: other than printable ASCII as \\xNN, not long."""
    trimmed = said.strip(" ")[:_LONGEST]
    return "".join(one if " " <= one <= "~" else one.encode("unicode_escape").decode() for one in trimmed)
