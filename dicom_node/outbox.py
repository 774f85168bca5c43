"""Sends results to their destinations until each is there."""

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Timer

from config.settings import OutboxSettings, Peer
from dicom_node.audit.deliveries import DeliveryAudit
from dicom_node.audit.trail import NoTrail
from dicom_node.calling import ANSWER_TIMEOUT_S, PeerUnreachableError
from dicom_node.clock import Clock
from dicom_node.destinations import classes_of
from dicom_node.peer_names import without_name
from dicom_node.peers import (
    AcceptedClass,
    StoreAnswer,
    StoreConnection,
    Verdict,
    store_connection,
)
from storage.deliveries import WAITED_FOR_TRIES
from storage.disk import sha256_of
from storage.failpoints import reach
from storage.index import Index
from storage.outages import Outage
from storage.records import ClassAnswer, DueDelivery, ResultFile

logger = logging.getLogger(__name__)

_BATCH = 50
"""Deliveries of one association; the next sweep takes the rest."""

_LAST_ANSWER_S = 2.0
"""A destination that is about to answer spares itself to get the object twice; a slow one holds nobody up."""

SECONDS_PER_DAY = 86_400.0


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

    def latest_from(self, now: datetime) -> datetime:
        """Further than the longest pause reaches: what is put off beyond it was so before the clock was set back.

        Twice as far, since clocks of several machines differ.
        """
        return now + 2 * timedelta(seconds=self.wait_s(1_000, jitter=1.0))


def back_off_from(outbox: OutboxSettings) -> BackOff:
    """The pauses that [outbox] asks for."""
    return BackOff(
        first_s=outbox.first_retry_s,
        maximum_s=outbox.maximum_retry_s,
        give_up_after_s=outbox.give_up_after_days * SECONDS_PER_DAY,
    )


