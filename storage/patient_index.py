"""What administrators say about patients, kept in the index; every method is one transaction."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, Engine, select
from sqlalchemy.orm import aliased

from storage import patient_links
from storage.acquired import acquired_by_clock
from storage.database import reading, writing
from storage.link_models import PatientMerge, StudyAssignment
from storage.models import Patient, Study
from storage.patient_links import Said, assigned_to, person_of, studies_of
from storage.patient_records import AssignmentView, MergeView, PatientStudy, PatientView
from storage.records import Contradiction, Demographics, PatientKey
from storage.waived import waived_by_assignments, waived_by_merges


class PatientIndex:
    """Merges of patients and assignments of studies; nothing is ever deleted, only marked as undone."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime], by: str) -> None:
        """Use the database of the engine.

        Args:
            engine: Of `open_engine`, after `migrate`.
            now: The wall clock, aware UTC.
            by: Operator, kept with everything that is said.
        """
        self._engine = engine
        self._now = now
        self._by = by

    def close(self) -> None:
        """Close the connections; new ones are opened when it is used again."""
        self._engine.dispose()

    def contradictions_of_merge(self, one: PatientKey, other: PatientKey) -> tuple[Contradiction, ...]:
        """What contradicts between the studies of two patients."""
        with reading(self._engine) as connection:
            return patient_links.contradictions_of_merge(connection, one, other)

    def merge(self, one: PatientKey, other: PatientKey, *, although_contradicting: bool) -> tuple[Contradiction, ...]:
        """Note that two patients are one person; returns what is waived with it.

        Raises:
            IdentityError: They are one already, or the index does not have both.
        """
        with writing(self._engine) as connection:
            return patient_links.merge(
                connection, one, other, although_contradicting=although_contradicting, said=self._said()
            )

    def unmerge(self, one: PatientKey, other: PatientKey) -> None:
        """Take a merge back.

        Raises:
            IdentityError: There is none.
        """
        with writing(self._engine) as connection:
            patient_links.unmerge(connection, one, other, said=self._said())

    def contradictions_of_assignment(self, study_instance_uid: str, patient: PatientKey) -> tuple[Contradiction, ...]:
        """What contradicts between a study and the other studies of a patient."""
        with reading(self._engine) as connection:
            return patient_links.contradictions_of_assignment(connection, study_instance_uid, patient)

    def assign(
        self, study_instance_uid: str, patient: PatientKey, *, although_contradicting: bool
    ) -> tuple[Contradiction, ...]:
        """Note that a study belongs to a patient, in the place of what was said before; returns what is waived with it.

        Raises:
            UnknownStudyError: The index has no such study.
            IdentityError: The index has no such patient.
        """
        with writing(self._engine) as connection:
            return patient_links.assign(
                connection,
                study_instance_uid,
                patient,
                although_contradicting=although_contradicting,
                said=self._said(),
            )

    def unassign(self, study_instance_uid: str) -> None:
        """Take an assignment back.

        Raises:
            UnknownStudyError: The index has no such study.
            IdentityError: It was not assigned.
        """
        with writing(self._engine) as connection:
            patient_links.unassign(connection, study_instance_uid, said=self._said())

    def patients_of(self, patient_id: str) -> tuple[PatientKey, ...]:
        """Every patient with this ID, whatever the issuer."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(Patient).where(Patient.patient_id == patient_id).order_by(Patient.issuer))
            return tuple(PatientKey(patient_id=row.patient_id, issuer=row.issuer) for row in rows)

    def patient(self, patient: PatientKey) -> PatientView:
        """A patient, who is the same person, and the studies of that person.

        Raises:
            UnknownPatientError: The index has no such patient.
        """
        with reading(self._engine) as connection:
            key = patient_links.key_of(connection, patient)
            keys = person_of(connection, key).keys
            return PatientView(
                patient=patient,
                same_person=tuple(one for one in _patients(connection, keys) if one != patient),
                studies=_studies(connection, keys),
                merges=_merges(connection, keys),
                assignments=_assignments(connection, keys),
            )

    def _said(self) -> Said:
        return Said(by=self._by, at=self._now())


def _patients(connection: Connection, keys: frozenset[int]) -> tuple[PatientKey, ...]:
    rows = connection.execute(select(Patient).where(Patient.id.in_(keys)).order_by(Patient.id))
    return tuple(PatientKey(patient_id=row.patient_id, issuer=row.issuer) for row in rows)


def _studies(connection: Connection, keys: frozenset[int]) -> tuple[PatientStudy, ...]:
    """Newest first."""
    assigned = assigned_to(connection, keys)
    wanted = (
        select(Study, Patient.patient_id, Patient.issuer)
        .join(Patient, Patient.id == Study.patient_key)
        .order_by(Study.acquired_at.desc(), Study.id.desc())
    )
    rows = studies_of(connection, wanted, keys, assigned)
    return tuple(
        PatientStudy(
            study_instance_uid=row.study_instance_uid,
            patient=PatientKey(patient_id=row.patient_id, issuer=row.issuer),
            demographics=Demographics(patient_name=row.patient_name, birth_date=row.birth_date, sex=row.sex),
            acquired_at=acquired_by_clock(row),
            state=row.state,
            is_assigned=row.id in assigned,
        )
        for row in rows
    )


def _merges(connection: Connection, keys: frozenset[int]) -> tuple[MergeView, ...]:
    """Oldest first, with those that were undone."""
    one, other = aliased(Patient), aliased(Patient)
    rows = connection.execute(
        select(
            PatientMerge,
            one.patient_id.label("one_id"),
            one.issuer.label("one_issuer"),
            other.patient_id.label("other_id"),
            other.issuer.label("other_issuer"),
        )
        .join(one, one.id == PatientMerge.one_key)
        .join(other, other.id == PatientMerge.other_key)
        .where(PatientMerge.one_key.in_(keys) | PatientMerge.other_key.in_(keys))
        .order_by(PatientMerge.id)
    ).all()
    waived = waived_by_merges(connection, [row.id for row in rows])
    return tuple(
        MergeView(
            one=PatientKey(patient_id=row.one_id, issuer=row.one_issuer),
            other=PatientKey(patient_id=row.other_id, issuer=row.other_issuer),
            although_contradicting=row.although_contradicting,
            waives=tuple(waived[row.id]),
            made_by=row.made_by,
            made_at=row.made_at,
            undone_by=row.undone_by,
            undone_at=row.undone_at,
        )
        for row in rows
    )


def _assignments(connection: Connection, keys: frozenset[int]) -> tuple[AssignmentView, ...]:
    """Oldest first, with those that were undone: of studies to these patients, and of their studies to others."""
    rows = connection.execute(
        select(StudyAssignment, Study.study_instance_uid, Patient.patient_id, Patient.issuer)
        .join(Study, Study.id == StudyAssignment.study_id)
        .join(Patient, Patient.id == StudyAssignment.patient_key)
        .where(StudyAssignment.patient_key.in_(keys) | Study.patient_key.in_(keys))
        .order_by(StudyAssignment.id)
    ).all()
    waived = waived_by_assignments(connection, [row.id for row in rows])
    return tuple(
        AssignmentView(
            study_instance_uid=row.study_instance_uid,
            patient=PatientKey(patient_id=row.patient_id, issuer=row.issuer),
            although_contradicting=row.although_contradicting,
            waives=tuple(waived[row.id]),
            made_by=row.made_by,
            made_at=row.made_at,
            undone_by=row.undone_by,
            undone_at=row.undone_at,
        )
        for row in rows
    )
