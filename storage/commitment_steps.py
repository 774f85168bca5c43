"""Steps by which it becomes known whether a destination keeps the results that it was sent."""

from collections import Counter
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from storage.commitment_models import Commitment, CommitmentObject, CommitmentTransaction
from storage.commitment_records import (
    CommitmentCounts,
    CommitmentState,
    CommitmentTask,
    DeliveryCommitment,
    Keeping,
    Reference,
)
from storage.database import AnyRow, AnySelect
from storage.due import is_due
from storage.models import Delivery, Progress, Result, ResultObject, Study
from storage.newest_result import is_newest_result

COMMITMENT_COLUMNS = (
    Commitment.requested_at,
    CommitmentObject.state.label("keeping"),
    CommitmentObject.settled_at.label("keeping_since"),
    CommitmentObject.resends,
    func.coalesce(func.nullif(CommitmentObject.words, ""), Commitment.words).label("keeping_words"),
    Delivery.state.label("delivery_state"),
    Delivery.settled_at.label("delivery_ended_at"),
)
"""What `commitment_from_row` needs."""

_SENT_NO_MORE = {
    Progress.SUPERSEDED: "it was superseded before it was sent again",
    Progress.FAILED: "it was given up when it was sent again",
    Progress.DECLINED: "it was declined when it was sent again",
}
"""What became of the delivery of an object that was to be sent again, and is not."""


def keeping_by_now(keeping: Keeping, delivery: Progress) -> Keeping:
    """Whether an object is kept, by what became of its delivery: what is sent again no more was not kept."""
    return Keeping.FAILED if keeping is Keeping.RESENDING and delivery in _SENT_NO_MORE else keeping


def commitment_from_row(row: AnyRow) -> DeliveryCommitment | None:
    """Whether a delivered object is kept; None where nobody asks, as of one that is not delivered any more."""
    is_asked_in_vain = row.keeping is Keeping.PENDING and row.delivery_state is not Progress.DELIVERED
    if row.keeping is None or is_asked_in_vain:
        return None
    if keeping_by_now(row.keeping, row.delivery_state) is not row.keeping:
        return DeliveryCommitment(
            state=Keeping.FAILED,
            requested_at=row.requested_at,
            settled_at=row.delivery_ended_at,
            resends=row.resends - (row.delivery_state is Progress.SUPERSEDED),
            words=f"{row.keeping_words}; {_SENT_NO_MORE[row.delivery_state]}",
        )
    return DeliveryCommitment(
        state=row.keeping,
        requested_at=row.requested_at,
        settled_at=row.keeping_since,
        resends=row.resends,
        words=row.keeping_words,
    )


def plan(connection: Connection, destination: str, *, since: datetime, at: datetime) -> None:
    """Plan to ask for every object delivered since then, once nothing of its study waits to be sent there."""
    of_results: dict[int, list[AnyRow]] = {}
    for row in connection.execute(_unasked(destination, since=since)):
        of_results.setdefault(row.result_id, []).append(row)
    for result_id, rows in of_results.items():
        commitment_id = _due_commitment(connection, result_id, destination, at=at)
        for row in rows:
            _plan_object(connection, commitment_id, row)


def has_unasked(connection: Connection, destination: str, *, since: datetime) -> bool:
    """Whether there is something to plan."""
    return connection.execute(_unasked(destination, since=since).limit(1)).first() is not None