class Outbox:
    """Delivers to one destination; what it knows is in the index, so a restart loses nothing.

    A destination that cannot be reached, or answers nothing, is tried with one association at a time and a pause that
    doubles, however much waits for it; the first object that it settles ends the pause.
    """

    def __init__(
        self,
        index: Index,
        peer: Peer,
        *,
        own_aet: str,
        back_off: BackOff,
        clock: Clock,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """Send to one peer."""
        self._index = index
        self._peer = peer
        self.destination = peer.name
        self._own_aet = own_aet
        self._back_off = back_off
        self._clock = clock
        self._answer_timeout_s = answer_timeout_s
        self._random = random.Random()  # spreads retries, hides nothing
        self._stopping = Event()
        self._connection: StoreConnection | None = None
        self.audit = DeliveryAudit(NoTrail(), index, peer, own_aet=own_aet)
        """Told of what goes out; the worker puts one in its place that writes."""

    def send_due(self) -> int:
        """Try what is due, unless the destination is to be left alone; returns how many objects the peer took."""
        outage = self._index.outages.of(self._peer.name)
        if self._stopping.is_set() or (outage and self._is_to_come(outage.next_try_at)):
            return 0
        due = self._due()
        if not due:
            if outage:
                self._look_again(outage)
            return 0
        verdicts, words = self._try(due)
        if any(verdict is not Verdict.TRY_AGAIN for verdict in verdicts):
            if outage:
                self._end_outage(outage)
        elif words:
            self._note_outage(words, tries=outage.tries if outage else 0)
        return verdicts.count(Verdict.ACCEPTED)

    def stop(self) -> None:
        """Send nothing more; an object that waits for its answer has a moment, and is sent again when the worker starts."""
        self._stopping.set()
        connection = self._connection
        if connection:
            timer = Timer(_LAST_ANSWER_S, connection.cut)
            timer.daemon = True
            timer.start()

    def _look_again(self, outage: Outage) -> None:
        """Ask a destination for which nothing waits any more for an association alone: others wait for its return."""
        try:
            with self._connected(()) as connection:
                self._remember(connection.answers)
        except PeerUnreachableError as error:
            self._note_outage(without_name(error.reason, self._peer.name), tries=outage.tries)
        else:
            self._end_outage(outage)

    def _end_outage(self, outage: Outage) -> None:
        self._index.outages.end(self._peer.name)
        logger.info("%s is reached again after %d tries", self._peer.name, outage.tries)

    def _is_to_come(self, next_try_at: datetime) -> bool:
        """Whether an instant lies ahead, no further than one was ever put off: a clock may have been set back."""
        now = self._clock.now()
        return now < next_try_at <= self._back_off.latest_from(now)

    def _try(self, due: Sequence[DueDelivery]) -> tuple[list[Verdict], str]:
        """Send over one association; what the peer said to each object that it was sent, and its last words.

        No words where there was nothing to send to it, or nothing that can be read here.
        """
        try:
            with self._connected(due) as connection:
                reach("send.assoc_open")
                self._remember(connection.answers)
                self.audit.begin(due)
                try:
                    return self._send_all(due, connection)
                finally:
                    self.audit.end()
        except PeerUnreachableError as error:
            words = without_name(error.reason, self._peer.name)
            self._give_up_old(due, words)
            return [], words

    @contextmanager
    def _connected(self, due: Sequence[DueDelivery]) -> Iterator[StoreConnection]:
        """An association that `stop` may end; PeerUnreachableError where there is none."""
        classes = dict.fromkeys([*classes_of(self._peer), *(delivery.file.sop_class_uid for delivery in due)])
        with store_connection(
            self._peer,
            own_aet=self._own_aet,
            sop_class_uids=tuple(classes),
            answer_timeout_s=self._answer_timeout_s,
        ) as connection:
            self._connection = connection
            try:
                yield connection
            finally:
                self._connection = None

    def _due(self) -> tuple[DueDelivery, ...]:
        """What is due now, as much as one association takes."""
        latest = self._back_off.latest_from(self._clock.now())
        return self._index.due_deliveries(destination=self._peer.name, limit=_BATCH, latest=latest)

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

    def _send_all(self, due: Sequence[DueDelivery], connection: StoreConnection) -> tuple[list[Verdict], str]:
        """Send in order, then over the same association what goes in the place of what was declined."""
        offered = {answer.sop_class_uid for answer in connection.answers}
        verdicts: list[Verdict] = []
        words = "it ended the association before it was sent anything"
        while due:
            sent: list[Verdict] = []
            for delivery, answer in self._answers(due, connection):
                if answer.has_ended and self._stopping.is_set():
                    # By us: that says nothing of the destination, and is no try.
                    self.audit.note(delivery, was_taken=False)
                    return verdicts + sent, ""
                if not answer.is_ours:
                    sent.append(answer.verdict)
                    words = answer.words
                self._note(delivery, answer)
                self.audit.note(delivery, was_taken=answer.verdict is Verdict.ACCEPTED)
                reach("send.after_commit")
            verdicts += sent
            more = self._due() if Verdict.DECLINED in sent and not connection.has_ended else ()
            due = [delivery for delivery in more if delivery.file.sop_class_uid in offered]
        return verdicts, words if verdicts or connection.has_ended else ""

    def _answers(
        self, due: Sequence[DueDelivery], connection: StoreConnection
    ) -> Iterator[tuple[DueDelivery, StoreAnswer]]:
        """Send one after the other; what follows an object that was put off stays in its study's order.

        A slow peer takes minutes for all of them. What is superseded meanwhile, for its study runs anew or was
        discarded, is not sent.
        """
        put_off: set[str] = set()
        for delivery in due:
            if delivery.study_instance_uid in put_off:
                continue
            if connection.has_ended or self._stopping.is_set():
                return
            if not self._index.is_delivery_waiting(delivery.delivery_id):
                continue
            answer = self._send(delivery, connection)
            # Answered: it is in the index before the next goes out.
            yield delivery, answer
            if answer.has_ended:
                return
            if answer.verdict is Verdict.TRY_AGAIN and delivery.tries + 1 < WAITED_FOR_TRIES:
                put_off.add(delivery.study_instance_uid)

    def _send(self, delivery: DueDelivery, connection: StoreConnection) -> StoreAnswer:
        """Send the kept copy as it was made."""
        damage = damage_of(delivery.file)
        if damage:
            return damage
        answer = connection.store(delivery.file.path)
        reach("send.after_rsp_before_commit")
        if answer.verdict is Verdict.DECLINED:
            # A peer may also accept a class in the negotiation and decline its objects by their status.
            declined = AcceptedClass(
                sop_class_uid=delivery.file.sop_class_uid, transfer_syntax_uids=(), refusal=answer.words
            )
            self._remember([declined])
        return answer

    def _give_up_old(self, due: Sequence[DueDelivery], words: str) -> None:
        """End what waited for too long; the rest waits on, no try counted."""
        for delivery in due:
            if self._is_too_old(delivery):
                self._index.delivery_gave_up(delivery.delivery_id, words)

    def _note_outage(self, words: str, *, tries: int) -> None:
        """Leave the destination alone for a while."""
        next_try_at = self._later(tries + 1)
        self._index.outages.note(self._peer.name, words, next_try_at=next_try_at)
        logger.warning("nothing is sent to %s for now: %s", self._peer.name, words)

    def _is_too_old(self, delivery: DueDelivery) -> bool:
        return self._clock.now() - delivery.created_at > timedelta(seconds=self._back_off.give_up_after_s)

    def _later(self, tries: int) -> datetime:
        wait_s = self._back_off.wait_s(tries, jitter=self._random.random())
        return self._clock.now() + timedelta(seconds=wait_s)

    def _note(self, delivery: DueDelivery, answer: StoreAnswer) -> None:
        """Write the answer down; the log line follows the committed row."""
        if answer.verdict is Verdict.ACCEPTED:
            self._index.delivery_succeeded(delivery.delivery_id, answer.words)
        elif answer.verdict is Verdict.DECLINED:
            self._index.delivery_declined(delivery.delivery_id, answer.words)
        elif answer.verdict is Verdict.REFUSED or self._is_too_old(delivery):
            self._index.delivery_gave_up(delivery.delivery_id, answer.words)
        else:
            next_try_at = self._later(delivery.tries + 1)
            self._index.delivery_failed_for_now(delivery.delivery_id, answer.words, next_try_at=next_try_at)
        logger.info("delivery %d to %s: %s", delivery.delivery_id, self._peer.name, answer.verdict)


def damage_of(file: ResultFile) -> StoreAnswer | None:
    """Why the kept copy of an object is not sent, which says nothing of the peer; None if it is as it was made."""
    try:
        is_whole = sha256_of(file.path) == file.sha256
    except FileNotFoundError:
        words = "the kept copy is gone: run the study again with `dicom-node study retry UID`"
        return StoreAnswer(verdict=Verdict.REFUSED, words=words, is_ours=True)
    except OSError as error:
        words = f"the kept copy cannot be read ({error.strerror}): check the disk of the data folder"
        return StoreAnswer(verdict=Verdict.TRY_AGAIN, words=words, is_ours=True)
    if is_whole:
        return None
    words = "the kept copy is damaged on disk: run the study again with `dicom-node study retry UID`"
    return StoreAnswer(verdict=Verdict.REFUSED, words=words, is_ours=True)
