"""Attempts that this process ended and could not give back, since the index was away."""

import logging
from threading import Lock

from storage.index import Index
from storage.records import Claim

logger = logging.getLogger(__name__)

_WHY = "the index could not be reached while the attempt ran, or when it was ended"


class StoppedAttempts:
    """Remembered for as long as the process lives, so that the try of none of them counts.

    Usable by several threads. What another process takes away meanwhile stays taken away.
    """

    def __init__(self) -> None:
        """There is none."""
        self._claims: list[Claim] = []
        self._lock = Lock()

    def remember(self, claim: Claim) -> None:
        """Nothing runs for this claim any more."""
        with self._lock:
            self._claims.append(claim)

    def give_back(self, index: Index) -> None:
        """Give all of them back; nothing where there is none.

        Raises:
            StorageError: The index is away still; those that it did not take are remembered.
        """
        with self._lock:
            while self._claims:
                if index.release(self._claims[-1], why=_WHY):
                    logger.info("attempt %d: given back, the try does not count", self._claims[-1].attempt_id)
                self._claims.pop()
