"""Keeps pynetdicom's own thread of an association away from the answer that a request waits for."""

from threading import Condition, Event

from pynetdicom.association import Association


class CallerCheckpoint(Event):
    """Where the thread of an association that we opened passes, unless a request is under way.

    pynetdicom 3.0.4 clears its checkpoint and waits until the thread says that it is paused. The thread says so before it
    asks to pass, and takes that back after it passed; a request that begins between the two believes it paused, and the
    thread takes the answer from the queue and drops it. The request then waits until its time-out, with an answer that
    came: one in several hundred on a busy machine.

    A thread that was let go passes, also where the next request begins at once: it is who notices that the peer aborted.
    """

    def __init__(self, association: Association) -> None:
        """Open."""
        super().__init__()
        self._association = association
        self._turn = Condition()
        self._is_open = True
        self._waits = self._is_let_go = False

    def is_set(self) -> bool:
        """Whether no request is under way."""
        return self._is_open

    def set(self) -> None:
        """Let the thread pass."""
        with self._turn:
            self._is_open = True
            self._is_let_go = self._waits
            self._turn.notify_all()

    def clear(self) -> None:
        """Let nobody pass from now on but a thread that was let go; that one is known not to be paused."""
        with self._turn:
            self._is_open = False
            if self._is_let_go:
                self._association._is_paused = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the thread may pass; when this returns, it has taken back that it is paused."""
        with self._turn:
            self._waits = True
            may_pass = self._turn.wait_for(lambda: self._is_open or self._is_let_go, timeout)
            self._waits = False
            if may_pass:
                self._is_let_go = False
                self._association._is_paused = False
            return may_pass


def guard_answers(association: Association) -> None:
    """Give an association its checkpoint; to be called when its connection opens, before its thread looks for messages."""
    association._reactor_checkpoint = CallerCheckpoint(association)
