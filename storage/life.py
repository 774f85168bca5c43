"""The one mover: takes a study a step on, with everything that belongs to the step."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, exists, insert, select, update

from storage.database import AnyRow, AnySelect
from storage.errors import UnknownStudyError
from storage.failpoints import reach
from storage.fetch_models import PriorFetch
from storage.lifecycle import INITIAL, Event, State, next_state
from storage.models import Attempt, Delivery, History, Origin, Outcome, Progress, Study
from storage.rule_rows import void_decision
from storage.wake import Topic, notify

RUNS_ANEW = frozenset({Event.INSTANCE_ARRIVED, Event.RETRIED, Event.RELEASED})
"""Events after which the whole study runs again: what was made before is superseded."""

_WAKES = {
    State.WAITING_FOR_PRIORS: Topic.STUDIES,
    State.READY: Topic.READY,
    State.PROCESSED: Topic.DELIVERIES,
    State.SENDING: Topic.DELIVERIES,
}
"""Whom a study wakes that comes into a state."""

_ONLY_COUNTED = frozenset({Event.INSTANCE_ARRIVED, Event.PATIENT_CONTRADICTED})

STOPS_WORK = frozenset({Event.DISCARDED, Event.PATIENT_CONTRADICTED})
"""Events that end a running attempt, and keep here what was not sent yet."""
WANTS_ANALYSIS = frozenset({Event.RETRIED, Event.COMPLETED_BY_OPERATOR})
"""Events by which a study that was fetched to be compared with becomes one to be analysed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a study stands, read in the transaction that moves it."""

    study_id: int
    state: State
    revision: int
    has_late_instances: bool


def standing_of(connection: Connection, study_instance_uid: str) -> Standing:
    """Where the study stands; nobody else moves it until the transaction ends.

    Raises:
        UnknownStudyError: The index has no such study.
    """
    row = connection.execute(_standing().where(Study.study_instance_uid == study_instance_uid)).one_or_none()
    if row is None:
        raise UnknownStudyError(study_instance_uid)
    return _standing_from_row(row)


def standing_by_id(connection: Connection, study_id: int) -> Standing:
    """Where the study with this key stands; nobody else moves it until the transaction ends."""
    return _standing_from_row(connection.execute(_standing().where(Study.id == study_id)).one())


def note_birth(connection: Connection, study_id: int, *, why: str, at: datetime) -> None:
    """Begin the history of a study that was just put into the index."""
    _append(connection, study_id, event=Event.INSTANCE_ARRIVED, states=(None, INITIAL), why=why, at=at)


def move(connection: Connection, study: Standing, event: Event, *, why: str, at: datetime) -> Standing:
    """Take the study one step on and write it into its history.

    An instance that changes nothing but a count of the study leaves no line in the history.

    Raises:
        IllegalTransitionError: The table has no such step.
    """
    moved = _after(study, event)
    if moved == study and event in _ONLY_COUNTED:
        return study
    if moved.state is not study.state:
        moved = _leave_behind(connection, moved, event, why=why, at=at)
    if event in WANTS_ANALYSIS:
        connection.execute(update(Study).where(Study.id == study.study_id).values(origin=Origin.RECEIVED))
    _store(connection, moved, has_new_state=moved.state is not study.state, why=why, at=at)
    _append(connection, study.study_id, event=event, states=(study.state, moved.state), why=why, at=at)
    if moved.state is not study.state and (topic := _WAKES.get(moved.state)):
        notify(connection, topic)
    if event is Event.PRIORS_SETTLED:
        reach("trigger.before_job_commit")
    return moved


def note(connection: Connection, study: Standing, event: Event, *, why: str, at: datetime) -> None:
    """Write into the history of a study what moved it nowhere."""
    _append(connection, study.study_id, event=event, states=(study.state, study.state), why=why, at=at)


def _standing() -> AnySelect:
    return select(Study.id, Study.state, Study.revision, Study.has_late_instances).with_for_update()


def _standing_from_row(row: AnyRow) -> Standing:
    return Standing(study_id=row.id, state=row.state, revision=row.revision, has_late_instances=row.has_late_instances)


def _after(study: Standing, event: Event) -> Standing:
    """The standing after the event; an instance that comes while an attempt runs is remembered until it ends."""
    state = next_state(study.state, event)
    arrived_late = event is Event.INSTANCE_ARRIVED and state is State.PROCESSING
    still_late = study.has_late_instances and state is State.PROCESSING
    return replace(study, state=state, has_late_instances=arrived_late or still_late)


def _leave_behind(connection: Connection, study: Standing, event: Event, *, why: str, at: datetime) -> Standing:
    """End what the step makes void: deliveries of an older result, a running attempt."""
    if event in RUNS_ANEW or event in STOPS_WORK:
        supersede_deliveries(connection, study.study_id, at=at)
    if event in STOPS_WORK:
        _close_open_attempt(connection, study.study_id, why=why, at=at)
    if event in RUNS_ANEW:
        void_decision(connection, study.study_id)
    if event in RUNS_ANEW and (_was_tried(connection, study) or _searches_again(connection, study, event)):
        return replace(study, revision=study.revision + 1)
    return study


def supersede_deliveries(connection: Connection, study_id: int, *, at: datetime) -> None:
    """Stop everything of the study that is not delivered yet."""
    undelivered = (Progress.WAITING, Progress.HELD, Progress.FAILED)
    connection.execute(
        update(Delivery)
        .where(Delivery.study_id == study_id, Delivery.state.in_(undelivered))
        .values(state=Progress.SUPERSEDED, settled_at=at)
    )


def _close_open_attempt(connection: Connection, study_id: int, *, why: str, at: datetime) -> None:
    connection.execute(
        update(Attempt)
        .where(Attempt.study_id == study_id, Attempt.ended_at.is_(None))
        .values(ended_at=at, outcome=Outcome.DISCARDED, reason=why)
    )


def _was_tried(connection: Connection, study: Standing) -> bool:
    tried = exists().where(Attempt.study_id == study.study_id, Attempt.revision == study.revision)
    return bool(connection.execute(select(tried)).scalar_one())


def _searches_again(connection: Connection, study: Standing, event: Event) -> bool:
    """Whether an operator took the study up anew after a search for earlier ones, of which much may have been deleted."""
    searched = exists().where(PriorFetch.study_id == study.study_id, PriorFetch.revision == study.revision)
    return event is Event.RETRIED and bool(connection.execute(select(searched)).scalar_one())


def _store(connection: Connection, study: Standing, *, has_new_state: bool, why: str, at: datetime) -> None:
    values: dict[str, object] = {
        "state": study.state,
        "revision": study.revision,
        "has_late_instances": study.has_late_instances,
    }
    if has_new_state:
        values |= {"state_since": at, "reason": why}
    if has_new_state and study.state is State.RECEIVING:
        values["opened_at"] = at
    connection.execute(update(Study).where(Study.id == study.study_id).values(**values))


def _append(
    connection: Connection,
    study_id: int,
    *,
    event: Event,
    states: tuple[State | None, State],
    why: str,
    at: datetime,
) -> None:
    from_state, to_state = states
    connection.execute(
        insert(History).values(study_id=study_id, at=at, event=event, from_state=from_state, to_state=to_state, why=why)
    )
