"""What peers say that they have: asked one study at a time, away from the sweep, with pauses that grow."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

from dicom_node.clock import Clock
from dicom_node.errors import NodeError
from dicom_node.evidence import SeriesCount

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0
"""Before the same question is asked again, answered or not."""


@dataclass(slots=True, kw_only=True)
class _Asked:
    """A question about a study as it is now."""

    peer_name: str
    instance_count: int
    """Of the study when it was asked: with another one the answer is void."""
    next_at_s: float
    pause_s: float = _FIRST_PAUSE_S
    answer: tuple[SeriesCount, ...] | None = None


class PeerCounts:
    """Answers at once from what was heard last; a job of its own does the asking."""

    def __init__(self, ask: Callable[[str, str], tuple[SeriesCount, ...]], *, clock: Clock) -> None:
        """Ask by `ask`, which takes the name of a peer and a Study Instance UID and raises NodeError."""
        self._ask = ask
        self._clock = clock
        self._lock = Lock()
        self._asked: dict[str, _Asked] = {}

    def heard(self, study_instance_uid: str, *, peer_name: str, instance_count: int) -> tuple[SeriesCount, ...] | None:
        """What the peer says about the study as it is; None while that is not known, which begins to ask."""
        with self._lock:
            asked = self._asked.get(study_instance_uid)
            if asked and (asked.peer_name, asked.instance_count) == (peer_name, instance_count):
                return asked.answer
            self._asked[study_instance_uid] = _Asked(
                peer_name=peer_name, instance_count=instance_count, next_at_s=self._clock.monotonic()
            )
            return None

    def forget_others(self, study_instance_uids: Iterable[str]) -> None:
        """Ask about these only."""
        present = frozenset(study_instance_uids)
        with self._lock:
            self._asked = {uid: asked for uid, asked in self._asked.items() if uid in present}

    def ask_next(self) -> None:
        """Ask about the study whose question is due for longest, if there is one; takes as long as the peer takes."""
        due = self._next_due()
        if due is None:
            return
        study_instance_uid, asked = due
        try:
            answer = self._ask(asked.peer_name, study_instance_uid)
        except NodeError as error:
            logger.warning("a study could not be counted: %s", error)
            return
        with self._lock:
            asked.answer = answer

    def _next_due(self) -> tuple[str, _Asked] | None:
        """The question, its next time already set: whatever becomes of this one, the pause is kept."""
        now_s = self._clock.monotonic()
        with self._lock:
            due = [(asked.next_at_s, uid) for uid, asked in self._asked.items() if asked.next_at_s <= now_s]
            if not due:
                return None
            uid = min(due)[1]
            asked = self._asked[uid]
            asked.next_at_s = now_s + asked.pause_s
            asked.pause_s = min(2 * asked.pause_s, _LONGEST_PAUSE_S)
            return uid, asked
