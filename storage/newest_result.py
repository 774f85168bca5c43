"""The newest result of a study: what becomes of older ones moves the study no more."""

from sqlalchemy import ColumnElement, Connection, ScalarSelect, exists, select
from sqlalchemy.orm import aliased

from storage.models import Delivery, Progress, Result, ResultObject


def newest_result_id(connection: Connection, study_id: int) -> int | None:
    """Key of the newest result of a study; None where it has none."""
    return connection.execute(select(_newest(study_id))).scalar_one()


def is_of_newest_result(connection: Connection, delivery_id: int) -> bool:
    """Whether the object of a delivery belongs to the newest result of its study."""
    row = connection.execute(
        select(Delivery.study_id, ResultObject.result_id)
        .join(ResultObject, ResultObject.id == Delivery.result_file_id)
        .where(Delivery.id == delivery_id)
    ).one()
    return bool(row.result_id == newest_result_id(connection, row.study_id))


def progress_of(connection: Connection, study_id: int) -> set[Progress]:
    """Where the deliveries of the newest result of a study stand."""
    rows = connection.execute(
        select(Delivery.state)
        .join(ResultObject, ResultObject.id == Delivery.result_file_id)
        .where(Delivery.study_id == study_id, ResultObject.result_id == _newest(study_id))
        .distinct()
    )
    return set(rows.scalars())


def is_newest_result() -> ColumnElement[bool]:
    """Whether a row of `Result` is the newest of its study."""
    newer = aliased(Result)
    return ~exists().where(newer.study_id == Result.study_id, newer.revision > Result.revision)


def _newest(study_id: int) -> ScalarSelect[int]:
    by_revision = select(Result.id).where(Result.study_id == study_id).order_by(Result.revision.desc())
    return by_revision.limit(1).scalar_subquery()
