"""The time, as something that is handed in."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time: instants for records, seconds for durations."""

    def now(self) -> datetime:
        """This instant, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, never going back."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """This instant, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment, never going back."""
        return time.monotonic()
