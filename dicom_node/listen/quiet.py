"""Keeps a flood of events out of the log."""

from collections import OrderedDict
from collections.abc import Hashable
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
