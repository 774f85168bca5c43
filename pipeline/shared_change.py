"""A change to the whole process that several threads need at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager


class SharedChange:
    """Made by the first who enters and undone by the last who leaves.

    What it changes is one for all threads: were each thread to put back what it found, two that overlap would leave the
    change in place for ever, or take it away while the other one needs it.
    """

    def __init__(self, change: Callable[[], AbstractContextManager[object]]) -> None:
        """`change` makes it on entering and undoes it on leaving."""
        self._make = change
        self._lock = threading.Lock()
        self._inside = 0
        self._change = ExitStack()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within it the change is in place."""
        with self._lock:
            if self._inside == 0:
                self._change.enter_context(self._make())
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._change.close()
