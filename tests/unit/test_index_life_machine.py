"""The mover under arbitrary sequences of events, held against what must be true of any life of a study."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text

from builders.clock import FakeClock
from builders.index import JANE, build_index, choosy, database_url, received, whole_result
from storage.database import open_engine, reading
from storage.errors import IllegalTransitionError, NothingToSendError
from storage.lifecycle import COMES_ALONE, INITIAL, TRANSITIONS, Event, State
from storage.records import Claim, DueDelivery, PatientKey, StudyView

JOHN = PatientKey(patient_id="0815", issuer="CITY")
STUDIES = ("1.1", "1.2")
DESTINATIONS = ("PACS", "ARCHIVE")
HAS_RESULT = frozenset({State.PROCESSED, State.SENDING, State.DELIVERED, State.DELIVERY_FAILED})
ENDINGS = ("succeeded", "refused", "failed", "failed for now", "given back", "lease over")
ANSWERS = ("delivered", "for now", "for good", "declined")
LEASE_S = 60.0
MEMORY = Path("/dev/shm")
"""A disk would spend most of the time on syncs, which other tests look at."""


class LifeMachine(RuleBasedStateMachine):
    """A node whose listener, workers, outbox and operator act in any order; workers may be stale, time passes.

    There are few rules, each with many variants, because Hypothesis leaves out whole rules at random.
    """

    @initialize()
    def start(self) -> None:
        """An empty index in a file."""
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.clock = FakeClock()
        self.index = build_index(Path(self.folder.name), self.clock)
        self.engine = open_engine(database_url(Path(self.folder.name)))
        self.arrived: dict[str, set[int]] = {}
        self.foreign: dict[str, set[int]] = {}
        self.taken_as_own: dict[str, set[int]] = {}
        self.owners: dict[str, PatientKey] = {}
        self.mixed: set[str] = set()
        self.inputs: dict[int, set[int]] = {}
        self.inputs_of_result: dict[tuple[str, int], set[int]] = {}
        self.claims: list[Claim] = []
        self.under_way: list[DueDelivery] = []

    def teardown(self) -> None:
        """Leave nothing."""
        if hasattr(self, "folder"):
            self.index.close()
            self.engine.dispose()
            self.folder.cleanup()

    @rule(study=st.sampled_from(STUDIES), numbers=st.lists(st.integers(1, 9), min_size=1, max_size=3))
    def receive(self, study: str, numbers: list[int]) -> None:
        """Instances of the patient of the study arrive, some of them again."""
        patient = self.owners.setdefault(study, JANE)
        # Numbers from 30 up are John's, so that no instance is of both.
        numbers = [number + (30 if patient == JOHN else 0) for number in numbers]
        self.index.record_received([received(study, number, patient=patient) for number in numbers])
        self.arrived.setdefault(study, set()).update(numbers)
        self.foreign.setdefault(study, set())
        self.taken_as_own.setdefault(study, set())

    @precondition(lambda self: self.arrived)
    @rule(data=st.data(), number=st.integers(1, 3), names_owner=st.booleans())
    def receive_of_two(self, data: st.DataObject, number: int, names_owner: bool) -> None:
        """An instance comes for a study that is there, of its patient or of another."""
        study = data.draw(st.sampled_from(sorted(self.arrived)))
        other = JOHN if self.owners[study] == JANE else JANE
        patient = self.owners[study] if names_owner else other
        number += 20 if patient == JANE else 10
        instance = received(study, number, patient=patient)
        is_new = number not in self.arrived[study] | self.foreign[study]
        self.index.record_received([instance])
        if not is_new:
            return
        (self.arrived if names_owner else self.foreign)[study].add(number)
        if not names_owner:
            self.mixed.add(study)

    @precondition(lambda self: self.mixed)
    @rule(data=st.data(), take=st.sampled_from(["first", "other", "both"]))
    def decide(self, data: st.DataObject, take: str) -> None:
        """An operator says whose study it is; the study is then received as if it were new."""
        study = data.draw(st.sampled_from(sorted(self.mixed)))
        self.mixed.remove(study)
        if take == "both":
            assert self.index.release_held_whole(study, by="operator") is State.RECEIVING
            self.taken_as_own[study] = set(self.foreign[study])
            return
        patients = self.view(study).patients
        number = next(one.number for one in patients if one.is_of_study is (take == "first"))
        assert self.index.release_held(study, number, by="operator") is State.RECEIVING
        self.taken_as_own[study] = set()
        if take == "other":
            self.arrived[study], self.foreign[study] = self.foreign[study], self.arrived[study]
            self.owners[study] = JOHN if self.owners[study] == JANE else JANE

    @precondition(lambda self: self.arrived)
    @rule(steps=st.integers(1, 4))
    def work(self, steps: int) -> None:
        """The node does what comes next, some steps of it."""
        for _ in range(steps):
            if self.open_claims():
                self.finish(self.open_claims()[0], "succeeded")
            elif self.under_way:
                self.answer(self.under_way.pop(0), "delivered")
            elif not self.take_a_study():
                self.look_what_is_due()

    @precondition(lambda self: self.arrived)
    @rule(data=st.data(), event=st.sampled_from([*sorted(COMES_ALONE), Event.RESENT]))
    def intervene(self, data: st.DataObject, event: Event) -> None:
        """An operator, or a sweep that comes too late; what the table does not know is refused."""
        study = data.draw(st.sampled_from(sorted(self.arrived)))
        if event is Event.RESENT:
            with suppress(IllegalTransitionError, NothingToSendError):
                self.index.resend(study, destinations=choosy(*DESTINATIONS))
            return
        expected = TRANSITIONS.get((self.view(study).state, event))
        if event is Event.RETRIED and study in self.mixed:
            expected = State.HELD
        if expected:
            assert self.index.apply(study, event, why="test") is expected
            return
        with pytest.raises(IllegalTransitionError):
            self.index.apply(study, event, why="test")

    @precondition(lambda self: self.arrived)
    @rule(data=st.data(), ending=st.sampled_from(ENDINGS))
    def end(self, data: st.DataObject, ending: str) -> None:
        """A worker ends in some way, perhaps long after its lease did; then a renewal fails."""
        if self.open_claims() or self.take_a_study():
            claim = data.draw(st.sampled_from(self.open_claims()) | st.sampled_from(self.claims))
            assert self.index.renew(claim, lease_s=LEASE_S) == (claim in self.open_claims())
            self.finish(claim, ending)
            assert not self.index.renew(claim, lease_s=LEASE_S)

    @precondition(lambda self: self.arrived)
    @rule(answer=st.sampled_from(ANSWERS), seconds=st.sampled_from([0, 5]))
    def deliver(self, answer: str, seconds: int) -> None:
        """A destination answers, perhaps after the object was superseded."""
        self.clock.advance(seconds)
        if not self.under_way:
            self.look_what_is_due()
        if self.under_way:
            self.answer(self.under_way.pop(0), answer)

    @invariant()
    def every_life_is_sound(self) -> None:
        """What must be true of each study at any moment."""
        in_hand = [claim.study_instance_uid for claim in self.open_claims()]
        for view in map(self.view, self.arrived):
            check_history(view)
            check_deliveries(view)
            self.check_inputs(view)
            assert (view.state is State.HELD) <= (view.study_instance_uid in self.mixed)
            assert view.study_instance_uid not in self.mixed or view.state in {State.HELD, State.SKIPPED}
            assert in_hand.count(view.study_instance_uid) == (view.state is State.PROCESSING)

    def check_inputs(self, view: StudyView) -> None:
        """No arrived instance is lost: what has a result that is sent has it over every instance that is there.

        And no result that is known counts images that are not used, or not any more.
        """
        uid = view.study_instance_uid
        assert view.instance_count == len(self.index.stored_instances(uid)) == len(self.used(uid))
        if view.result:
            assert self.inputs_of_result[uid, view.result.revision] <= self.used(uid)
        if view.state in HAS_RESULT:
            assert view.result is not None
            assert self.inputs_of_result[uid, view.result.revision] == self.used(uid)

    def used(self, study: str) -> set[int]:
        """Numbers of the instances that the pipeline reads."""
        return self.arrived[study] | self.taken_as_own[study]

    def take_a_study(self) -> bool:
        """The sweep finds everything complete, a worker takes the next study; False when there is none."""
        for activity in self.index.studies_in(State.RECEIVING):
            self.index.apply(activity.study_instance_uid, Event.COMPLETED, why="quiet")
        for activity in self.index.studies_in(State.WAITING_FOR_PRIORS):
            self.index.apply(activity.study_instance_uid, Event.PRIORS_SETTLED, why="none")
        claim = self.index.claim_next(owner="worker", lease_s=LEASE_S)
        if claim is None:
            return False
        self.claims.append(claim)
        self.inputs[claim.attempt_id] = self.used(claim.study_instance_uid)
        return True

    def finish(self, claim: Claim, ending: str) -> None:
        """End an attempt; whoever does not hold the study any more is told so."""
        was_open = claim in self.open_claims()
        endings: dict[str, Callable[[], bool]] = {
            "succeeded": lambda: self.succeed(claim),
            "refused": lambda: self.index.finish_refused(claim, "no"),
            "failed": lambda: self.index.finish_failed(claim, "no", retryable=False, maximum_attempts=3),
            "failed for now": lambda: self.index.finish_failed(claim, "no", retryable=True, maximum_attempts=3),
            "given back": lambda: self.index.release(claim, why="stopped"),
            "lease over": lambda: self.let_the_lease_end(claim),
        }
        assert endings[ending]() == was_open

    def succeed(self, claim: Claim) -> bool:
        """A worker hands in a result."""
        files = whole_result(f"2.25.{claim.attempt_id}")
        kept = self.index.finish_succeeded(claim, files, destinations=choosy(*DESTINATIONS), why="fine")
        if kept:
            self.inputs_of_result[claim.study_instance_uid, claim.revision] = self.inputs[claim.attempt_id]
        return kept

    def let_the_lease_end(self, claim: Claim) -> bool:
        """Every worker is silent for too long."""
        was_open = claim in self.open_claims()
        self.clock.advance(LEASE_S + 1)
        in_hand = sorted(held.study_instance_uid for held in self.open_claims())
        assert sorted(self.index.release_expired(maximum_attempts=3)) == in_hand
        return was_open

    def look_what_is_due(self) -> None:
        """The outbox reads what is due; the answers come later."""
        for destination in DESTINATIONS:
            self.under_way += self.index.due_deliveries(destination=destination, limit=5)

    def answer(self, delivery: DueDelivery, answer: str) -> None:
        """The outbox writes an answer down."""
        if answer == "delivered":
            self.index.delivery_succeeded(delivery.delivery_id, "0x0000")
        elif answer == "for good":
            self.index.delivery_gave_up(delivery.delivery_id, "0xA900")
        elif answer == "declined":
            self.index.delivery_declined(delivery.delivery_id, "0x0122")
        else:
            next_try_at = self.clock.now() + timedelta(seconds=5)
            self.index.delivery_failed_for_now(delivery.delivery_id, "0xA700", next_try_at=next_try_at)

    def open_claims(self) -> list[Claim]:
        """Claims whose attempt has not ended, read past the index."""
        with reading(self.engine) as connection:
            ids = set(connection.execute(text("SELECT id FROM attempt WHERE ended_at IS NULL")).scalars())
        return [claim for claim in self.claims if claim.attempt_id in ids]

    def view(self, study: str) -> StudyView:
        """The study as people see it."""
        view = self.index.study(study)
        assert view is not None
        return view


def check_history(view: StudyView) -> None:
    """A path through the table from birth to now, without a gap."""
    at: State | None = None
    for step in view.history:
        expected = INITIAL if at is None else TRANSITIONS[at, step.event]
        assert (step.from_state, step.to_state) == (at, expected)
        at = step.to_state
    assert at is view.state


def check_deliveries(view: StudyView) -> None:
    """Only the newest result of a finished study is under way; delivered means that everybody has everything."""
    newest = {file.sop_instance_uid for file in view.result.files} if view.result else set()
    waiting = {delivery.sop_instance_uid for delivery in view.deliveries if delivery.state == "waiting"}
    failed = [delivery for delivery in view.deliveries if delivery.state == "failed"]
    assert waiting <= (newest if view.state in HAS_RESULT else set())
    assert bool(failed) == (view.state is State.DELIVERY_FAILED)
    assert not (waiting and view.state is State.DELIVERED)
    if view.state in HAS_RESULT:
        check_roles(view)


def check_roles(view: StudyView) -> None:
    """No role of the newest result comes to nothing unseen: something waits for it, was taken for it, or failed."""
    assert view.result is not None
    newest = [delivery for delivery in view.deliveries if delivery.revision == view.result.revision]
    for destination, role in {(delivery.destination, delivery.role) for delivery in newest}:
        states = {d.state for d in newest if (d.destination, d.role) == (destination, role)}
        assert states & {"waiting", "delivered", "failed"}
        best = {d.state for d in newest if (d.destination, d.role, d.rank) == (destination, role, 0)}
        assert "held" not in best


TestLifeOfStudies = LifeMachine.TestCase
TestLifeOfStudies.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
