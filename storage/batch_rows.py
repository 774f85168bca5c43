"""Runs over studies of an archive as rows, within a transaction."""

from dataclasses import fields
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, update

from storage.batch_models import Batch, BatchFinding, BatchStudy
from storage.batch_records import ENDS, BatchFindings, BatchLine, BatchPlan, BatchStudyState, BatchView
from storage.database import AnyRow
from storage.models import Study

LINES = select(BatchStudy, BatchFinding).outerjoin(BatchFinding, BatchFinding.batch_study_id == BatchStudy.id)
"""Studies of runs, with what was found in them."""
_HOUR = timedelta(hours=1)
_HAD_ALL = (BatchStudyState.ANALYSED, BatchStudyState.REFUSED)


def is_of_batch() -> ColumnElement[bool]:
    """Whether a run is the reason why the study of the statement around it is analysed."""
    return exists().where(BatchStudy.study_instance_uid == Study.study_instance_uid, BatchStudy.is_own)


def is_to_be_noted() -> ColumnElement[bool]:
    """Whether a run has yet to note how the study of the statement around it ended."""
    here = BatchStudy.study_instance_uid == Study.study_instance_uid
    return exists().where(here, BatchStudy.state == BatchStudyState.ANALYSING)


def own_batch_of(connection: Connection, study_instance_uid: str) -> int | None:
    """Number of the newest run that is the reason why the study is analysed; None for a study that came by itself."""
    own = (BatchStudy.study_instance_uid == study_instance_uid, BatchStudy.is_own)
    return connection.execute(select(func.max(BatchStudy.batch_id)).where(*own)).scalar_one()


def is_kept_here(connection: Connection, study_instance_uid: str) -> bool:
    """Whether no result of the study is sent: runs are the reason why it is analysed, and none of them sends."""
    own = (BatchStudy.study_instance_uid == study_instance_uid, BatchStudy.is_own)
    delivers = select(Batch.delivers).join(BatchStudy, BatchStudy.batch_id == Batch.id).where(*own)
    said = connection.execute(delivers).scalars().all()
    return bool(said) and not any(said)


def forget_ended(connection: Connection, study_instance_uid: str) -> None:
    """Runs that are through with a study that was deleted are not the reason why it is here again."""
    ended = (BatchStudy.study_instance_uid == study_instance_uid, BatchStudy.is_own, BatchStudy.state.in_(ENDS))
    connection.execute(update(BatchStudy).where(*ended).values(is_own=False))


def leave(connection: Connection, study_instance_uid: str, *, asked_before: datetime) -> bool:
    """Make a study of runs one as any other, unless images of it may still come because one of them asked.

    A run that is through with the study had all of it here, as the PACS counts: nothing more comes for that one. Of any
    other what it asked for comes until `asked_before`.

    Returns:
        Whether runs were the reason why it is analysed, and are so no more.
    """
    own = (BatchStudy.study_instance_uid == study_instance_uid, BatchStudy.is_own)
    is_awaited = and_(BatchStudy.state.not_in(_HAD_ALL), BatchStudy.asked_at > asked_before)
    if connection.execute(select(exists().where(*own, is_awaited))).scalar_one():
        return False
    return bool(connection.execute(update(BatchStudy).where(*own).values(is_own=False)).rowcount)


def view_from_row(connection: Connection, row: AnyRow, *, at: datetime) -> BatchView:
    """A run with its counts."""
    counted = select(BatchStudy.state, func.count().label("studies")).where(BatchStudy.batch_id == row.id)
    asked = select(func.count()).where(BatchStudy.batch_id == row.id, BatchStudy.asked_at > at - _HOUR)
    return BatchView(
        number=row.id,
        state=row.state,
        created_at=row.created_at,
        plan=BatchPlan(
            name=row.name,
            peer=row.peer,
            delivers=row.delivers,
            in_flight=row.in_flight,
            per_hour=row.per_hour,
            hours=row.hours,
        ),
        studies={one.state: one.studies for one in connection.execute(counted.group_by(BatchStudy.state))},
        asked_in_last_hour=connection.execute(asked).scalar_one(),
        next_try_at=row.next_try_at,
        failures=row.failures,
        words=row.words,
    )


def line_from_row(row: AnyRow) -> BatchLine:
    """A study of a run, of a row of `LINES`."""
    return BatchLine(
        number=row.batch_id,
        study_instance_uid=row.study_instance_uid,
        study_date=row.study_date,
        state=row.state,
        tries=row.tries,
        asked_at=row.asked_at,
        ended_at=row.ended_at,
        words=row.words,
        findings=_findings_from_row(row),
    )


def _findings_from_row(row: AnyRow) -> BatchFindings | None:
    if row.batch_study_id is None:
        return None
    return BatchFindings(**{field.name: getattr(row, field.name) for field in fields(BatchFindings)})
