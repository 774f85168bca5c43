"""Whether the head of the cluster is there, by what it answers."""

import time
from collections.abc import Callable
from threading import Condition

_SETTLED_S = 5.0
"""A machine that goes down ends its processes one after the other, actors maybe before the head."""


class HeadWatch:
    """Tells the failure of an attempt from the loss of the head, which is nobody's failure; usable by several threads."""

    def __init__(self) -> None:
        """It answered nothing yet."""
        self._turn = Condition()
        self._asked_at_s = -1.0

    def note(self, *, asked_at_s: float) -> None:
        """The head answered, and knows this machine.

        Args:
            asked_at_s: When it was asked, by the monotonic clock.
        """
        with self._turn:
            self._asked_at_s = asked_at_s
            self._turn.notify_all()

    def is_there(self, *, is_wanted: Callable[[], bool]) -> bool:
        """Wait until the head answers a question that is asked a few seconds from now.

        The driver asks again and again; where no answer comes it ends, and this with it.

        Args:
            is_wanted: Asked a few times a second while it waits.

        Returns:
            False when it was wanted no longer before.
        """
        settled_at_s = time.monotonic() + _SETTLED_S
        with self._turn:
            while self._asked_at_s < settled_at_s:
                if not is_wanted():
                    return False
                self._turn.wait(0.2)
        return True
