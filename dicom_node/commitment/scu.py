"""Asks one destination whether it keeps the results that it took (PS3.4 J.3.2, PS3.7 10.1.4)."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu import P_DATA_TF

from config.settings import Peer, Settings
from dicom_node.calling import Line, PeerUnreachableError, cut
from dicom_node.clock import Clock
from dicom_node.commitment.answers import Answer
from dicom_node.commitment.association import commitment_association
from dicom_node.commitment.datasets import (
    COMMITMENT_CLASS_UID,
    COMMITMENT_INSTANCE_UID,
    REQUEST_COMMITMENT,
    question,
)
from dicom_node.commitment.errors import CommitmentRefusedError
from dicom_node.commitment.reports import ReportTaker
from dicom_node.errors import NodeError
from dicom_node.outbox import SECONDS_PER_DAY, BackOff, back_off_from
from storage.commitment_records import CommitmentTask
from storage.index import Index

logger = logging.getLogger(__name__)

_STAY_S = 10.0
"""How long the association is kept open for the report; most archives open one of their own for it."""
_LOOK_S = 0.25
_LAST_ANSWER_S = 2.0
"""What an archive has for its answer when the worker stops; a slow one holds nobody up."""
_LOOK_BACK = timedelta(minutes=10)
_WHOLE_LOOK = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRules:
    """How patient the node is with a destination."""

    silence: BackOff
    """Until it is asked again where no report comes; what gives up waiting counts from the delivery."""
    failure: BackOff
    """Until it is asked again where it could not be asked."""
    maximum_resends: int
    stay_s: float = _STAY_S
    """How long the association is kept open for the report."""


def rules_from(settings: Settings) -> CommitmentRules:
    """The rules of [outbox]."""
    outbox = settings.outbox
    give_up_after_s = outbox.commitment_give_up_after_days * SECONDS_PER_DAY
    wait_s = outbox.commitment_wait_s
    return CommitmentRules(
        silence=BackOff(first_s=wait_s, maximum_s=max(wait_s, SECONDS_PER_DAY), give_up_after_s=give_up_after_s),
        failure=replace(back_off_from(outbox), give_up_after_s=give_up_after_s),
        maximum_resends=outbox.commitment_resends,
    )


class CommitmentScu:
    """Asks one destination; what it knows is in the index, so a restart loses nothing."""

    def __init__(
        self,
        index: Index,
        peer: Peer,
        *,
        own_aet: str,
        rules: CommitmentRules,
        clock: Clock,
        new_uid: Callable[[], str] = generate_uid,
    ) -> None:
        """Ask one peer."""
        self._index = index
        self._ledger = index.commitments
        self._peer = peer
        self.destination = peer.name
        self._own_aet = own_aet
        self._rules = rules
        self._clock = clock
        self._new_uid = new_uid
        self._random = random.Random()  # spreads retries, hides nothing
        self._reports = ReportTaker(self._ledger, maximum_resends=rules.maximum_resends)
        self._stopping = threading.Event()
        self._line: Line | None = None
        self._looked_at: datetime | None = None
        self._looked_whole_at: datetime | None = None

    def stop(self) -> None:
        """Ask no more; a question that waits for its answer has a moment, and is asked again when the worker starts.

        A report is waited for no more: it comes to the listener, or the question is asked again.
        """
        self._stopping.set()
        line = self._line
        if line:
            timer = threading.Timer(_LAST_ANSWER_S, cut, args=(line.sockets,))
            timer.daemon = True
            timer.start()

    def ask_due(self) -> bool:
        """Ask for the results of one study; False when nothing is due, or the destination is known to be down."""
        if self._stopping.is_set():
            return False
        now = self._clock.now()
        self._ledger.plan(self._peer.name, since=self._since(now))
        give_up_after = timedelta(seconds=self._rules.silence.give_up_after_s)
        self._ledger.give_up_waiting(self._peer.name, planned_before=now - give_up_after)
        latest = max(self._rules.silence.latest_from(now), self._rules.failure.latest_from(now))
        task = self._ledger.next_due(self._peer.name, latest=latest)
        if task is None or self._index.outages.of(self._peer.name):
            return False
        if not task.references:
            self._ledger.settle(task.commitment_id)
            return False
        self._ask(task)
        return True

    def _since(self, now: datetime) -> datetime:
        """Deliveries since when are looked at: each hour all that may still be asked for, else the newest."""
        since = (self._looked_at or now) - _LOOK_BACK
        self._looked_at = now
        if self._looked_whole_at is None or abs(now - self._looked_whole_at) > _WHOLE_LOOK:
            self._looked_whole_at = now
            return now - timedelta(seconds=self._rules.silence.give_up_after_s)
        return since

    def _ask(self, task: CommitmentTask) -> None:
        """Ask, then stay for the report; the transaction is in the index before the question is on its way."""
        transaction_uid = self._new_uid()
        self._ledger.begin(
            task.commitment_id, transaction_uid, next_try_at=self._later(self._rules.silence, task.tries + 1)
        )
        talk = _Talk(self._reports, self._peer)
        try:
            with self._connected(talk) as association:
                _send_question(association, self._peer, transaction_uid, task)
                self._ledger.note_asked(task.commitment_id)
                logger.info("%s was asked to keep %d objects", self._peer.name, len(task.references))
                self._stay(association, talk, transaction_uid)
        except _StoppedError:
            self._ledger.take_back(task.commitment_id)
        except (PeerUnreachableError, CommitmentRefusedError) as error:
            self._postpone(task, error)

    @contextmanager
    def _connected(self, talk: "_Talk") -> Iterator[Association]:
        """An association that `stop` may end.

        Raises:
            _StoppedError: It did, before the question was answered, or before there was an association.
            PeerUnreachableError: There is none, or no answer.
            CommitmentRefusedError: The peer does not accept the SOP class, or refused the question.
        """
        try:
            with commitment_association(self._peer, own_aet=self._own_aet, handlers=talk.handlers) as line:
                self._line = line
                if self._stopping.is_set():
                    raise _StoppedError
                yield line.association
        except PeerUnreachableError as error:
            if self._stopping.is_set():
                raise _StoppedError from error
            raise
        finally:
            self._line = None

    def _postpone(self, task: CommitmentTask, error: NodeError) -> None:
        next_try_at = self._later(self._rules.failure, task.failures + 1)
        self._ledger.postpone(task.commitment_id, error.reason, next_try_at=next_try_at)
        logger.warning("not asked for commitment: %s", error.reason)

    def _later(self, back_off: BackOff, tries: int) -> datetime:
        wait_s = back_off.wait_s(tries, jitter=self._random.random())
        return self._clock.now() + timedelta(seconds=wait_s)

    def _stay(self, association: Association, talk: "_Talk", transaction_uid: str) -> None:
        """Keep the association open until the report came, here or to the listener."""
        ends_at_s = time.monotonic() + self._rules.stay_s
        while association.is_established and time.monotonic() < ends_at_s and not self._stopping.is_set():
            if talk.answered.wait(_LOOK_S) or (not talk.is_reported and self._ledger.is_reported(transaction_uid)):
                return


class _StoppedError(Exception):
    """The worker stops: that says nothing of the destination, and is no try."""


class _Talk:
    """What happens on an association on which the question is asked."""

    def __init__(self, reports: ReportTaker, peer: Peer) -> None:
        """Take reports of the peer."""
        self._reports = reports
        self._peer = peer
        self.is_reported = False
        self.answered = threading.Event()
        """Set once the answer to a report is on its way."""
        self.handlers: list[EventHandlerType] = [
            (evt.EVT_N_EVENT_REPORT, self._handle_report),
            (evt.EVT_PDU_SENT, self._handle_sent),
        ]

    def _handle_report(self, event: Event) -> Answer:
        answer = self._reports.take(event, {self._peer.name})
        self.is_reported = True
        return answer

    def _handle_sent(self, event: Event) -> None:
        if self.is_reported and isinstance(event.pdu, P_DATA_TF):
            self.answered.set()


def _send_question(association: Association, peer: Peer, transaction_uid: str, task: CommitmentTask) -> None:
    """Send the N-ACTION.

    Raises:
        PeerUnreachableError: No answer.
        CommitmentRefusedError: Another answer than Success.
    """
    content = question(transaction_uid, task.references)
    try:
        status, _ = association.send_n_action(
            content, REQUEST_COMMITMENT, COMMITMENT_CLASS_UID, COMMITMENT_INSTANCE_UID
        )
    except RuntimeError as exc:
        reason = f"{peer.name}: ended the association before it was asked"
        raise PeerUnreachableError(reason) from exc
    if "Status" not in status:
        reason = f"{peer.name}: did not answer the question"
        raise PeerUnreachableError(reason)
    if status.Status != 0x0000:
        reason = f"{peer.name}: refused the question with status 0x{status.Status:04X}"
        raise CommitmentRefusedError(reason)
