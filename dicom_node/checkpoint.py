"""Keeps pynetdicom's own thread of an association away from the answer that a request waits for."""

from threading import Event, Lock

from pynetdicom.association import Association


class CallerCheckpoint(Event):
    """Where the thread of an association that we opened passes, unless a request is under way.

    pynetdicom 3.0.4 clears its checkpoint and waits until the thread says that it is paused. The thread says so before it
    asks to pass, and takes that back after it passed; a request that begins between the two believes it paused, and the
    thread takes the answer from the queue and drops it. The request then waits until its time-out, with an answer that
    came: one in several hundred on a busy machine.
    """

    def __init__(self, association: Association) -> None:
        """Open."""
        super().__init__()
        self.set()
        self._association = association
        self._passing = Lock()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the thread may pass; when this returns, it has taken back that it is paused."""
        while super().wait(timeout):
            with self._passing:
                if self.is_set():
                    self._association._is_paused = False
                    return True
        return False

    def clear(self) -> None:
        """Let nobody pass from now on: the thread is paused, or is known not to be."""
        with self._passing:
            super().clear()


def guard_answers(association: Association) -> None:
    """Give an association its checkpoint; to be called when its connection opens, before its thread looks for messages."""
    association._reactor_checkpoint = CallerCheckpoint(association)
