"""Gathers who was refused, and writes it into the index from time to time."""

import logging
from threading import Lock

from dicom_node.clock import Clock
from dicom_node.listen.admission import PASSING, Caller, Rejection
from storage.errors import StorageError
from storage.refused_callers import MAXIMUM_CALLERS, RefusedCaller, RefusedCallers

logger = logging.getLogger(__name__)

_Who = tuple[str, str, str, str]


class RefusalNotes:
    """Refused callers of one process.

    A refusal costs no write of its own, and of ever new callers no more are remembered than the index keeps.
    """

    def __init__(self, callers: RefusedCallers, *, clock: Clock) -> None:
        """Write into the index, when told to."""
        self._callers = callers
        self._clock = clock
        self._lock = Lock()
        self._noted: dict[_Who, RefusedCaller] = {}

    def note(self, rejection: Rejection, caller: Caller) -> None:
        """A caller was refused; a shortage of places is none."""
        if rejection in PASSING:
            return
        who = (caller.calling_aet.strip(" "), caller.called_aet.strip(" "), caller.address, rejection.name)
        now = self._clock.now()
        with self._lock:
            earlier = self._noted.pop(who, None)
            if not earlier and len(self._noted) >= MAXIMUM_CALLERS:
                del self._noted[next(iter(self._noted))]
            self._noted[who] = RefusedCaller(
                calling_aet=who[0],
                called_aet=who[1],
                address=who[2],
                reason=who[3],
                count=earlier.count + 1 if earlier else 1,
                first_at=earlier.first_at if earlier else now,
                last_at=now,
            )

    def write(self) -> None:
        """Put what was noted into the index; what it does not take now is kept for the next time."""
        with self._lock:
            noted, self._noted = self._noted, {}
        try:
            self._callers.add(tuple(noted.values()))
        except StorageError as error:
            logger.warning("refused callers are not written: %s", error.detail)
            with self._lock:
                self._noted = noted | self._noted
