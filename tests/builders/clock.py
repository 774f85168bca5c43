"""A clock that stands until a test moves it."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Starts at noon of 2 January 2026; `advance` moves both its times."""

    def __init__(self, start: datetime = datetime(2026, 1, 2, 12, tzinfo=UTC)) -> None:
        """Stand at the given instant."""
        self._now = start
        self._monotonic_s = 1000.0

    def now(self) -> datetime:
        """This instant, aware UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds, moved by `advance` alone."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic_s += seconds

    def set_wall_clock(self, instant: datetime) -> None:
        """Step the wall clock, as an administrator or NTP does; the monotonic clock goes on."""
        self._now = instant
