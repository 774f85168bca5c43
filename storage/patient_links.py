"""Who is who, as administrators say it: merges of patients, studies assigned to a patient."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from storage.database import AnyRow, AnySelect
from storage.errors import (
    AlreadyMergedError,
    NotAssignedError,
    NotMergedError,
    SamePatientError,
    UnknownPatientError,
    UnknownStudyError,
)
from storage.identity import contradicting_demographics
from storage.life import standing_of
from storage.link_models import PatientMerge, StudyAssignment
from storage.models import Patient, Study
from storage.records import Contradiction, Demographics, PatientKey
from storage.waived import is_waived, keep_waived, waived_by_merges

_PATIENT_KEYS: BindParameter[list[int]] = bindparam("patient_keys", expanding=True)

_STANDING_MERGES = select(
    PatientMerge.id, PatientMerge.one_key, PatientMerge.other_key, PatientMerge.although_contradicting
).where(
    or_(PatientMerge.one_key.in_(_PATIENT_KEYS), PatientMerge.other_key.in_(_PATIENT_KEYS)),
    PatientMerge.undone_at.is_(None),
)
_STANDING_ASSIGNMENTS = select(
    StudyAssignment.id, StudyAssignment.study_id, StudyAssignment.patient_key, StudyAssignment.although_contradicting
).where(StudyAssignment.patient_key.in_(_PATIENT_KEYS), StudyAssignment.undone_at.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Where an administrator put a study."""

    assignment_id: int
    patient_key: int
    although_contradicting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Every patient that is one person with another."""

    keys: frozenset[int]
    """Primary keys of patients."""
    unconfirmed_keys: frozenset[int]
    """Those of them that belong together also without the merges that were made although something contradicted."""
    waiving_merges: frozenset[int]
    """Primary keys of those merges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Who says something, and when."""

    by: str
    at: datetime


def person_of(connection: Connection, patient_key: int, *, without_merge: int | None = None) -> Person:
    """The patient with all that were merged with them, over any number of steps.

    Args:
        connection: Within a transaction.
        patient_key: Primary key of the patient.
        without_merge: Primary key of a merge that is left out, to see whom it joins.
    """
    merges: dict[int, AnyRow] = {}
    reached, fresh = {patient_key}, {patient_key}
    while fresh:
        rows = connection.execute(_STANDING_MERGES, {"patient_keys": list(fresh)})
        merges |= {row.id: row for row in rows if row.id != without_merge}
        fresh = {key for row in merges.values() for key in (row.one_key, row.other_key)} - reached
        reached |= fresh
    waiving = {merge_id for merge_id, row in merges.items() if row.although_contradicting}
    unconfirmed = [(row.one_key, row.other_key) for merge_id, row in merges.items() if merge_id not in waiving]
    return Person(
        keys=frozenset(reached),
        unconfirmed_keys=_connected(patient_key, unconfirmed),
        waiving_merges=frozenset(waiving),
    )


def assigned_to(connection: Connection, patient_keys: Collection[int]) -> dict[int, Assigned]:
    """The studies that were put to one of these patients, by primary key."""
    rows = connection.execute(_STANDING_ASSIGNMENTS, {"patient_keys": list(patient_keys)})
    return {
        row.study_id: Assigned(
            assignment_id=row.id, patient_key=row.patient_key, although_contradicting=row.although_contradicting
        )
        for row in rows
    }


def said_in(row: AnyRow) -> Demographics:
    """What a row of a query for studies says of the patient."""
    return Demographics(patient_name=row.patient_name, birth_date=row.birth_date, sex=row.sex)


def belongs_to_patients() -> ColumnElement[bool]:
    """Condition that the images of a study name one of :patient_keys, and that it was not assigned elsewhere."""
    return and_(Study.patient_key.in_(_PATIENT_KEYS), ~_is_assigned_elsewhere())


def belongs_or_was_assigned() -> ColumnElement[bool]:
    """The same, or that it is one of :assigned.

    These are listed, not asked for in the same statement: PostgreSQL then finds both sides of the OR by their indexes.
    """
    is_named = or_(Study.patient_key.in_(_PATIENT_KEYS), Study.id.in_(bindparam("assigned", expanding=True)))
    return and_(is_named, ~_is_assigned_elsewhere())


def _is_assigned_elsewhere() -> ColumnElement[bool]:
    return exists().where(
        StudyAssignment.study_id == Study.id,
        StudyAssignment.undone_at.is_(None),
        StudyAssignment.patient_key.not_in(_PATIENT_KEYS),
    )


def chosen_patient_key() -> ColumnElement[int]:
    """Primary key of the patient whom a study was assigned to, else of the one whom its images name."""
    standing = select(StudyAssignment.patient_key).where(
        StudyAssignment.study_id == Study.id, StudyAssignment.undone_at.is_(None)
    )
    return func.coalesce(standing.correlate(Study).scalar_subquery(), Study.patient_key)


def studies_of(
    connection: Connection, wanted: AnySelect, patient_keys: Collection[int], assigned: Collection[int]
) -> Sequence[AnyRow]:
    """Rows of a query for studies, of those that belong to the patients."""
    condition = belongs_or_was_assigned() if assigned else belongs_to_patients()
    values = {"patient_keys": list(patient_keys)} | ({"assigned": list(assigned)} if assigned else {})
    return connection.execute(wanted.where(condition), values).all()


def key_of(connection: Connection, patient: PatientKey) -> int:
    """Primary key of a patient.

    Raises:
        UnknownPatientError: The index has no such patient, or the patient has no ID.
    """
    wanted = select(Patient.id).where(Patient.patient_id == patient.patient_id, Patient.issuer == patient.issuer)
    key = connection.execute(wanted).scalar_one_or_none()
    if key is None or not patient.patient_id:
        raise UnknownPatientError
    return key


def contradictions_of_merge(connection: Connection, one: PatientKey, other: PatientKey) -> tuple[Contradiction, ...]:
    """What contradicts between the studies of two patients and of all that they were merged with.

    Raises:
        UnknownPatientError: The index does not have both.
    """
    keys = [key_of(connection, patient) for patient in (one, other)]
    standing = connection.execute(_merges_of(*keys)).one_or_none()
    without = standing.id if standing else None
    return _contradictions(*(_studies_of_person(connection, key, without_merge=without) for key in keys))


def contradictions_of_assignment(
    connection: Connection, study_instance_uid: str, patient: PatientKey
) -> tuple[Contradiction, ...]:
    """What contradicts between a study and the other studies of a patient.

    Raises:
        UnknownStudyError: The index has no such study.
        UnknownPatientError: It has no such patient.
    """
    row = connection.execute(select(Study).where(Study.study_instance_uid == study_instance_uid)).one_or_none()
    if row is None:
        raise UnknownStudyError(study_instance_uid)
    others = _studies_of_person(connection, key_of(connection, patient))
    others.pop(study_instance_uid, None)
    return _contradictions({study_instance_uid: said_in(row)}, others)


def merge(
    connection: Connection, one: PatientKey, other: PatientKey, *, although_contradicting: bool, said: Said
) -> tuple[Contradiction, ...]:
    """Note that two patients are one person; their rows stay as they are.

    Returns:
        What is waived with it, which is what contradicts now; nothing unless `although_contradicting`.

    Raises:
        SamePatientError: They are one already, by ID and issuer.
        AlreadyMergedError: This merge stands already, and waives all that contradicts.
        UnknownPatientError: The index does not have both.
    """
    if one == other:
        raise SamePatientError
    keys = (key_of(connection, one), key_of(connection, other))
    shown = contradictions_of_merge(connection, one, other) if although_contradicting else ()
    standing = connection.execute(_merges_of(*keys)).one_or_none()
    if standing and not (although_contradicting and _says_more(connection, standing, shown)):
        raise AlreadyMergedError
    if standing:
        _undo(connection, PatientMerge, standing.id, said)
    values = {"one_key": keys[0], "other_key": keys[1]} | _said_columns(said, although_contradicting)
    merge_id = connection.execute(insert(PatientMerge).values(values).returning(PatientMerge.id)).scalar_one()
    keep_waived(connection, shown, merge_id=merge_id)
    return shown


def unmerge(connection: Connection, one: PatientKey, other: PatientKey, *, said: Said) -> None:
    """Take a merge back; it stays in the list of what was said.

    Raises:
        NotMergedError: The two were not merged with each other.
        UnknownPatientError: The index does not have both.
    """
    standing = connection.execute(_merges_of(key_of(connection, one), key_of(connection, other))).one_or_none()
    if standing is None:
        raise NotMergedError
    _undo(connection, PatientMerge, standing.id, said)


def assign(
    connection: Connection, study_instance_uid: str, patient: PatientKey, *, although_contradicting: bool, said: Said
) -> tuple[Contradiction, ...]:
    """Note that a study belongs to a patient, in the place of what was said before.

    Returns:
        What is waived with it, which is what contradicts now; nothing unless `although_contradicting`.

    Raises:
        UnknownStudyError: The index has no such study.
        UnknownPatientError: It has no such patient.
    """
    study_id = standing_of(connection, study_instance_uid).study_id
    patient_key = key_of(connection, patient)
    shown = contradictions_of_assignment(connection, study_instance_uid, patient) if although_contradicting else ()
    _undo_assignment(connection, study_id, said)
    values = {"study_id": study_id, "patient_key": patient_key} | _said_columns(said, although_contradicting)
    made = connection.execute(insert(StudyAssignment).values(values).returning(StudyAssignment.id))
    keep_waived(connection, shown, assignment_id=made.scalar_one())
    return shown


def unassign(connection: Connection, study_instance_uid: str, *, said: Said) -> None:
    """Take an assignment back: the study belongs again to the patient that its images name.

    Raises:
        NotAssignedError: It was not assigned.
        UnknownStudyError: The index has no such study.
    """
    if not _undo_assignment(connection, standing_of(connection, study_instance_uid).study_id, said):
        raise NotAssignedError


def _connected(patient_key: int, pairs: Collection[tuple[int, int]]) -> frozenset[int]:
    """The patient and everyone whom a chain of pairs leads to."""
    reached, fresh = {patient_key}, {patient_key}
    while fresh:
        fresh = {key for pair in pairs if fresh.intersection(pair) for key in pair} - reached
        reached |= fresh
    return frozenset(reached)


def _merges_of(one_key: int, other_key: int) -> Select[Any]:
    keys = (one_key, other_key)
    return select(PatientMerge).where(
        PatientMerge.one_key.in_(keys), PatientMerge.other_key.in_(keys), PatientMerge.undone_at.is_(None)
    )


def _says_more(connection: Connection, standing: AnyRow, shown: Collection[Contradiction]) -> bool:
    """Whether a merge that waives what is shown says more than the one that stands."""
    waivers = waived_by_merges(connection, [standing.id])[standing.id]
    is_all_waived = all(is_waived(one.said, one.other_said, waivers) for one in shown)
    return not (standing.although_contradicting and is_all_waived)


def _studies_of_person(
    connection: Connection, patient_key: int, *, without_merge: int | None = None
) -> dict[str, Demographics]:
    keys = person_of(connection, patient_key, without_merge=without_merge).keys
    rows = studies_of(connection, select(Study).order_by(Study.id), keys, assigned_to(connection, keys))
    return {row.study_instance_uid: said_in(row) for row in rows}


def _contradictions(studies: dict[str, Demographics], others: dict[str, Demographics]) -> tuple[Contradiction, ...]:
    """Each contradiction once, with the first two studies that have it."""
    found: dict[tuple[Demographics, Demographics], Contradiction] = {}
    for uid, one in studies.items():
        for other_uid, other in others.items():
            attributes = contradicting_demographics(one, other)
            if attributes and (one, other) not in found:
                found[one, other] = Contradiction(
                    study_instance_uid=uid,
                    said=one,
                    other_study_instance_uid=other_uid,
                    other_said=other,
                    attributes=tuple(map(str, attributes)),
                )
    return tuple(found.values())


def _said_columns(said: Said, although_contradicting: bool) -> dict[str, Any]:
    return {"although_contradicting": although_contradicting, "made_by": said.by, "made_at": said.at}


def _undo(connection: Connection, table: type[PatientMerge], row_id: int, said: Said) -> None:
    connection.execute(update(table).where(table.id == row_id).values(undone_by=said.by, undone_at=said.at))


def _undo_assignment(connection: Connection, study_id: int, said: Said) -> bool:
    """Mark the standing assignment of a study; False when there is none."""
    undone = connection.execute(
        update(StudyAssignment)
        .where(StudyAssignment.study_id == study_id, StudyAssignment.undone_at.is_(None))
        .values(undone_by=said.by, undone_at=said.at)
    )
    return undone.rowcount > 0
