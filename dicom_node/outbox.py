"""Sends results to their destinations until each is there."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from config.settings import Peer
from dicom_node.clock import Clock
from dicom_node.destinations import classes_of
from dicom_node.peers import (
    AcceptedClass,
    PeerUnreachableError,
    StoreAnswer,
    StoreConnection,
    Verdict,
    store_connection,
)
from storage.failpoints import reach
from storage.index import Index
from storage.records import ClassAnswer, DueDelivery

logger = logging.getLogger(__name__)

_BATCH = 50
"""Deliveries of one association; the next sweep takes the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """How long a delivery waits between tries."""

    first_s: float
    maximum_s: float
    give_up_after_s: float

    def wait_s(self, tries: int, *, jitter: float) -> float:
        """Seconds until the next try: doubled per try up to the maximum, spread by a fifth.

        Args:
            tries: Tries so far, at least 1.
            jitter: 0..1, drawn at random.
        """
        wait_s = min(self.first_s * 2.0 ** min(tries - 1, 30), self.maximum_s)
        return wait_s * (0.8 + 0.4 * jitter)


class Outbox:
    """Delivers to one destination; what it knows is in the index, so a restart loses nothing."""

    def __init__(self, index: Index, peer: Peer, *, own_aet: str, back_off: BackOff, clock: Clock) -> None:
        """Send to one peer."""
        self._index = index
        self._peer = peer
        self.destination = peer.name
        self._own_aet = own_aet
        self._back_off = back_off
        self._clock = clock
        self._random = random.Random()  # spreads retries, hides nothing

    def send_due(self) -> int:
        """Try everything that is due; returns how many objects the peer took."""
        due = self._due()
        if not due:
            return 0
        classes = dict.fromkeys([*classes_of(self._peer), *(delivery.file.sop_class_uid for delivery in due)])
        try:
            with store_connection(self._peer, own_aet=self._own_aet, sop_class_uids=tuple(classes)) as connection:
                reach("send.assoc_open")
                self._remember(connection.answers)
                return self._send_all(due, connection)
        except PeerUnreachableError as error:
            self._postpone_all(due, str(error))
            return 0

    def _due(self) -> tuple[DueDelivery, ...]:
        """What is due now, as much as one association takes."""
        return self._index.due_deliveries(destination=self._peer.name, limit=_BATCH)

    def _remember(self, answers: Sequence[AcceptedClass]) -> None:
        """Keep what the peer accepts and refuses, for `status` and the pages."""
        at = self._clock.now()
        noted = [
            ClassAnswer(
                sop_class_uid=answer.sop_class_uid,
                transfer_syntax_uid=next(iter(answer.transfer_syntax_uids), ""),
                refusal=answer.refusal,
                at=at,
            )
            for answer in answers
        ]
        self._index.note_answers(self._peer.name, noted)

    def _send_all(self, due: Sequence[DueDelivery], connection: StoreConnection) -> int:
        """Send in order, then over the same association what goes in the place of what was declined."""
        offered = {answer.sop_class_uid for answer in connection.answers}
        taken = 0
        while due:
            verdicts = [self._send(delivery, connection) for delivery in due]
            taken += verdicts.count(Verdict.ACCEPTED)
            more = self._due() if Verdict.DECLINED in verdicts else ()
            due = [delivery for delivery in more if delivery.file.sop_class_uid in offered]
        return taken

    def _send(self, delivery: DueDelivery, connection: StoreConnection) -> Verdict:
        """Send one; its answer is in the index before the next goes out."""
        answer = connection.store(delivery.file.path)
        reach("send.after_rsp_before_commit")
        if answer.verdict is Verdict.DECLINED:
            # A peer may also accept a class in the negotiation and decline its objects by their status.
            declined = AcceptedClass(
                sop_class_uid=delivery.file.sop_class_uid, transfer_syntax_uids=(), refusal=answer.words
            )
            self._remember([declined])
        self._note(delivery, answer)
        reach("send.after_commit")
        return answer.verdict

    def _postpone_all(self, due: Sequence[DueDelivery], words: str) -> None:
        """Put every delivery off."""
        for delivery in due:
            self._note(delivery, StoreAnswer(verdict=Verdict.TRY_AGAIN, words=words))

    def _note(self, delivery: DueDelivery, answer: StoreAnswer) -> None:
        """Write the answer down; the log line follows the committed row."""
        too_old = self._clock.now() - delivery.created_at > timedelta(seconds=self._back_off.give_up_after_s)
        if answer.verdict is Verdict.ACCEPTED:
            self._index.delivery_succeeded(delivery.delivery_id, answer.words)
        elif answer.verdict is Verdict.DECLINED:
            self._index.delivery_declined(delivery.delivery_id, answer.words)
        elif answer.verdict is Verdict.REFUSED or too_old:
            self._index.delivery_gave_up(delivery.delivery_id, answer.words)
        else:
            wait_s = self._back_off.wait_s(delivery.tries + 1, jitter=self._random.random())
            next_try_at = self._clock.now() + timedelta(seconds=wait_s)
            self._index.delivery_failed_for_now(delivery.delivery_id, answer.words, next_try_at=next_try_at)
        logger.info("delivery %d to %s: %s", delivery.delivery_id, self._peer.name, answer.verdict)
