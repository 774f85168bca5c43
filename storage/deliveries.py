"""Results and their way to the destinations."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, insert, select, update
from sqlalchemy.orm import aliased

from storage import outages
from storage.database import AnyRow
from storage.delivery_plan import Candidate, Lack, Planned, Plans, in_words, lacks_of, plans_of
from storage.due import is_due
from storage.errors import NothingToSendError
from storage.life import Standing, move, standing_by_id, standing_of
from storage.lifecycle import Event, State
from storage.models import Delivery, Progress, Result, ResultObject, Study
from storage.newest_result import is_of_newest_result, newest_result_id, progress_of
from storage.records import Claim, Destination, DueDelivery, ResultFile

SENT_BY_NOW = frozenset({State.PROCESSED, State.SENDING})
"""States in which the outcome of a delivery moves the study."""


BY_OPERATOR = "an operator asked to send the result again"
_TOO_LATE = "superseded while it was under way"

WAITED_FOR_TRIES = 3
"""An object that fails so often is no longer waited for by those after it: what is wrong may be the object."""


def store_result(
    connection: Connection,
    study: Standing,
    claim: Claim,
    *,
    files: Sequence[ResultFile],
    destinations: Sequence[Destination],
    at: datetime,
) -> tuple[Lack, ...]:
    """Put a result set into the index with its deliveries, what may be declined with others that stand by.

    Older objects that are not delivered yet are superseded by the caller, and what the destinations want in vain is
    for `note_lacks` once the study went on.
    """
    values = {"study_id": study.study_id, "attempt_id": claim.attempt_id, "revision": claim.revision, "created_at": at}
    result_id = connection.execute(insert(Result).values(values).returning(Result.id)).scalar_one()
    if files:
        connection.execute(insert(ResultObject), [_columns_from_file(file, result_id) for file in files])
    candidates = _candidates(connection, result_id)
    _insert_deliveries(connection, study, plans_of(candidates, destinations), at=at)
    return lacks_of(candidates, destinations)


def note_lacks(connection: Connection, study_instance_uid: str, lacks: Sequence[Lack], *, at: datetime) -> None:
    """Say that a result which is to be sent lacks what a destination wants; what there is goes out all the same."""
    study = standing_of(connection, study_instance_uid)
    if study.state in SENT_BY_NOW and any(lack.is_failure for lack in lacks):
        move(connection, study, Event.DELIVERY_GAVE_UP, why=in_words(lacks), at=at)


def due(
    connection: Connection, *, destination: str, limit: int, at: datetime, latest: datetime | None = None
) -> tuple[DueDelivery, ...]:
    """Deliveries to a destination whose time has come, longest due first, those of a study in the order of the result.

    An object that was put off keeps what follows it in its study waiting, for its first few tries; after these it comes
    last, so that an object over which the destination breaks keeps nobody else waiting.
    """
    rows = connection.execute(
        select(
            Delivery.id.label("delivery_id"),
            Study.study_instance_uid,
            Delivery.tries,
            Delivery.created_at,
            ResultObject,
        )
        .join(ResultObject, ResultObject.id == Delivery.result_file_id)
        .join(Study, Study.id == Delivery.study_id)
        .where(
            Delivery.state == Progress.WAITING,
            Delivery.destination == destination,
            is_due(Delivery.next_try_at, at=at, latest=latest),
            ~_one_before_waits(at, latest),
        )
        .order_by(Delivery.next_try_at, Delivery.id)
        .limit(limit)
    )
    found = [
        DueDelivery(
            delivery_id=row.delivery_id,
            study_instance_uid=row.study_instance_uid,
            destination=destination,
            file=file_from_row(row),
            tries=row.tries,
            created_at=row.created_at,
        )
        for row in rows
    ]
    turns = {uid: turn for turn, uid in enumerate(dict.fromkeys(one.study_instance_uid for one in found))}

    def turn_of(one: DueDelivery) -> tuple[bool, int, int]:
        return one.tries >= WAITED_FOR_TRIES, turns[one.study_instance_uid], one.delivery_id

    return tuple(sorted(found, key=turn_of))


def _one_before_waits(at: datetime, latest: datetime | None) -> ColumnElement[bool]:
    """Whether an earlier object of the same study for the same destination was put off and not often tried."""
    before = aliased(Delivery)
    return exists().where(
        and_(
            before.study_id == Delivery.study_id,
            before.state == Progress.WAITING,
            before.destination == Delivery.destination,
            before.id < Delivery.id,
            ~is_due(before.next_try_at, at=at, latest=latest),
            before.tries < WAITED_FOR_TRIES,
        )
    )


def note_delivered(connection: Connection, delivery_id: int, *, status: str, at: datetime) -> None:
    """The destination has the object; this holds also for one that was superseded while it was under way, and says so."""
    words = case((Delivery.state == Progress.SUPERSEDED, f"{status}; {_TOO_LATE}"), else_=status)
    values = {"state": Progress.DELIVERED, "settled_at": at, "last_status": words}
    _note_try(connection, delivery_id, status=status, values=values, states=[*Progress])
    _follow(connection, delivery_id, why=status, at=at)


def note_postponed(
    connection: Connection, delivery_id: int, *, status: str, next_try_at: datetime, at: datetime
) -> None:
    """The try failed; another follows."""
    _note_try(connection, delivery_id, status=status, values={"next_try_at": next_try_at}, states=[Progress.WAITING])
    _follow(connection, delivery_id, why=status, at=at)


def note_given_up(connection: Connection, delivery_id: int, *, status: str, at: datetime) -> None:
    """The try failed and was the last."""
    values = {"state": Progress.FAILED, "settled_at": at}
    _note_try(connection, delivery_id, status=status, values=values, states=[Progress.WAITING])
    _follow(connection, delivery_id, why=status, at=at)


def note_declined(connection: Connection, delivery_id: int, *, status: str, at: datetime) -> None:
    """The destination takes no objects of this class: the next best of the same role goes in its place.

    Where there is none the delivery failed, unless another role makes up for this one.
    """
    _count_try(connection, delivery_id, status=status)
    tried = connection.execute(
        select(Delivery, ResultObject.result_id)
        .join(ResultObject, ResultObject.id == Delivery.result_file_id)
        .where(Delivery.id == delivery_id)
        .with_for_update()
    ).one()
    if tried.state is Progress.WAITING:
        status = _fall_back(connection, tried, status=status, at=at)
    _follow(connection, delivery_id, why=status, at=at)


def resend(
    connection: Connection, study_instance_uid: str, *, destinations: Sequence[Destination], why: str, at: datetime
) -> State:
    """Send the newest result again from the best on, also to destinations that did not exist when it was made.

    A named destination gets what it wants now; what it no longer wants, and what was for others, is superseded where it
    is not delivered. Where it wants what the result lacks the delivery of the study failed, as where it is declined.

    Raises:
        NothingToSendError: There is no result, nobody to send it to, or nothing of what they want.
    """
    study = standing_of(connection, study_instance_uid)
    result_id = newest_result_id(connection, study.study_id)
    if result_id is None:
        raise NothingToSendError
    candidates = _candidates(connection, result_id)
    plans, lacks = plans_of(candidates, destinations), lacks_of(candidates, destinations)
    why = "; ".join([why, *(lack.words for lack in lacks)])
    move(connection, study, Event.RESENT, why=why, at=at)
    of_result = select(ResultObject.id).where(ResultObject.result_id == result_id)
    rows = connection.execute(select(Delivery).where(Delivery.result_file_id.in_(of_result))).all()
    outages.end(connection, plans.keys())
    for row in rows:
        plan = plans.get(row.destination, {}).pop(row.result_file_id, None)
        _start_again(connection, row, plan, at=at)
    _insert_deliveries(connection, study, plans, at=at)
    if Progress.WAITING not in progress_of(connection, study.study_id):
        raise NothingToSendError(in_words(lacks))
    note_lacks(connection, study_instance_uid, lacks, at=at)
    return standing_of(connection, study_instance_uid).state


def file_from_row(row: AnyRow) -> ResultFile:
    """A file of a result from a row with its columns."""
    return ResultFile(
        kind=row.kind,
        path=Path(row.path),
        sha256=row.sha256,
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
    )


def _columns_from_file(file: ResultFile, result_id: int) -> dict[str, Any]:
    return {
        "result_id": result_id,
        "kind": file.kind,
        "path": str(file.path),
        "sha256": file.sha256,
        "sop_class_uid": file.sop_class_uid,
        "sop_instance_uid": file.sop_instance_uid,
        "transfer_syntax_uid": file.transfer_syntax_uid,
    }


def _candidates(connection: Connection, result_id: int) -> list[Candidate]:
    """The DICOM objects of a result, in its order."""
    rows = connection.execute(
        select(ResultObject.id, ResultObject.kind, ResultObject.sop_class_uid)
        .where(ResultObject.result_id == result_id, ResultObject.sop_class_uid != "")
        .order_by(ResultObject.id)
    )
    return [Candidate(result_file_id=row.id, kind=row.kind, sop_class_uid=row.sop_class_uid) for row in rows]


def _insert_deliveries(connection: Connection, study: Standing, plans: Plans, *, at: datetime) -> None:
    rows = [
        {
            "study_id": study.study_id,
            "result_file_id": plan.result_file_id,
            "destination": destination,
            "last_status": "",
            **_from_the_start(plan, at=at),
        }
        for destination, planned in plans.items()
        for plan in planned.values()
    ]
    if rows:
        connection.execute(insert(Delivery), rows)


def _from_the_start(plan: Planned, *, at: datetime) -> dict[str, Any]:
    """Columns of a delivery that was not tried yet."""
    return {
        "state": Progress.HELD if plan.rank else Progress.WAITING,
        "role": plan.role,
        "rank": plan.rank,
        "may_be_declined": plan.may_be_declined,
        "tries": 0,
        "created_at": at,
        "next_try_at": at,
        "settled_at": None,
    }


def _start_again(connection: Connection, row: AnyRow, plan: Planned | None, *, at: datetime) -> None:
    """Make a delivery wait again as planned; without a plan nobody wants it any more, and only what is there counts."""
    if plan is None and row.state is Progress.DELIVERED:
        return
    values = _from_the_start(plan, at=at) if plan else {"state": Progress.SUPERSEDED, "settled_at": at}
    connection.execute(update(Delivery).where(Delivery.id == row.id).values(**values))


def _fall_back(connection: Connection, tried: AnyRow, *, status: str, at: datetime) -> str:
    """End what waits in the rank of a declined delivery, let the next rank wait; returns what is to be said of it."""
    next_rank = _next_rank(connection, tried)
    is_failure = next_rank is None and not tried.may_be_declined
    ended = {"state": Progress.FAILED if is_failure else Progress.DECLINED, "settled_at": at, "last_status": status}
    waiting = _of_role(tried, Progress.WAITING)
    connection.execute(update(Delivery).where(*waiting, Delivery.rank == tried.rank).values(**ended))
    if is_failure:
        return _why_nothing_was_taken(connection, tried)
    due_now = {"state": Progress.WAITING, "next_try_at": at, "created_at": at}
    held = _of_role(tried, Progress.HELD)
    connection.execute(update(Delivery).where(*held, Delivery.rank == next_rank).values(**due_now))
    return status


def _next_rank(connection: Connection, tried: AnyRow) -> int | None:
    """The best of what stands by for the role of a delivery."""
    held = _of_role(tried, Progress.HELD)
    return connection.execute(select(func.min(Delivery.rank)).where(*held, Delivery.rank > tried.rank)).scalar_one()


def _of_role(tried: AnyRow, *states: Progress) -> tuple[ColumnElement[bool], ...]:
    """Conditions for the deliveries of the same result in the same role for the same destination."""
    return (
        Delivery.result_file_id.in_(select(ResultObject.id).where(ResultObject.result_id == tried.result_id)),
        Delivery.destination == tried.destination,
        Delivery.role == tried.role,
        Delivery.state.in_(states),
    )


def _why_nothing_was_taken(connection: Connection, tried: AnyRow) -> str:
    """What a destination said to each alternative of a role, best first."""
    rows = connection.execute(
        select(Delivery.last_status)
        .where(*_of_role(tried, Progress.DECLINED, Progress.FAILED), Delivery.last_status != "")
        .order_by(Delivery.rank, Delivery.id)
    )
    said = "; ".join(dict.fromkeys(rows.scalars()))
    return f"{tried.destination} takes nothing as {tried.role.replace('_', ' ')}: {said}"


def _note_try(
    connection: Connection, delivery_id: int, *, status: str, values: dict[str, Any], states: Sequence[Progress]
) -> None:
    """Count a try; what it changes is changed only in the given states."""
    _count_try(connection, delivery_id, status=status)
    connection.execute(update(Delivery).where(Delivery.id == delivery_id, Delivery.state.in_(states)).values(**values))


def _count_try(connection: Connection, delivery_id: int, *, status: str) -> None:
    """Count a try and keep its answer, whatever became of the delivery meanwhile.

    First the study is locked, then its delivery, as those do who receive for it.
    """
    standing_by_id(connection, _study_id_of(connection, delivery_id))
    values = {"tries": Delivery.tries + 1, "last_status": status}
    connection.execute(update(Delivery).where(Delivery.id == delivery_id).values(**values))


def _follow(connection: Connection, delivery_id: int, *, why: str, at: datetime) -> None:
    """Move the study after a try of one of its deliveries, unless it went elsewhere meanwhile."""
    study_id = _study_id_of(connection, delivery_id)
    study = standing_by_id(connection, study_id)
    if study.state not in SENT_BY_NOW:
        return
    if study.state is State.PROCESSED:
        if not is_of_newest_result(connection, delivery_id):
            return
        study = move(connection, study, Event.SENDING_STARTED, why="the first object was sent", at=at)
    progress = progress_of(connection, study_id)
    if Progress.FAILED in progress:
        move(connection, study, Event.DELIVERY_GAVE_UP, why=why, at=at)
    elif Progress.WAITING not in progress:
        move(connection, study, Event.ALL_DELIVERED, why="every destination has the best that it takes", at=at)


def _study_id_of(connection: Connection, delivery_id: int) -> int:
    return connection.execute(select(Delivery.study_id).where(Delivery.id == delivery_id)).scalar_one()
