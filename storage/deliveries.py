"""Results and their way to the destinations."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from storage.database import AnyRow
from storage.errors import NothingToSendError
from storage.life import Standing, move, standing_by_id, standing_of
from storage.lifecycle import Event, State
from storage.models import Delivery, Progress, Result, ResultObject, Study
from storage.records import Claim, DueDelivery, ResultFile

SENT_BY_NOW = frozenset({State.PROCESSED, State.SENDING})
"""States in which the outcome of a delivery moves the study."""


def store_result(
    connection: Connection, study: Standing, claim: Claim, *, files: Sequence[ResultFile], at: datetime
) -> int:
    """Put a result set into the index; older objects that are not delivered yet are superseded by the caller."""
    values = {"study_id": study.study_id, "attempt_id": claim.attempt_id, "revision": claim.revision, "created_at": at}
    result_id = connection.execute(insert(Result).values(values).returning(Result.id)).scalar_one()
    if files:
        connection.execute(insert(ResultObject), [_columns_from_file(file, result_id) for file in files])
    return result_id


def plan_deliveries(
    connection: Connection, study: Standing, result_id: int, *, destinations: Sequence[str], at: datetime
) -> None:
    """Make a delivery of each DICOM object of the result for each destination that has none of it yet."""
    objects = connection.execute(
        select(ResultObject.id)
        .where(ResultObject.result_id == result_id, ResultObject.sop_class_uid != "")
        .order_by(ResultObject.id)
    )
    wanted = [(row.id, destination) for row in objects for destination in dict.fromkeys(destinations)]
    there = connection.execute(
        select(Delivery.result_file_id, Delivery.destination)
        .join(ResultObject, ResultObject.id == Delivery.result_file_id)
        .where(ResultObject.result_id == result_id)
    )
    missing = set(wanted) - {(row.result_file_id, row.destination) for row in there}
    rows = [_new_delivery(study, pair, at=at) for pair in wanted if pair in missing]
    if rows:
        connection.execute(insert(Delivery), rows)


def due(connection: Connection, *, destination: str, limit: int, at: datetime) -> tuple[DueDelivery, ...]:
    """Deliveries to a destination whose time has come, longest due first."""
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
        .where(Delivery.state == Progress.WAITING, Delivery.destination == destination, Delivery.next_try_at <= at)
        .order_by(Delivery.next_try_at, Delivery.id)
        .limit(limit)
    )
    return tuple(
        DueDelivery(
            delivery_id=row.delivery_id,
            study_instance_uid=row.study_instance_uid,
            destination=destination,
            file=file_from_row(row),
            tries=row.tries,
            created_at=row.created_at,
        )
        for row in rows
    )


def note_delivered(connection: Connection, delivery_id: int, *, status: str, at: datetime) -> None:
    """The destination has the object; this holds also for one that was superseded while it was under way."""
    values = {"state": Progress.DELIVERED, "settled_at": at}
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


def resend(connection: Connection, study_instance_uid: str, *, destinations: Sequence[str], at: datetime) -> State:
    """Send the newest result again, also to destinations that did not exist when it was made.

    Raises:
        NothingToSendError: There is no result, or nobody to send it to.
    """
    study = standing_of(connection, study_instance_uid)
    result_id = _newest_result_id(connection, study)
    moved = move(connection, study, Event.RESENT, why="an operator asked to send the result again", at=at)
    again = {"state": Progress.WAITING, "next_try_at": at, "created_at": at, "tries": 0, "settled_at": None}
    of_result = select(ResultObject.id).where(ResultObject.result_id == result_id)
    sent_again = connection.execute(update(Delivery).where(Delivery.result_file_id.in_(of_result)).values(**again))
    plan_deliveries(connection, study, result_id, destinations=destinations, at=at)
    if not sent_again.rowcount and not _progress_of(connection, study.study_id):
        raise NothingToSendError
    return moved.state


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


def _new_delivery(study: Standing, pair: tuple[int, str], *, at: datetime) -> dict[str, Any]:
    result_file_id, destination = pair
    return {
        "study_id": study.study_id,
        "result_file_id": result_file_id,
        "destination": destination,
        "state": Progress.WAITING,
        "tries": 0,
        "created_at": at,
        "next_try_at": at,
        "last_status": "",
    }


def _note_try(
    connection: Connection, delivery_id: int, *, status: str, values: dict[str, Any], states: Sequence[Progress]
) -> None:
    """Count a try; what it changes is changed only in the given states."""
    of_id = Delivery.id == delivery_id
    connection.execute(update(Delivery).where(of_id).values(tries=Delivery.tries + 1, last_status=status))
    connection.execute(update(Delivery).where(of_id, Delivery.state.in_(states)).values(**values))


def _follow(connection: Connection, delivery_id: int, *, why: str, at: datetime) -> None:
    """Move the study after a try of one of its deliveries, unless it went elsewhere meanwhile."""
    study_id = connection.execute(select(Delivery.study_id).where(Delivery.id == delivery_id)).scalar_one()
    study = standing_by_id(connection, study_id)
    if study.state not in SENT_BY_NOW:
        return
    if study.state is State.PROCESSED:
        study = move(connection, study, Event.SENDING_STARTED, why="the first object was sent", at=at)
    progress = _progress_of(connection, study_id)
    if Progress.FAILED in progress:
        move(connection, study, Event.DELIVERY_GAVE_UP, why=why, at=at)
    elif Progress.WAITING not in progress:
        move(connection, study, Event.ALL_DELIVERED, why="every destination has every object", at=at)


def _progress_of(connection: Connection, study_id: int) -> set[Progress]:
    rows = connection.execute(select(Delivery.state).where(Delivery.study_id == study_id).distinct())
    return set(rows.scalars())


def _newest_result_id(connection: Connection, study: Standing) -> int:
    newest = select(Result.id).where(Result.study_id == study.study_id).order_by(Result.revision.desc()).limit(1)
    result_id = connection.execute(newest).scalar_one_or_none()
    if result_id is None:
        raise NothingToSendError
    return result_id
