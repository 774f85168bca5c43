"""Puts further instances of series that are being received into the index, in three statements.

This is what happens nearly always: nothing changes but the counts of a study. Whatever is not as plain as that is left
to `storage.receiving`, which decides.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Protocol

from sqlalchemy import Connection, bindparam, exists, insert, inspect, select, update
from sqlalchemy.engine import Dialect

from storage.acquired import acquired_columns
from storage.database import AnyRow, DriverConnection
from storage.instance_rows import DEMOGRAPHICS, instance_columns
from storage.lifecycle import State
from storage.models import Instance, Patient, ResultObject, Series, Study, StudyAssociation, Use
from storage.prepared import Prepared, PreparedSelect, Values
from storage.records import ReceivedInstance, Recorded

_DESCRIBING = {"accession_number": "accession_number", "description": "study_description"}
"""Columns of a study that an instance fills where they are empty, by what the instance calls them."""

_STANDING = (
    select(
        Study.id.label("study_id"),
        Series.id.label("series_id"),
        Study.patient_key,
        Patient.patient_id,
        Patient.issuer,
        *(getattr(Study, column) for column in (*DEMOGRAPHICS, *_DESCRIBING)),
        Study.state,
        Study.has_late_instances,
        Study.has_identity_conflict,
        Study.instance_count,
        Study.last_instance_at,
        Study.acquired_at,
        Study.ct_acquired_at,
        Study.acquired_offset_minutes,
        exists()
        .where(Instance.series_id == Series.id, Instance.sop_instance_uid == bindparam("sop"))
        .label("is_known"),
        exists().where(ResultObject.sop_instance_uid == bindparam("sop")).label("is_own_result"),
        exists()
        .where(StudyAssociation.association == bindparam("association"), StudyAssociation.study_id == Study.id)
        .label("is_carried"),
    )
    .join(Series, Series.study_id == Study.id)
    .join(Patient, Patient.id == Study.patient_key)
    .where(Study.study_instance_uid == bindparam("study"), Series.series_instance_uid == bindparam("series"))
    .with_for_update(of=Study)
)
_INSERT = insert(Instance)
_UPDATE = (
    update(Study)
    .where(Study.id == bindparam("study"))
    .values(
        instance_count=bindparam("count"),
        last_instance_at=bindparam("last_at"),
        acquired_at=bindparam("first_acquired_at"),
        ct_acquired_at=bindparam("first_ct_acquired_at"),
        acquired_offset_minutes=bindparam("first_acquired_offset_minutes"),
    )
)


class Statements(Protocol):
    """Runs the three statements in a transaction that writes."""

    def standings(self, keys: Sequence[Values]) -> Sequence[AnyRow | None]:
        """What the index knows about each instance and its study."""

    def insert(self, rows: Sequence[Values]) -> None:
        """Add instances."""

    def update(self, counts: Values) -> None:
        """Say what a study has now."""


class StatementsOnConnection:
    """As SQLAlchemy runs them."""

    def __init__(self, connection: Connection) -> None:
        """Run them in the transaction of the connection."""
        self._connection = connection

    def standings(self, keys: Sequence[Values]) -> Sequence[AnyRow | None]:
        """See Statements."""
        return [self._connection.execute(_STANDING, one).one_or_none() for one in keys]

    def insert(self, rows: Sequence[Values]) -> None:
        """See Statements."""
        self._connection.execute(_INSERT, rows)

    def update(self, counts: Values) -> None:
        """See Statements."""
        self._connection.execute(_UPDATE, counts)


class StatementsOfDriver:
    """Prepared, and run by the driver."""

    def __init__(self, connection: DriverConnection, dialect: Dialect) -> None:
        """Run them in the transaction of the connection."""
        self._connection = connection
        self._standing, self._insert, self._update = _prepared(dialect)

    def standings(self, keys: Sequence[Values]) -> Sequence[AnyRow | None]:
        """See Statements; all are asked for before the first answer is waited for."""
        cursors = [self._connection.cursor() for _ in keys]
        for cursor, one in zip(cursors, keys, strict=True):
            self._standing.ask(cursor, one)
        return [self._standing.answer(cursor) for cursor in cursors]

    def insert(self, rows: Sequence[Values]) -> None:
        """See Statements."""
        self._insert.run_for_each(self._connection.cursor(), rows)

    def update(self, counts: Values) -> None:
        """See Statements."""
        self._update.run(self._connection.cursor(), counts)


@cache
def _prepared(dialect: Dialect) -> tuple[PreparedSelect, Prepared, Prepared]:
    columns = [column.name for column in inspect(Instance).columns if not column.primary_key]
    return (
        PreparedSelect(_STANDING, dialect),
        Prepared(_INSERT.inline(), dialect, columns=columns),
        Prepared(_UPDATE, dialect),
    )


def record_further(statements: Statements, batch: Sequence[ReceivedInstance]) -> tuple[Recorded, ...] | None:
    """Store a batch, if every instance of it is a plain further one; None and nothing written if one is not."""
    if len({instance.sop_instance_uid for instance in batch}) < len(batch):
        return None
    in_order = sorted(batch, key=lambda one: one.study_instance_uid)
    standings: dict[str, AnyRow] = {}
    for instance, row in zip(in_order, statements.standings([_keys(one) for one in in_order]), strict=True):
        if row is None or not (_is_new(row, instance) and _says_the_same(row, instance)):
            return None
        standings[instance.sop_instance_uid] = row
    pairs = [(standings[instance.sop_instance_uid], instance) for instance in batch]
    statements.insert([_row(standing, instance) for standing, instance in pairs])
    by_study: defaultdict[int, list[tuple[AnyRow, ReceivedInstance]]] = defaultdict(list)
    for standing, instance in pairs:
        by_study[standing.study_id].append((standing, instance))
    for of_study in by_study.values():
        statements.update(_counts(of_study[0][0], [instance for _, instance in of_study]))
    return (Recorded.NEW,) * len(batch)


def _keys(instance: ReceivedInstance) -> dict[str, str]:
    return {
        "study": instance.study_instance_uid,
        "series": instance.series_instance_uid,
        "sop": instance.sop_instance_uid,
        "association": instance.association,
    }


def _is_new(row: AnyRow, instance: ReceivedInstance) -> bool:
    """Whether it is used, and moves its study nowhere."""
    is_receiving = row.state is State.RECEIVING and not (row.has_late_instances or row.has_identity_conflict)
    is_used = not (row.is_known or row.is_own_result or instance.is_of_our_make)
    return is_receiving and is_used and (row.is_carried or not instance.association)


def _says_the_same(row: AnyRow, instance: ReceivedInstance) -> bool:
    """Whether it is of the study's patient beyond doubt, and tells nothing that the study does not know."""
    if (row.patient_id, row.issuer) != (instance.patient.patient_id, instance.patient.issuer):
        return False
    if any(getattr(instance, column) not in {"", getattr(row, column)} for column in DEMOGRAPHICS):
        return False
    return all(getattr(row, column) or not getattr(instance, said) for column, said in _DESCRIBING.items())


def _row(standing: AnyRow, instance: ReceivedInstance) -> dict[str, object]:
    placed = {"series_id": standing.series_id, "copy": 0, "use": Use.USED, "patient_key": standing.patient_key}
    return placed | instance_columns(instance)


def _counts(standing: AnyRow, instances: Sequence[ReceivedInstance]) -> dict[str, object]:
    return {
        "study": standing.study_id,
        "count": standing.instance_count + len(instances),
        "last_at": max([standing.last_instance_at, *(instance.received_at for instance in instances)]),
        **{f"first_{name}": value for name, value in acquired_columns(standing, instances).items()},
    }
