"""Earlier studies of the person that a study is of."""

from datetime import timedelta

from sqlalchemy import Connection, select

from storage.database import AnyRow
from storage.errors import UnknownStudyError
from storage.models import Patient, Study
from storage.patient_links import Assigned, Person, assigned_to, assignment_of, belongs_to, person_of
from storage.records import Demographics, PriorCandidate


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
    assigned = assignment_of(connection, current.id)
    has_patient = bool(current.patient_id) or assigned is not None
    if not has_patient or current.ct_acquired_at is None or current.has_identity_conflict:
        return ()
    person = person_of(connection, assigned.patient_key if assigned else current.patient_key)
    assigned_studies = assigned_to(connection, person.keys)
    rows = connection.execute(
        select(Study)
        .where(
            belongs_to(person.keys, assigned_studies),
            Study.ct_acquired_at < current.ct_acquired_at,
            Study.ct_acquired_at >= current.ct_acquired_at - timedelta(days=maximum_age_days),
            Study.has_identity_conflict.is_(False),
        )
        .order_by(Study.ct_acquired_at.desc())
    )
    is_sure = assigned is not None and assigned.although_contradicting
    return tuple(_candidate(row, person, assigned_studies.get(row.id), is_sure=is_sure) for row in rows)


def _study_row(connection: Connection, study_instance_uid: str) -> AnyRow:
    wanted = select(Study, Patient.patient_id).join(Patient, Patient.id == Study.patient_key)
    row = connection.execute(wanted.where(Study.study_instance_uid == study_instance_uid)).one_or_none()
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
