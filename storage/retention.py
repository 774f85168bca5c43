"""Which studies may be deleted, and how one is deleted so that no crash leaves half of it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, Table, case, delete, exists, func, or_, select

from storage.batch_rows import is_to_be_noted
from storage.commitment_models import Commitment
from storage.commitment_records import CommitmentState
from storage.database import AnyRow, reading, writing
from storage.errors import DiskError
from storage.failpoints import reach
from storage.fetch_models import FoundPrior, PriorFetch
from storage.fetch_records import FoundState
from storage.lifecycle import State
from storage.link_models import StudyAssignment
from storage.models import Base, Delivery, Instance, Notice, Origin, Patient, Progress, Result, Series, Study
from storage.patient_links import person_of
from storage.removal_notes import NotedFile, noted_files, plan_removal
from storage.removals import AGAIN_AFTER, is_as_received, note_removal

DONE = frozenset({State.DELIVERED, State.PROCESSED, State.SKIPPED})
"""Nothing more happens to a study by itself."""
FAILED = frozenset({State.PIPELINE_FAILED, State.DELIVERY_FAILED})
"""Somebody may want to look at it."""


_ENDED = DONE | FAILED
_LAST_AT = case((Study.last_instance_at > Study.state_since, Study.last_instance_at), else_=Study.state_since)
_SIZE = (
    select(func.coalesce(func.sum(Instance.size_bytes), 0))
    .join(Series, Series.id == Instance.series_id)
    .where(Series.study_id == Study.id)
    .correlate(Study)
    .scalar_subquery()
)
_IS_UNSENT = exists().where(Delivery.study_id == Study.id, Delivery.state == Progress.WAITING)
_IS_UNCOMMITTED = exists().where(
    Result.study_id == Study.id, Commitment.result_id == Result.id, Commitment.state != CommitmentState.SETTLED
)
_IS_FETCHING = exists().where(
    PriorFetch.study_id == Study.id, or_(PriorFetch.settled_at.is_(None), PriorFetch.rerun_due.is_(True))
)
_IS_FETCHED_STILL = exists().where(
    FoundPrior.study_instance_uid == Study.study_instance_uid,
    PriorFetch.id == FoundPrior.fetch_id,
    or_(FoundPrior.state == FoundState.FETCHING, PriorFetch.settled_at.is_(None)),
)
_ASSIGNED_KEY = (
    select(func.max(StudyAssignment.patient_key))
    .where(StudyAssignment.study_id == Study.id, StudyAssignment.undone_at.is_(None))
    .correlate(Study)
    .scalar_subquery()
)
_CANDIDATES = select(
    Study.id,
    Study.study_instance_uid,
    Study.patient_key,
    _ASSIGNED_KEY.label("assigned_key"),
    Study.state,
    Study.origin,
    _LAST_AT.label("last_at"),
    _SIZE.label("size_bytes"),
    _IS_UNSENT.label("is_unsent"),
    _IS_UNCOMMITTED.label("is_uncommitted"),
    _IS_FETCHING.label("is_fetching"),
    _IS_FETCHED_STILL.label("is_fetched_still"),
).where(Study.state.in_(_ENDED), ~is_to_be_noted())
_UNSENT = "not everything that was made of it was taken by its destinations"
_UNCOMMITTED = "a destination did not say yet whether it keeps the results"
_FETCHING = "earlier studies are still fetched for it"
_FETCHED_STILL = "a search for earlier studies that found it is not over"
_NEEDED = "another study of the same person is on its way and may be compared with it"


@dataclass(frozen=True, slots=True, kw_only=True)
class OldStudy:
    """A study that could be deleted."""

    study_id: int
    study_instance_uid: str
    state: State
    was_fetched: bool
    """Whether it is an earlier study that the node got from a PACS itself, whole or in part."""
    last_at: datetime
    """When the last thing happened to it: an instance, a step, the end of a delivery."""
    size_bytes: int
    """Of its received objects."""
    kept_because: str
    """Why it is not deleted whatever its age; empty where nothing speaks against it."""


def old_studies(engine: Engine, *, before: datetime) -> tuple[OldStudy, ...]:
    """Studies that are done or failed, to which nothing happened since, the oldest first."""
    with reading(engine) as connection:
        waiting = _patients_with_work(connection)
        rows = connection.execute(_CANDIDATES.where(before > _LAST_AT).order_by(_LAST_AT, Study.id)).all()
        return tuple(_old_study(row, waiting) for row in rows)


def delete_study(
    engine: Engine, old: OldStudy, *, data_dir: Path, results_folder: Callable[[str], Path], at: datetime
) -> bool:
    """Delete the rows of a study, and note its files; `remove_files` removes those.

    The note on disk is there before the rows go: should the index be lost then, it alone says what was to be removed.
    A file that came again since its row was written is not in it, and is looked at later: a listener may have put it in
    its place just now, and may be about to write its row.

    Args:
        engine: Of the index.
        old: As it was listed.
        data_dir: That holds the files.
        results_folder: Where the result sets of a study lie, by its UID.
        at: Now, aware UTC.

    Returns:
        False where something happened to the study since it was listed: nothing is deleted then.

    Raises:
        StorageError: Disk or index refuse: nothing is deleted.
    """
    with writing(engine) as connection:
        if old.kept_because or not _is_still(connection, old):
            return False
        received = _received_files(connection, old.study_id, data_dir)
        meant = [file for file, received_at in received.items() if is_as_received(file, received_at)]
        came_again = received.keys() - set(meant)
        meant += noted_files(data_dir, [results_folder(old.study_instance_uid)])
        patients = _patients_of(connection, old.study_id)
        note = plan_removal(data_dir, meant)
        reach("retention.planned")
        for file in meant:
            note_removal(connection, file, at=at)
        for file in came_again:
            note_removal(connection, file, at=at + AGAIN_AFTER)
        connection.execute(delete(Notice).where(Notice.study_instance_uid == old.study_instance_uid))
        _delete_with_dependents(connection, Base.metadata.tables[Study.__tablename__], Study.id == old.study_id)
        _forget_patients(connection, patients)
    reach("retention.rows_gone")
    # What is planned and done is confirmed before the next file goes.
    with suppress(DiskError):
        note.confirm()
    reach("retention.noted")
    return True


def _received_files(connection: Connection, study_id: int, data_dir: Path) -> dict[NotedFile, datetime]:
    """The files of a study that are there, each looked at once, with the instant at which its row says that it came."""
    rows = connection.execute(
        select(Instance.relative_path, Instance.received_at).join(Series).where(Series.study_id == study_id)
    )
    received_at = {row.relative_path: row.received_at for row in rows}
    return {file: received_at[file.path] for file in noted_files(data_dir, [data_dir / path for path in received_at])}


def _is_still(connection: Connection, old: OldStudy) -> bool:
    """Whether nothing happened to a study since it was listed; nothing does until the transaction ends.

    The listener writes beside this transaction where the database has row locks, so the study is locked in a statement
    of its own: the next one sees what those wrote that this one waited for.
    """
    connection.execute(select(Study.id).where(Study.id == old.study_id).with_for_update())
    row = connection.execute(_CANDIDATES.where(Study.id == old.study_id)).one_or_none()
    return row is not None and _old_study(row, _patients_with_work(connection)) == old


def _old_study(row: AnyRow, waiting: frozenset[int]) -> OldStudy:
    reasons = (
        (row.is_unsent, _UNSENT),
        (row.is_uncommitted, _UNCOMMITTED),
        (row.is_fetching, _FETCHING),
        (row.is_fetched_still, _FETCHED_STILL),
        (not waiting.isdisjoint({row.patient_key, row.assigned_key}), _NEEDED),
    )
    return OldStudy(
        study_id=row.id,
        study_instance_uid=row.study_instance_uid,
        state=row.state,
        was_fetched=row.origin is not Origin.RECEIVED,
        last_at=row.last_at,
        size_bytes=int(row.size_bytes),
        kept_because=next((words for holds, words in reasons if holds), ""),
    )


def _patients_with_work(connection: Connection) -> frozenset[int]:
    """Patients of whom a study is on its way, with all that they were merged with."""
    rows = connection.execute(select(Study.patient_key, _ASSIGNED_KEY).where(Study.state.not_in(_ENDED)).distinct())
    named = {key for row in rows for key in row if key is not None}
    return frozenset(key for one in named for key in person_of(connection, one).keys)


def _patients_of(connection: Connection, study_id: int) -> set[int]:
    """That the study, or any instance of it, names."""
    own = connection.execute(select(Study.patient_key).where(Study.id == study_id)).scalars()
    named = select(Instance.patient_key).join(Series).where(Series.study_id == study_id).distinct()
    return {*own, *connection.execute(named).scalars()}


def _delete_with_dependents(connection: Connection, table: Table, condition: ColumnElement[bool]) -> None:
    """Delete rows, and before them whatever refers to them, by the foreign keys of the index."""
    for other in Base.metadata.tables.values():
        for key in other.foreign_keys:
            if key.column.table is table:
                referring = key.parent.in_(select(key.column).where(condition))
                _delete_with_dependents(connection, other, referring)
    connection.execute(delete(table).where(condition))


def _forget_patients(connection: Connection, keys: set[int]) -> None:
    """Delete patients that nothing refers to any more."""
    own = Base.metadata.tables[Patient.__tablename__]
    # First locked, as the study: another one of the patient may be arriving.
    connection.execute(select(own.c.id).where(own.c.id.in_(keys)).order_by(own.c.id).with_for_update())
    referring = [
        exists().where(key.parent == own.c.id)
        for other in Base.metadata.tables.values()
        for key in other.foreign_keys
        if key.column.table is own
    ]
    connection.execute(delete(own).where(own.c.id.in_(keys), ~or_(*referring)))