def next_due(
    connection: Connection, destination: str, *, at: datetime, latest: datetime | None = None
) -> CommitmentTask | None:
    """What the destination is to be asked now, longest due first; None for nothing."""
    row = connection.execute(
        select(Commitment, Study.study_instance_uid)
        .join(Result, Result.id == Commitment.result_id)
        .join(Study, Study.id == Result.study_id)
        .where(*_open(destination), is_due(Commitment.next_try_at, at=at, latest=latest))
        .order_by(Commitment.next_try_at, Commitment.id)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return CommitmentTask(
        commitment_id=row.id,
        study_instance_uid=row.study_instance_uid,
        references=_pending_references(connection, row.id),
        tries=row.tries,
        failures=row.failures,
    )


def begin(
    connection: Connection, commitment_id: int, transaction_uid: str, *, next_try_at: datetime, at: datetime
) -> None:
    """The destination is being asked; its report may come from now on."""
    values = {"transaction_uid": transaction_uid, "commitment_id": commitment_id, "requested_at": at}
    connection.execute(insert(CommitmentTransaction).values(**values))
    _change(
        connection,
        commitment_id,
        state=CommitmentState.ASKED,
        tries=Commitment.tries + 1,
        requested_at=at,
        next_try_at=next_try_at,
        words="",
    )


def postpone(connection: Connection, commitment_id: int, words: str, *, next_try_at: datetime) -> None:
    """The destination could not be asked; that was no try."""
    _change(
        connection,
        commitment_id,
        state=CommitmentState.DUE,
        tries=Commitment.tries - 1,
        failures=Commitment.failures + 1,
        next_try_at=next_try_at,
        words=words,
    )


def take_back(connection: Connection, commitment_id: int, *, at: datetime) -> None:
    """The destination did not come to answer, for the node stopped; that was no try, and no failure of it."""
    _change(connection, commitment_id, state=CommitmentState.DUE, tries=Commitment.tries - 1, next_try_at=at)


def note_asked(connection: Connection, commitment_id: int) -> None:
    """The destination took the question."""
    _change(connection, commitment_id, failures=0)


def settle(connection: Connection, commitment_id: int) -> None:
    """Nothing of this result is to be asked for any more."""
    _change(connection, commitment_id, state=CommitmentState.SETTLED)


def has_overdue(connection: Connection, destination: str, *, planned_before: datetime) -> bool:
    """Whether something was planned before then and is open still."""
    return bool(connection.execute(select(exists(_overdue(destination, planned_before)))).scalar_one())


def give_up_waiting(connection: Connection, destination: str, *, planned_before: datetime, at: datetime) -> None:
    """Say of what was planned before then that it was never confirmed; the deliveries stay delivered."""
    ids = list(connection.execute(_overdue(destination, planned_before)).scalars())
    pending = (CommitmentObject.commitment_id.in_(ids), CommitmentObject.state == Keeping.PENDING)
    connection.execute(update(CommitmentObject).where(*pending).values(state=Keeping.UNCONFIRMED, settled_at=at))
    connection.execute(update(Commitment).where(Commitment.id.in_(ids)).values(state=CommitmentState.SETTLED))


def counts_of(connection: Connection, destination: str) -> CommitmentCounts:
    """How many objects of the destination are not committed; those of superseded results do not count.

    What was asked for and is being sent again, or failed since, is no more waited for.
    """
    is_asked_for = and_(
        CommitmentObject.state.in_((Keeping.PENDING, Keeping.UNCONFIRMED)), Delivery.state == Progress.DELIVERED
    )
    is_wanted_there = and_(
        CommitmentObject.state.in_((Keeping.RESENDING, Keeping.FAILED)),
        Delivery.state.in_((Progress.WAITING, Progress.FAILED)),
    )
    rows = connection.execute(
        select(CommitmentObject.state.label("keeping"), Delivery.state, func.count().label("objects"))
        .join(Commitment, Commitment.id == CommitmentObject.commitment_id)
        .join(Delivery, Delivery.id == CommitmentObject.delivery_id)
        .join(Result, Result.id == Commitment.result_id)
        .where(
            Commitment.destination == destination,
            is_newest_result(),
            or_(is_asked_for, is_wanted_there),
        )
        .group_by(CommitmentObject.state, Delivery.state)
    )
    counts = Counter[Keeping]()
    for row in rows:
        counts[keeping_by_now(row.keeping, row.state)] += row.objects
    return CommitmentCounts(
        pending=counts[Keeping.PENDING],
        resending=counts[Keeping.RESENDING],
        failed=counts[Keeping.FAILED],
        unconfirmed=counts[Keeping.UNCONFIRMED],
    )


def _unasked(destination: str, *, since: datetime) -> AnySelect:
    """Deliveries that were never asked about, or delivered again since."""
    waiting = aliased(Delivery)
    other_waits = exists().where(
        waiting.study_id == Delivery.study_id,
        waiting.destination == destination,
        waiting.state == Progress.WAITING,
    )
    return (
        select(
            Delivery.id.label("delivery_id"),
            Delivery.settled_at,
            ResultObject.result_id,
            CommitmentObject.delivery_id.label("planned_id"),
            CommitmentObject.state.label("keeping"),
        )
        .join(ResultObject, ResultObject.id == Delivery.result_file_id)
        .outerjoin(CommitmentObject, CommitmentObject.delivery_id == Delivery.id)
        .where(
            Delivery.destination == destination,
            Delivery.settled_at >= since,
            Delivery.state == Progress.DELIVERED,
            or_(CommitmentObject.delivery_id.is_(None), CommitmentObject.delivered_at != Delivery.settled_at),
            ~other_waits,
        )
        .order_by(Delivery.id)
    )


def _due_commitment(connection: Connection, result_id: int, destination: str, *, at: datetime) -> int:
    """The commitment of a result, due now; made where there is none."""
    values = {"state": CommitmentState.DUE, "tries": 0, "failures": 0, "planned_at": at, "next_try_at": at, "words": ""}
    of_result = and_(Commitment.result_id == result_id, Commitment.destination == destination)
    known = connection.execute(select(Commitment.id).where(of_result)).scalar_one_or_none()
    if known is not None:
        _change(connection, known, **values)
        return known
    made = insert(Commitment).values(result_id=result_id, destination=destination, **values)
    return connection.execute(made.returning(Commitment.id)).scalar_one()


def _plan_object(connection: Connection, commitment_id: int, row: AnyRow) -> None:
    """Put an object among those to ask for; what was sent again for want of commitment keeps its count."""
    values = {"state": Keeping.PENDING, "delivered_at": row.settled_at, "settled_at": None, "words": ""}
    if row.planned_id is None:
        values |= {"delivery_id": row.delivery_id, "commitment_id": commitment_id, "resends": 0}
        connection.execute(insert(CommitmentObject).values(**values))
        return
    if row.keeping is not Keeping.RESENDING:
        values["resends"] = 0
    connection.execute(update(CommitmentObject).where(CommitmentObject.delivery_id == row.delivery_id).values(**values))


def _pending_references(connection: Connection, commitment_id: int) -> tuple[Reference, ...]:
    rows = connection.execute(
        select(ResultObject.sop_class_uid, ResultObject.sop_instance_uid)
        .join(Delivery, Delivery.result_file_id == ResultObject.id)
        .join(CommitmentObject, CommitmentObject.delivery_id == Delivery.id)
        .where(
            CommitmentObject.commitment_id == commitment_id,
            CommitmentObject.state == Keeping.PENDING,
            Delivery.state == Progress.DELIVERED,
        )
        .order_by(Delivery.id)
    )
    return tuple(Reference(sop_class_uid=row.sop_class_uid, sop_instance_uid=row.sop_instance_uid) for row in rows)


def _open(destination: str) -> tuple[ColumnElement[bool], ...]:
    unsettled = (CommitmentState.DUE, CommitmentState.ASKED)
    return (Commitment.state.in_(unsettled), Commitment.destination == destination)


def _overdue(destination: str, planned_before: datetime) -> AnySelect:
    return select(Commitment.id).where(*_open(destination), Commitment.planned_at < planned_before)


def _change(connection: Connection, commitment_id: int, **values: object) -> None:
    connection.execute(update(Commitment).where(Commitment.id == commitment_id).values(**values))
