"""Places for associations and for connections that do not speak yet, and what one association may bring."""

import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from threading import Lock
from typing import Protocol

from config.settings import ListenSettings


class Shortage(Enum):
    """Which limit leaves no place for an association."""

    TOTAL = "total"
    ADDRESS = "address"


class Places(Protocol):
    """Gives out places for associations."""

    def take(self, address: str, *, is_over: Callable[[], bool]) -> Shortage | None:
        """Take a place; why there is none otherwise.

        Args:
            address: Of the peer.
            is_over: Whether the association has ended: its place is free then, without anybody giving it back.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One association that was let in."""

    address: str
    is_over: Callable[[], bool]


class AssociationPlaces:
    """Places for associations, in all and for each address; looked for and taken in one step."""

    def __init__(self, *, total: int, per_address: int) -> None:
        """All places are free."""
        self.limit(total=total, per_address=per_address)
        self._taken: list[_Place] = []
        self._lock = Lock()

    def limit(self, *, total: int, per_address: int) -> None:
        """Give out so many from now on; who has a place keeps it."""
        self._total = total
        self._per_address = per_address

    def take(self, address: str, *, is_over: Callable[[], bool]) -> Shortage | None:
        """See Places."""
        with self._lock:
            self._taken = [place for place in self._taken if not place.is_over()]
            if len(self._taken) >= self._total:
                return Shortage.TOTAL
            if sum(place.address == address for place in self._taken) >= self._per_address:
                return Shortage.ADDRESS
            self._taken.append(_Place(address=address, is_over=is_over))
        return None


class SilentConnections:
    """Connections that have not asked for an association yet.

    When there are too many, the oldest of the address that has the most gives way: who means it asks at once, so the
    newest is the likeliest to be a real sender.
    """

    def __init__(self, maximum: int) -> None:
        """There are none."""
        self.maximum = maximum
        self._open: dict[socket.socket, str] = {}
        self._lock = Lock()

    def add(self, connection: socket.socket, address: str) -> str:
        """Count a connection; the address that lost one for it, empty where there was room."""
        with self._lock:
            given_up = self._to_give_up() if len(self._open) >= self.maximum else None
            loser = self._open.pop(given_up, "") if given_up else ""
            self._open[connection] = address
            if given_up:
                # Below TLS: its own thread may be in the handshake. That thread wakes up, and closes.
                with suppress(OSError):
                    socket.socket.shutdown(given_up, socket.SHUT_RDWR)
        return loser

    def remove(self, connection: socket.socket) -> None:
        """It spoke, or is gone."""
        with self._lock:
            self._open.pop(connection, None)

    def _to_give_up(self) -> socket.socket:
        """Dictionaries keep their order: the first of an address is its oldest."""
        ((address, _),) = Counter(self._open.values()).most_common(1)
        return next(connection for connection, its_address in self._open.items() if its_address == address)


class BudgetExceededError(ValueError):
    """The association brought more than it may: it is aborted, what was acknowledged is kept."""


class AssociationBudget:
    """What one association may bring."""

    def __init__(self, listen: ListenSettings) -> None:
        """Nothing was brought yet."""
        self._maximum_bytes = listen.maximum_association_bytes
        self._maximum_objects = listen.maximum_association_objects
        self._bytes = 0
        self._objects = 0

    def begin_object(self) -> None:
        """One more object; BudgetExceededError where that is one too many."""
        self._objects += 1
        if self._objects > self._maximum_objects:
            reason = f"more than {self._maximum_objects} objects: see [listen].maximum_association_objects"
            raise BudgetExceededError(reason)

    def spend(self, size_bytes: int) -> None:
        """These bytes of a data set came; BudgetExceededError where they are too many."""
        self._bytes += size_bytes
        if self._bytes > self._maximum_bytes:
            reason = f"more than {self._maximum_bytes} bytes: see [listen].maximum_association_bytes"
            raise BudgetExceededError(reason)
