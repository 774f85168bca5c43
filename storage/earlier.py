"""Earlier studies of the person that a study is of."""

from datetime import timedelta

from sqlalchemy import Connection, and_, bindparam, select

from storage.database import AnyRow
from storage.errors import UnknownStudyError
from storage.link_models import StudyAssignment
from storage.models import Origin, Patient, Study
from storage.patient_links import Assigned, Person, assigned_to, belongs_or_was_assigned, belongs_to_patients, person_of
from storage.records import Demographics, PriorCandidate

_CURRENT = (
    select(
        Study.patient_key,
        Study.ct_acquired_at,
        Study.has_identity_conflict,
        Patient.patient_id,
        StudyAssignment.patient_key.label("assigned_key"),
        StudyAssignment.although_contradicting,
    )
    .join(Patient, Patient.id == Study.patient_key)
    .outerjoin(StudyAssignment, and_(StudyAssignment.study_id == Study.id, StudyAssignment.undone_at.is_(None)))
    .where(Study.study_instance_uid == bindparam("study_instance_uid"))
)
"""The statements are made once: to make them takes longer than to ask them."""

_EARLIER_OF_ANYBODY = (
    select(
        Study.id,
        Study.patient_key,
        Study.study_instance_uid,
        Study.ct_acquired_at,
        Study.patient_name,
        Study.birth_date,
        Study.sex,
        Study.state,
        Study.instance_count,
    )
    .where(
        Study.ct_acquired_at < bindparam("before"),
        Study.ct_acquired_at >= bindparam("since"),
        Study.has_identity_conflict.is_(False),
        Study.origin != Origin.FETCHING,
    )
    .order_by(Study.ct_acquired_at.desc())
)
_EARLIER = _EARLIER_OF_ANYBODY.where(belongs_to_patients())
_EARLIER_OR_ASSIGNED = _EARLIER_OF_ANYBODY.where(belongs_or_was_assigned())


def prior_candidates(
    connection: Connection, study_instance_uid: str, *, maximum_age_days: float
) -> tuple[PriorCandidate, ...]:
    """Earlier CT studies of the same person, newest first: under the same patient ID and issuer, or merged or assigned.

    There are none for a patient without an ID, for a study without CT or acquisition date, and for studies in which two
    patients are mixed.

    Raises:
        UnknownStudyError: The index has no such study.
    """
    current = _study_row(connection, study_instance_uid)
    has_patient = bool(current.patient_id) or current.assigned_key is not None
    if not has_patient or current.ct_acquired_at is None or current.has_identity_conflict:
        return ()
    person = person_of(connection, current.assigned_key or current.patient_key)
    assigned = assigned_to(connection, person.keys)
    values = {
        "patient_keys": list(person.keys),
        "since": current.ct_acquired_at - timedelta(days=maximum_age_days),
        "before": current.ct_acquired_at,
    }
    if assigned:
        rows = connection.execute(_EARLIER_OR_ASSIGNED, values | {"assigned": list(assigned)})
    else:
        rows = connection.execute(_EARLIER, values)
    is_sure = bool(current.although_contradicting)
    return tuple(_candidate(row, person, assigned.get(row.id), is_sure=is_sure) for row in rows)


def _study_row(connection: Connection, study_instance_uid: str) -> AnyRow:
    """The study with its patient ID, and where an administrator put it."""
    row = connection.execute(_CURRENT, {"study_instance_uid": study_instance_uid}).one_or_none()
    if row is None:
        raise UnknownStudyError(study_instance_uid)
    return row


def _candidate(row: AnyRow, person: Person, assigned: Assigned | None, *, is_sure: bool) -> PriorCandidate:
    patient_key = assigned.patient_key if assigned else row.patient_key
    was_assigned_surely = assigned is not None and assigned.although_contradicting
    return PriorCandidate(
        study_instance_uid=row.study_instance_uid,
        acquired_at=row.ct_acquired_at,
        demographics=Demographics(patient_name=row.patient_name, birth_date=row.birth_date, sex=row.sex),
        state=row.state,
        instance_count=row.instance_count,
        is_confirmed=is_sure or was_assigned_surely or patient_key not in person.unconfirmed_keys,
    )
