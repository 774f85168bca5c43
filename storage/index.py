"""The index: one object for everything that the node knows about its studies."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from storage import attempts, beats, carrying, deliveries, earlier, hold, holdings, life, negotiated, receiving, views
from storage.active import workers_of
from storage.alerts import AlertLedger
from storage.batch_ledger import BatchLedger
from storage.commitment_ledger import CommitmentLedger
from storage.database import reading, write_rows, writing
from storage.delivery_state import is_waiting
from storage.errors import IllegalTransitionError
from storage.evidence_records import CarryingAssociation, NoticeHoldings, SeriesHoldings, StudyNotice
from storage.fetch_ledger import FetchLedger
from storage.lifecycle import COMES_ALONE, Event, State
from storage.models import Outcome
from storage.outages import OutageLedger
from storage.prior_records import PriorCandidate
from storage.records import (
    Claim,
    ClassAnswer,
    Demographics,
    Destination,
    DueDelivery,
    Heartbeat,
    ReceivedInstance,
    Recorded,
    ResultFile,
    ResultSet,
    StoredInstance,
    StudyActivity,
    StudyView,
)
from storage.refused_callers import RefusedCallers
from storage.rule_ledger import RuleLedger

MAXIMUM_ATTEMPTS = 3
"""Attempts that a crashing worker may take of one study, where the caller sets no other limit."""


class Index:
    """Studies, their life, the queue of work, deliveries; every method is one transaction.

    Usable from several threads and several processes at once.
    """

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Use the database of the engine.

        Args:
            engine: Of `open_engine`, after `migrate`.
            now: The wall clock, aware UTC.
        """
        self._engine = engine
        self._now = now
        self.fetches = FetchLedger(engine, now=now)
        """What is known about earlier studies at a PACS."""
        self.commitments = CommitmentLedger(engine, now=now)
        self.rules = RuleLedger(engine, now=now)
        self.batches = BatchLedger(engine, now=now)
        self.outages = OutageLedger(engine, now=now)
        self.alerts = AlertLedger(engine, now=now)
        self.refused_callers = RefusedCallers(engine)
        self.workers = partial(workers_of, engine)
        self.is_delivery_waiting = partial(is_waiting, engine)

    def close(self) -> None:
        """Close the connections; the index opens new ones when it is used again."""
        self._engine.dispose()

    def record_received(self, batch: Sequence[ReceivedInstance]) -> tuple[Recorded, ...]:
        """Put instances into the index, on disk when this returns; their studies move or reopen.

        The same instance may come any number of times, also twice in one batch. Returns one answer for each instance.
        """
        if not batch:
            return ()
        return receiving.record_batch(self._engine, batch, at=self._now())

    def studies_in(self, state: State) -> tuple[StudyActivity, ...]:
        """Studies in a state that are to be analysed, the one that is in it for longest first."""
        with reading(self._engine) as connection:
            return views.studies_in(connection, state)

    def apply(self, study_instance_uid: str, event: Event, *, why: str) -> State:
        """Move a study a step on and write it into its history; what names two patients is held and not run again.

        Raises:
            IllegalTransitionError: The study stands where this step does not exist, or the event does not come alone.
            UnknownStudyError: The index has no such study.
        """
        with writing(self._engine) as connection:
            study = life.standing_of(connection, study_instance_uid)
            if event not in COMES_ALONE:
                raise IllegalTransitionError(study.state, event)
            if event is Event.RETRIED and hold.is_mixed(connection, study.study_id):
                event, why = Event.PATIENT_CONTRADICTED, receiving.NOT_DECIDED
            return life.move(connection, study, event, why=why, at=self._now()).state

    def carrying_associations(self) -> tuple[CarryingAssociation, ...]:
        """Associations that carry, or carried since it opened, a study that is being received; the oldest first."""
        with reading(self._engine) as connection:
            return carrying.of_receiving_studies(connection)

    def keep_associations(self, associations: Sequence[str]) -> None:
        """Say that these associations are open still; forget those that ended long ago."""
        write_rows(self._engine, partial(carrying.keep, associations=associations, at=self._now()))

    def end_association(self, association: str, *, was_released: bool) -> None:
        """Say that an association ended."""
        end = partial(carrying.end, association=association, was_released=was_released, at=self._now())
        write_rows(self._engine, end)

    def end_associations(self, prefix: str = "") -> None:
        """End what an earlier listener left open, as one does that starts: those named so, or all if no other runs."""
        with writing(self._engine) as connection:
            carrying.end_all(connection, prefix, at=self._now())

    def series_holdings(self, study_instance_uid: str) -> tuple[SeriesHoldings, ...]:
        """What is here of each series of the study."""
        with reading(self._engine) as connection:
            return holdings.series_holdings(connection, study_instance_uid)

    def note_notice(self, notice: StudyNotice) -> None:
        """Keep what a source said that a study consists of, in the place of what the same notice said earlier."""
        with writing(self._engine) as connection:
            holdings.note_notice(connection, notice, at=self._now())

    def notices_under(self, notice_uid: str) -> tuple[StudyNotice, ...]:
        """What one notice said, for each study that it names."""
        with reading(self._engine) as connection:
            return holdings.notices_under(connection, notice_uid)

    def notice_holdings(self, study_instance_uid: str) -> tuple[NoticeHoldings, ...]:
        """How much of what sources said about the study is here."""
        with reading(self._engine) as connection:
            return holdings.notice_holdings(connection, study_instance_uid)

    def prior_candidates(self, study_instance_uid: str, *, maximum_age_days: float) -> tuple[PriorCandidate, ...]:
        """Earlier CT studies of the same person, newest first: same patient ID and issuer, or merged, or assigned.

        There are none for a patient without an ID, for a study without CT or acquisition date, and for studies in which
        two patients were mixed.
        """
        with reading(self._engine) as connection:
            return earlier.prior_candidates(connection, study_instance_uid, maximum_age_days=maximum_age_days)

    def demographics_of(self, study_instance_uid: str) -> Demographics:
        """What the sender said about the patient of the study."""
        with reading(self._engine) as connection:
            return views.demographics_of(connection, study_instance_uid)

    def study_has_identity_conflict(self, study_instance_uid: str) -> bool:
        """Whether instances of another patient came under this Study Instance UID; such a study is not to be run."""
        with reading(self._engine) as connection:
            return views.has_identity_conflict(connection, study_instance_uid)

    def release_held(self, study_instance_uid: str, number: int, *, by: str) -> State:
        """Take a held study with the instances of one of its patients, as `StudyView.patients` numbers them.

        Args:
            study_instance_uid: Of the study.
            number: Of the patient.
            by: Operator.

        Raises:
            NotHeldError: The study does not name two patients.
            UnknownChoiceError: It has no patient of this number.
            UnknownStudyError: The index has no such study.
        """
        with writing(self._engine) as connection:
            return hold.release(connection, study_instance_uid, number, by=by, at=self._now())

    def release_held_whole(self, study_instance_uid: str, *, by: str) -> State:
        """Take a held study with all its instances: an operator said that they are of one person.

        Raises:
            NotHeldError: The study does not name two patients.
            UnknownStudyError: The index has no such study.
        """
        with writing(self._engine) as connection:
            return hold.release_all(connection, study_instance_uid, by=by, at=self._now())

    def stored_instances(self, study_instance_uid: str) -> tuple[StoredInstance, ...]:
        """The instances of the study that may be used, in the order of their arrival."""
        with reading(self._engine) as connection:
            return views.stored_instances(connection, study_instance_uid)

    def claim_next(self, *, owner: str, lease_s: float) -> Claim | None:
        """Take the most urgent study that is ready, of these the one for longest, those of a batch last; None when none is ready."""
        return write_rows(self._engine, partial(attempts.claim_next, owner=owner, lease_s=lease_s, at=self._now()))

    def renew(self, claim: Claim, *, lease_s: float) -> bool:
        """Hold the study for longer; False when the claim was taken away and the attempt is to stop."""
        return write_rows(self._engine, partial(attempts.renew, claim=claim, lease_s=lease_s, at=self._now()))

    def release(self, claim: Claim, *, why: str) -> bool:
        """Give a claim back without an outcome, as when the worker stops; the try does not count."""
        with writing(self._engine) as connection:
            return attempts.end(connection, claim.attempt_id, Outcome.GIVEN_BACK, reason=why, at=self._now())

    def release_expired(self, *, maximum_attempts: int = MAXIMUM_ATTEMPTS) -> tuple[str, ...]:
        """Take away every claim whose lease is over; returns the Study Instance UIDs.

        A study whose last allowed attempt this was fails for good: it may be what kills the worker.
        """
        at = self._now()
        with writing(self._engine) as connection:
            expired = attempts.expired_attempts(at)
            return attempts.release_all(connection, expired, maximum_attempts=maximum_attempts, at=at)

    def release_all(self, *, why: str, maximum_attempts: int = MAXIMUM_ATTEMPTS) -> tuple[str, ...]:
        """Take away every claim, as a worker does that starts and knows that no other runs."""
        with writing(self._engine) as connection:
            every = attempts.open_attempts()
            return attempts.release_all(connection, every, maximum_attempts=maximum_attempts, at=self._now(), why=why)

    def finish_succeeded(
        self, claim: Claim, files: Sequence[ResultFile], *, destinations: Sequence[Destination], why: str
    ) -> bool:
        """Store the result of an attempt and plan its deliveries.

        What was not delivered of older results is superseded. When instances came while the attempt ran, the study
        reopens and this result is not sent.

        Args:
            claim: Of the attempt.
            files: In place and synced.
            destinations: Who is sent what.
            why: What the attempt found, in one line without patient data.

        Returns:
            False when the claim was taken away; nothing is stored then.
        """
        at = self._now()
        with writing(self._engine) as connection:
            study = attempts.close(connection, claim.attempt_id, Outcome.SUCCEEDED, reason=why, at=at)
            if study is None:
                return False
            life.supersede_deliveries(connection, study.study_id, at=at)
            lacks = deliveries.store_result(connection, study, claim, files=files, destinations=destinations, at=at)
            attempts.go_on(connection, study, Outcome.SUCCEEDED, reason=why, at=at)
            deliveries.note_lacks(connection, claim.study_instance_uid, lacks, at=at)
            return True

    def finish_refused(self, claim: Claim, reason: str) -> bool:
        """End an attempt whose study cannot be analysed; False when the claim was taken away."""
        with writing(self._engine) as connection:
            return attempts.end(connection, claim.attempt_id, Outcome.REFUSED, reason=reason, at=self._now())

    def finish_failed(self, claim: Claim, reason: str, *, retryable: bool, maximum_attempts: int) -> bool:
        """End a failed attempt, tried again if that may help and attempts are left; False when the claim was taken away."""
        is_last = not retryable or claim.attempt_number >= maximum_attempts
        outcome = Outcome.FAILED if is_last else Outcome.FAILED_FOR_NOW
        with writing(self._engine) as connection:
            return attempts.end(connection, claim.attempt_id, outcome, reason=reason, at=self._now())

    def due_deliveries(
        self, *, destination: str, limit: int, latest: datetime | None = None
    ) -> tuple[DueDelivery, ...]:
        """Deliveries to a destination whose time has come, longest due first; those put off beyond `latest` too (`is_due`)."""
        with reading(self._engine) as connection:
            return deliveries.due(connection, destination=destination, limit=limit, at=self._now(), latest=latest)

    def delivery_succeeded(self, delivery_id: int, status: str) -> None:
        """The destination confirmed the object; with the last one the study is delivered."""
        with writing(self._engine) as connection:
            deliveries.note_delivered(connection, delivery_id, status=status, at=self._now())

    def delivery_failed_for_now(self, delivery_id: int, status: str, *, next_try_at: datetime) -> None:
        """The try failed; another follows."""
        with writing(self._engine) as connection:
            deliveries.note_postponed(connection, delivery_id, status=status, next_try_at=next_try_at, at=self._now())

    def delivery_gave_up(self, delivery_id: int, status: str) -> None:
        """The try failed and was the last; the study stands as delivery_failed, its other deliveries go on."""
        with writing(self._engine) as connection:
            deliveries.note_given_up(connection, delivery_id, status=status, at=self._now())

    def delivery_declined(self, delivery_id: int, status: str) -> None:
        """The destination takes no objects of this class; what stands by for it is due now.

        Where nothing does, the delivery failed and the study stands as delivery_failed.
        """
        with writing(self._engine) as connection:
            deliveries.note_declined(connection, delivery_id, status=status, at=self._now())

    def note_answers(self, destination: str, answers: Sequence[ClassAnswer]) -> None:
        """Keep how a destination answered the offer of SOP classes, in the place of what it said earlier."""
        with writing(self._engine) as connection:
            negotiated.note_answers(connection, destination, answers)

    def answers_of(self, destination: str) -> tuple[ClassAnswer, ...]:
        """The newest answer to each SOP class that was ever offered to a destination."""
        with reading(self._engine) as connection:
            return negotiated.answers_of(connection, destination)

    def resend(
        self, study_instance_uid: str, *, destinations: Sequence[Destination], why: str = deliveries.BY_OPERATOR
    ) -> State:
        """Send the newest result again, from the best on, to the named destinations; what others were sent stays known.

        Raises:
            NothingToSendError: There is no result, or nobody to send it to.
            IllegalTransitionError: The study stands where nothing is sent.
            UnknownStudyError: The index has no such study.
        """
        with writing(self._engine) as connection:
            return deliveries.resend(connection, study_instance_uid, destinations=destinations, why=why, at=self._now())

    def latest_result(self, study_instance_uid: str) -> ResultSet | None:
        """The newest result of the study; none that was made of images of another patient, as was decided later."""
        with reading(self._engine) as connection:
            return views.latest_result(connection, study_instance_uid)

    def study(self, study_instance_uid: str) -> StudyView | None:
        """Everything about one study."""
        with reading(self._engine) as connection:
            return views.study(connection, study_instance_uid)

    def find_studies(self, *, state: State | None = None, text: str = "", limit: int = 100) -> tuple[StudyView, ...]:
        """Studies without history, deliveries and result; the last to receive something comes first.

        Args:
            state: Only those in this state.
            text: Part of patient ID, patient name, accession number, Study Instance UID or description; empty for all.
            limit: At most so many.
        """
        with reading(self._engine) as connection:
            return views.find_studies(connection, state=state, text=text, limit=limit)

    def counts_by_state(self) -> dict[State, int]:
        """How many studies are in each state; every state is named."""
        with reading(self._engine) as connection:
            return views.counts_by_state(connection)

    def beat(self, process: str, info: str, *, machine: str = "", needs_restart: Sequence[str] = ()) -> None:
        """Leave a sign of life of this process; what of the configuration changed that it takes up at its next start."""
        with writing(self._engine) as connection:
            beats.leave(connection, process, info, machine=machine, needs_restart=needs_restart, at=self._now())

    def heartbeats(self) -> tuple[Heartbeat, ...]:
        """Last sign of life of each process, by name."""
        with reading(self._engine) as connection:
            return beats.all_of(connection)
