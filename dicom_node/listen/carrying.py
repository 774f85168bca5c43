"""Tells the index which associations are open: the worker does not take a study as complete while one carries it."""

import logging
import secrets
from itertools import count
from threading import Lock

from storage.errors import StorageError
from storage.index import Index

logger = logging.getLogger(__name__)


class AssociationLedger:
    """Names the associations of this run of the listener and says when they end.

    That an association carries a study is written with the first instance, in the same transaction; this adds one write
    when it ends, and one every few seconds for all that are open.
    """

    def __init__(self, index: Index, *, prefix: str = "") -> None:
        """Begin with none.

        Args:
            index: Of the node.
            prefix: How the names begin of all associations of this machine.
        """
        self._index = index
        self._run = prefix + secrets.token_hex(6)
        self._numbers = count(1)
        self._lock = Lock()
        self._open: set[str] = set()
        self._unwritten_ends: dict[str, bool] = {}

    def begin(self) -> str:
        """A name for an association that begins; no other ever has it."""
        name = f"{self._run}.{next(self._numbers)}"
        with self._lock:
            self._open.add(name)
        return name

    def end(self, name: str, *, was_released: bool, has_carried: bool) -> None:
        """The association is over; when the index does not take that now, `beat` tries again.

        Args:
            name: From `begin`.
            was_released: By A-RELEASE, as it should be (PS3.8 7.2).
            has_carried: Whether it carried any object: of one that did not the index knows nothing.
        """
        with self._lock:
            self._open.discard(name)
            if has_carried:
                self._unwritten_ends[name] = was_released
        self._write_ends()

    def beat(self) -> None:
        """Say which associations are open still."""
        self._write_ends()
        with self._lock:
            names = sorted(self._open)
        try:
            self._index.keep_associations(names)
        except StorageError as error:
            logger.warning("open associations were not noted: %s", error.detail)

    def _write_ends(self) -> None:
        with self._lock:
            ends = tuple(self._unwritten_ends.items())
        for name, was_released in ends:
            try:
                self._index.end_association(name, was_released=was_released)
            except StorageError as error:
                logger.warning("the end of an association was not noted, it is tried again: %s", error.detail)
                return
            with self._lock:
                self._unwritten_ends.pop(name, None)
