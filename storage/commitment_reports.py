"""What a destination reported about the results that it was asked to keep (PS3.4 J.3.3)."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, exists, select, update

from storage.commitment_models import Commitment, CommitmentObject, CommitmentTransaction
from storage.commitment_records import CommitmentReport, CommitmentState, Keeping, ReportOutcome
from storage.database import AnyRow
from storage.life import move, standing_by_id
from storage.lifecycle import Event, State
from storage.models import Delivery, Progress, ResultObject
from storage.newest_result import is_of_newest_result

FAILURE_REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
"""Failure Reason (0008,1197), PS3.3 C.14."""

_ASK_AGAIN = frozenset({0x0131, 0x0213})
"""These are about the question: sending the object again would not help."""
_MAY_STILL_BE_COMMITTED = (Keeping.PENDING, Keeping.UNCONFIRMED)
_SENDS_AGAIN = frozenset({State.SENDING, State.DELIVERED, State.DELIVERY_FAILED})
_NO_LONGER_SENT = "it is no longer the result of the study"


def reason_in_words(failure_reason: int) -> str:
    """`no such object instance (0x0112)`."""
    return f"{FAILURE_REASONS.get(failure_reason, 'failure')} (0x{failure_reason:04X})"


def note_report(
    connection: Connection,
    report: CommitmentReport,
    *,
    destinations: Collection[str],
    maximum_resends: int,
    at: datetime,
) -> ReportOutcome:
    """Write down a report; what the destination does not keep is sent again, or failed.

    Where it is of a result that no longer stands, that is noted and moves neither the delivery nor the study.

    Args:
        connection: In a transaction.
        report: Of the destination.
        destinations: Names of the peers that the reporter may be.
        maximum_resends: How often an object is sent again.
        at: Now.
    """
    asked = connection.execute(
        select(CommitmentTransaction.commitment_id, CommitmentTransaction.reported_at)
        .join(Commitment, Commitment.id == CommitmentTransaction.commitment_id)
        .where(
            CommitmentTransaction.transaction_uid == report.transaction_uid, Commitment.destination.in_(destinations)
        )
    ).one_or_none()
    if asked is None:
        return ReportOutcome.UNKNOWN
    if asked.reported_at is not None:
        return ReportOutcome.DOUBLED
    of_transaction = CommitmentTransaction.transaction_uid == report.transaction_uid
    connection.execute(update(CommitmentTransaction).where(of_transaction).values(reported_at=at))
    for row in _open_objects(connection, asked.commitment_id):
        _note_object(connection, row, report, maximum_resends=maximum_resends, at=at)
    _settle_if_done(connection, asked.commitment_id)
    return ReportOutcome.TAKEN


def _open_objects(connection: Connection, commitment_id: int) -> list[AnyRow]:
    return list(
        connection.execute(
            select(CommitmentObject, Delivery.study_id, ResultObject.sop_instance_uid)
            .join(Delivery, Delivery.id == CommitmentObject.delivery_id)
            .join(ResultObject, ResultObject.id == Delivery.result_file_id)
            .where(
                CommitmentObject.commitment_id == commitment_id,
                CommitmentObject.state.in_(_MAY_STILL_BE_COMMITTED),
                Delivery.state == Progress.DELIVERED,
            )
            .order_by(Delivery.id)
        )
    )


def _note_object(
    connection: Connection, row: AnyRow, report: CommitmentReport, *, maximum_resends: int, at: datetime
) -> None:
    """What the report says about one object."""
    reason = report.failed.get(row.sop_instance_uid)
    if reason is None:
        if row.sop_instance_uid in report.committed:
            _change(connection, row, state=Keeping.COMMITTED, settled_at=at, words="")
        return
    words = reason_in_words(reason)
    if reason in _ASK_AGAIN:
        _change(connection, row, words=words)
    elif not _stands(connection, row):
        _change(connection, row, state=Keeping.FAILED, settled_at=at, words=f"{words}; {_NO_LONGER_SENT}")
    elif row.resends < maximum_resends:
        _send_again(connection, row, words, at=at)
    else:
        _fail(connection, row, words, at=at)


def _stands(connection: Connection, row: AnyRow) -> bool:
    """Whether the result still stands: a study that was received or run again has another one, or gets it."""
    study = standing_by_id(connection, row.study_id)
    return study.state in _SENDS_AGAIN and is_of_newest_result(connection, row.delivery_id)


def _send_again(connection: Connection, row: AnyRow, words: str, *, at: datetime) -> None:
    """Let the kept copy be sent again, as soon as the outbox looks."""
    _change(connection, row, state=Keeping.RESENDING, resends=row.resends + 1, words=words)
    waiting = {"state": Progress.WAITING, "tries": 0, "created_at": at, "next_try_at": at, "settled_at": None}
    connection.execute(update(Delivery).where(Delivery.id == row.delivery_id).values(**waiting))
    why = f"not kept by the destination: {words}; sent again"
    move(connection, standing_by_id(connection, row.study_id), Event.NOT_KEPT, why=why, at=at)


def _fail(connection: Connection, row: AnyRow, words: str, *, at: datetime) -> None:
    """The destination has the object no longer, and nothing that the node does changes that."""
    _change(connection, row, state=Keeping.FAILED, settled_at=at, words=words)
    status = f"taken, but not kept by the destination: {words}"
    failed = {"state": Progress.FAILED, "settled_at": at, "last_status": status}
    connection.execute(update(Delivery).where(Delivery.id == row.delivery_id).values(**failed))
    study = move(connection, standing_by_id(connection, row.study_id), Event.NOT_KEPT, why=status, at=at)
    if study.state is State.SENDING:
        move(connection, study, Event.DELIVERY_GAVE_UP, why=status, at=at)


def _settle_if_done(connection: Connection, commitment_id: int) -> None:
    """Nothing more is expected once no object is pending; what is sent again is planned anew when it is delivered."""
    pending = exists().where(CommitmentObject.commitment_id == commitment_id, CommitmentObject.state == Keeping.PENDING)
    is_open = connection.execute(select(pending)).scalar_one()
    if not is_open:
        done = update(Commitment).where(Commitment.id == commitment_id)
        connection.execute(done.values(state=CommitmentState.SETTLED))


def _change(connection: Connection, row: AnyRow, **values: object) -> None:
    connection.execute(update(CommitmentObject).where(CommitmentObject.delivery_id == row.delivery_id).values(**values))


def is_reported(connection: Connection, transaction_uid: str) -> bool:
    """Whether the report of this transaction came."""
    wanted = select(CommitmentTransaction.reported_at)
    reported_at = connection.execute(
        wanted.where(CommitmentTransaction.transaction_uid == transaction_uid)
    ).scalar_one_or_none()
    return reported_at is not None
