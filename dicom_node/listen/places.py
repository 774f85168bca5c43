"""Places for associations in a further receiving process, which the listener gives out."""

from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue
from threading import Lock

from dicom_node.listen.channel import Channel, ChannelClosedError, Said
from dicom_node.listen.limits import Shortage

_ANSWER_WITHIN_S = 5.0


class PlacesOfListener:
    """Places that the listener gives out: its limits count the associations of all processes together."""

    def __init__(self, channel: Channel, *, within_s: float = _ANSWER_WITHIN_S) -> None:
        """Ask over this channel; without an answer in time there is no place."""
        self._within_s = within_s
        self._channel = channel
        self._questions = count(1)
        self._answers: dict[int, SimpleQueue[str | None]] = {}
        self._taken: dict[int, Callable[[], bool]] = {}
        self._lock = Lock()

    def take(self, address: str, *, is_over: Callable[[], bool]) -> Shortage | None:
        """See Places."""
        question = next(self._questions)
        answer = self._answers[question] = SimpleQueue()
        try:
            self._channel.send(Said.MAY_ENTER, question, address)
            shortage = answer.get(timeout=self._within_s)
        except (Empty, BlockingIOError, ChannelClosedError):
            # The listener may have given the place all the same: it hears that nobody has it.
            self._keep(question, lambda: True)
            return Shortage.TOTAL
        finally:
            self._answers.pop(question, None)
        if shortage is not None:
            return Shortage(shortage)
        self._keep(question, is_over)
        return None

    def hear(self, question: int, shortage: str | None) -> None:
        """What the listener answered."""
        if answer := self._answers.get(question):
            answer.put(shortage)

    def give_back(self) -> None:
        """Give the places of associations that have ended back.

        Raises:
            ChannelClosedError: The listener is gone.
            BlockingIOError: It takes nothing now; what it did not hear is said the next time.
        """
        with self._lock:
            for question in [question for question, is_over in self._taken.items() if is_over()]:
                self._channel.send(Said.LEFT, question)
                del self._taken[question]

    def _keep(self, question: int, is_over: Callable[[], bool]) -> None:
        with self._lock:
            self._taken[question] = is_over
