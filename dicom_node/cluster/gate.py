"""How many bytes of studies may be in the cluster's memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition


class ByteGate:
    """Lets studies in as long as they fit; one that is larger than the limit goes alone."""

    def __init__(self) -> None:
        """Without a limit until one is set."""
        self.limit_bytes = 0
        """0 is none."""
        self._turn = Condition()
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What is in now."""
        return self._held_bytes

    @contextmanager
    def hold(self, size_bytes: int, *, is_wanted: Callable[[], bool]) -> Iterator[bool]:
        """Be in with so many bytes.

        Args:
            size_bytes: Of the study.
            is_wanted: Asked a few times a second while it waits.

        Yields:
            False when it was wanted no longer before it fitted.
        """
        entered = self._enter(size_bytes, is_wanted)
        try:
            yield entered
        finally:
            if entered:
                with self._turn:
                    self._held_bytes -= size_bytes
                    self._turn.notify_all()

    def _enter(self, size_bytes: int, is_wanted: Callable[[], bool]) -> bool:
        with self._turn:
            while not self._fits(size_bytes):
                if not is_wanted():
                    return False
                self._turn.wait(0.2)
            self._held_bytes += size_bytes
            return True

    def _fits(self, size_bytes: int) -> bool:
        return not (self.limit_bytes and self._held_bytes and self._held_bytes + size_bytes > self.limit_bytes)
