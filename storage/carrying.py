"""Associations that carry studies: what the listener knows and the worker needs."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, or_, select, update

from storage.evidence_records import CarryingAssociation
from storage.lifecycle import State
from storage.models import Study, StudyAssociation
from storage.records import ReceivedInstance
from storage.wake import Topic, notify

_KEPT_FOR = timedelta(days=1)
"""An association that ended longer ago says nothing about a study that is being received: the cap is shorter."""


def note_carried(
    connection: Connection, batch: Sequence[ReceivedInstance], *, study_ids: dict[str, int], at: datetime
) -> None:
    """Remember which associations carried which studies: one row for both, however many instances."""
    carried = {(one.association, study_ids[one.study_instance_uid]): one for one in batch if one.association}
    if not carried:
        return
    associations = {association for association, _ in carried}
    known = connection.execute(
        select(StudyAssociation.association, StudyAssociation.study_id).where(
            StudyAssociation.association.in_(associations)
        )
    )
    for key in known:
        carried.pop((key.association, key.study_id), None)
    rows = [
        {"association": association, "study_id": study_id, "calling_aet": one.calling_aet}
        | {"opened_at": at, "seen_at": at, "was_released": False}
        for (association, study_id), one in carried.items()
    ]
    if rows:
        connection.execute(insert(StudyAssociation), rows)


def of_receiving_studies(connection: Connection) -> tuple[CarryingAssociation, ...]:
    """Those that are open, or ended since the study opened or since its last instance; the oldest first."""
    ended_at = StudyAssociation.ended_at
    rows = connection.execute(
        select(StudyAssociation, Study.study_instance_uid)
        .join(Study, Study.id == StudyAssociation.study_id)
        .where(
            Study.state == State.RECEIVING,
            # Instances that came while the study was being analysed open it when the attempt ends.
            or_(ended_at.is_(None), ended_at >= Study.opened_at, ended_at >= Study.last_instance_at),
        )
        .order_by(StudyAssociation.opened_at)
    )
    return tuple(
        CarryingAssociation(
            association=row.association,
            study_instance_uid=row.study_instance_uid,
            calling_aet=row.calling_aet,
            seen_at=row.seen_at,
            ended_at=row.ended_at,
            was_released=row.was_released,
        )
        for row in rows
    )


def keep(connection: Connection, associations: Sequence[str], *, at: datetime) -> None:
    """Say that these associations are open still; forget those that ended long ago."""
    is_kept = StudyAssociation.association.in_(associations)
    connection.execute(update(StudyAssociation).where(is_kept, StudyAssociation.ended_at.is_(None)).values(seen_at=at))
    connection.execute(delete(StudyAssociation).where(StudyAssociation.ended_at < at - _KEPT_FOR))


def end(connection: Connection, association: str, *, was_released: bool, at: datetime) -> None:
    """Say that an association ended, and whether as it should."""
    is_it = StudyAssociation.association == association
    connection.execute(update(StudyAssociation).where(is_it).values(ended_at=at, was_released=was_released))
    notify(connection, Topic.STUDIES)


def end_all(connection: Connection, prefix: str, *, at: datetime) -> None:
    """End everything that is open and whose name begins so; none of it was released."""
    is_meant = StudyAssociation.association.startswith(prefix, autoescape=True)
    is_open = StudyAssociation.ended_at.is_(None)
    connection.execute(update(StudyAssociation).where(is_open, is_meant).values(ended_at=at))
