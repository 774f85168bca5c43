"""Keeps a flood of events out of the log."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock

from dicom_node.clock import Clock

_REMEMBERED = 256


class OncePerMinute:
    """Lets each kind of event through once a minute; remembers only the kinds seen last."""

    def __init__(self, clock: Clock) -> None:
        """Nothing was let through so far."""
        self._clock = clock
        self._passed_at_s: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = Lock()

    def passes(self, kind: Hashable) -> bool:
        """Whether this event is the first of its kind for a minute."""
        now_s = self._clock.monotonic()
        with self._lock:
            passed_at_s = self._passed_at_s.get(kind)
            if passed_at_s is not None and now_s - passed_at_s < 60:
                return False
            self._passed_at_s[kind] = now_s
            self._passed_at_s.move_to_end(kind)
            if len(self._passed_at_s) > _REMEMBERED:
                self._passed_at_s.popitem(last=False)
        return True


@dataclass(slots=True)
class _Minute:
    """What came from one address in a minute."""

    began_at_s: float
    passed: int = 0
    left_out: int = 0


class BoundPerAddress:
    """Lets so many events of an address through in a minute and counts the others; remembers the addresses seen last."""

    def __init__(self, clock: Clock, *, limit: int) -> None:
        """Nothing was let through so far."""
        self._clock = clock
        self._limit = limit
        self._minutes: OrderedDict[str, _Minute] = OrderedDict()
        self._left_out: dict[str, int] = {}
        self._lock = Lock()

    def passes(self, address: str) -> bool:
        """Whether this event is among the first of its address in this minute."""
        now_s = self._clock.monotonic()
        with self._lock:
            self._end_minutes(now_s)
            minute = self._minutes.setdefault(address, _Minute(began_at_s=now_s))
            if len(self._minutes) > _REMEMBERED:
                self._end(next(iter(self._minutes)))
            if minute.passed >= self._limit:
                minute.left_out += 1
                return False
            minute.passed += 1
        return True

    def take_left_out(self) -> dict[str, int]:
        """How many events did not pass in minutes that are over, by address; each is told once."""
        with self._lock:
            self._end_minutes(self._clock.monotonic())
            left_out, self._left_out = self._left_out, {}
        return left_out

    def _end_minutes(self, now_s: float) -> None:
        while self._minutes and now_s - next(iter(self._minutes.values())).began_at_s >= 60:
            self._end(next(iter(self._minutes)))

    def _end(self, address: str) -> None:
        if count := self._minutes.pop(address).left_out:
            self._left_out[address] = self._left_out.get(address, 0) + count
