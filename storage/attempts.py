"""The queue of work: claims, leases, ends of attempts."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, select, update

from storage.batch_rows import is_of_batch
from storage.database import AnySelect
from storage.life import Standing, move, standing_by_id
from storage.lifecycle import Event, State
from storage.models import Attempt, Outcome, Study
from storage.records import Claim
from storage.rule_rows import urgency_of_study

EVENT_OF_OUTCOME = {
    Outcome.SUCCEEDED: Event.ATTEMPT_SUCCEEDED,
    Outcome.REFUSED: Event.ATTEMPT_REFUSED,
    Outcome.FAILED_FOR_NOW: Event.ATTEMPT_FAILED_FOR_NOW,
    Outcome.FAILED: Event.ATTEMPT_FAILED,
    Outcome.LEASE_LOST: Event.LEASE_LOST,
    Outcome.GIVEN_BACK: Event.LEASE_LOST,
}
"""What the end of an attempt means for its study."""

WORKER_GONE = "its worker died or hung"
LATE = "instances arrived while the attempt ran"


def claim_next(connection: Connection, *, owner: str, lease_s: float, at: datetime) -> Claim | None:
    """The most urgent study, of these the one that is ready for longest, those of a batch last; None when none is ready.

    It is held by the owner now. One that another transaction moves just now is passed over (PostgreSQL, SELECT, "SKIP
    LOCKED").
    """
    row = connection.execute(
        select(Study.id, Study.study_instance_uid)
        .where(Study.state == State.READY)
        .order_by(is_of_batch(), urgency_of_study().desc(), Study.state_since, Study.id)
        .limit(1)
        .with_for_update(of=Study, skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    study = standing_by_id(connection, row.id)
    number, started_at = _earlier_tries(connection, study)
    attempt_id = _open_attempt(connection, study, number=number, owner=owner, lease=(at, _end(at, lease_s)))
    move(connection, study, Event.CLAIMED, why=f"attempt {number} of revision {study.revision}", at=at)
    return Claim(
        attempt_id=attempt_id,
        study_instance_uid=row.study_instance_uid,
        revision=study.revision,
        attempt_number=number,
        owner=owner,
        started_at=started_at or at,
    )


def renew(connection: Connection, claim: Claim, *, lease_s: float, at: datetime) -> bool:
    """Hold the study for longer; False when the claim was taken away."""
    renewed = connection.execute(
        update(Attempt)
        .where(Attempt.id == claim.attempt_id, Attempt.ended_at.is_(None))
        .values(lease_until=_end(at, lease_s))
    )
    return renewed.rowcount == 1


def close(connection: Connection, attempt_id: int, outcome: Outcome, *, reason: str, at: datetime) -> Standing | None:
    """End an attempt; its study is still to be moved by `go_on`.

    Returns:
        Where the study stands; None when the attempt was ended before by somebody else, and then nothing is changed.
    """
    study_id = connection.execute(select(Attempt.study_id).where(Attempt.id == attempt_id)).scalar_one()
    # First the study, then what belongs to it, as those do who receive for it.
    study = standing_by_id(connection, study_id)
    ended = connection.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.ended_at.is_(None))
        .values(ended_at=at, outcome=outcome, reason=reason)
    )
    return study if ended.rowcount == 1 else None


def go_on(connection: Connection, study: Standing, outcome: Outcome, *, reason: str, at: datetime) -> None:
    """Move the study of an ended attempt; instances that came meanwhile then reopen it."""
    moved = move(connection, study, EVENT_OF_OUTCOME[outcome], why=reason, at=at)
    if study.has_late_instances:
        move(connection, moved, Event.INSTANCE_ARRIVED, why=LATE, at=at)


def end(connection: Connection, attempt_id: int, outcome: Outcome, *, reason: str, at: datetime) -> bool:
    """End an attempt that leaves no result; False when it was ended before by somebody else."""
    study = close(connection, attempt_id, outcome, reason=reason, at=at)
    if study is None:
        return False
    go_on(connection, study, outcome, reason=reason, at=at)
    return True


def release_all(
    connection: Connection, wanted: AnySelect, *, maximum_attempts: int, at: datetime, why: str = WORKER_GONE
) -> tuple[str, ...]:
    """End attempts whose workers are gone; a study whose last allowed attempt this was fails for good.

    Args:
        connection: In a writing transaction.
        wanted: `expired_attempts` or `open_attempts`.
        maximum_attempts: So many attempts a revision may take.
        at: Now.
        why: For the history.

    Returns:
        Study Instance UIDs.
    """
    rows = connection.execute(wanted).all()
    for row in rows:
        outcome = Outcome.FAILED if row.number >= maximum_attempts else Outcome.LEASE_LOST
        end(connection, row.id, outcome, reason=f"attempt {row.number} ended without an outcome: {why}", at=at)
    return tuple(row.study_instance_uid for row in rows)


def open_attempts() -> AnySelect:
    """Every attempt that has not ended."""
    return (
        select(Attempt.id, Attempt.number, Study.study_instance_uid)
        .join(Study, Study.id == Attempt.study_id)
        .where(Attempt.ended_at.is_(None))
        .order_by(Attempt.study_id)
    )


def expired_attempts(at: datetime) -> AnySelect:
    """Open attempts whose lease is over."""
    return open_attempts().where(Attempt.lease_until < at)


def _end(at: datetime, lease_s: float) -> datetime:
    return at + timedelta(seconds=lease_s)


def _earlier_tries(connection: Connection, study: Standing) -> tuple[int, datetime | None]:
    """Number of the next try, and when the first one of this revision started."""
    tries = (Attempt.study_id == study.study_id, Attempt.revision == study.revision)
    counted = select(func.count()).where(*tries, Attempt.outcome != Outcome.GIVEN_BACK)
    first = connection.execute(select(func.min(Attempt.started_at)).where(*tries)).scalar_one()
    return connection.execute(counted).scalar_one() + 1, first


def _open_attempt(
    connection: Connection, study: Standing, *, number: int, owner: str, lease: tuple[datetime, datetime]
) -> int:
    started_at, lease_until = lease
    inserted = connection.execute(
        insert(Attempt)
        .values(
            study_id=study.study_id,
            revision=study.revision,
            number=number,
            owner=owner,
            started_at=started_at,
            lease_until=lease_until,
            reason="",
        )
        .returning(Attempt.id)
    )
    return inserted.scalar_one()
