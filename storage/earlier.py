"""Earlier studies of the person that a study is of."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, exists, select

from storage.acquired import in_own_zone
from storage.database import AnyRow
from storage.errors import UnknownStudyError
from storage.fetch_tasks import SoughtPatient
from storage.link_models import StudyAssignment
from storage.models import Attempt, Instance, Origin, Outcome, Patient, Result, Series, Study, Use
from storage.patient_links import (
    Assigned,
    Person,
    assigned_to,
    belongs_or_was_assigned,
    belongs_to_patients,
    person_of,
    said_in,
)
from storage.prior_records import PriorCandidate, SeriesWords
from storage.records import CT, PatientKey
from storage.rule_models import Decision
from storage.waived import Waived, is_waived, waived_by_assignments, waived_by_merges

_CURRENT = (
    select(
        Study.id,
        Study.patient_key,
        Study.ct_acquired_at,
        Study.has_identity_conflict,
        Study.patient_name,
        Study.birth_date,
        Study.sex,
        Patient.patient_id,
        StudyAssignment.patient_key.label("assigned_key"),
    )
    .join(Patient, Patient.id == Study.patient_key)
    .outerjoin(StudyAssignment, and_(StudyAssignment.study_id == Study.id, StudyAssignment.undone_at.is_(None)))
    .where(Study.study_instance_uid == bindparam("study_instance_uid"))
)
"""The statements are made once: to make them takes longer than to ask them."""

_RULED_OUT = exists().where(Decision.study_id == Study.id, Decision.holds.is_(True), Decision.runs.is_(False))
"""A worker that asks the rules first ends the attempt as refused: of its images that says nothing."""

_REFUSAL = (
    select(Attempt.reason)
    .where(
        Attempt.study_id == Study.id,
        Attempt.revision == Study.revision,
        Attempt.outcome == Outcome.REFUSED,
        ~_RULED_OUT,
    )
    .order_by(Attempt.id.desc())
    .limit(1)
    .scalar_subquery()
)
"""A study that was refused is run again under a new revision alone."""

_EARLIER_OF_ANYBODY = (
    select(
        Study.id,
        Study.patient_key,
        Study.study_instance_uid,
        Study.ct_acquired_at,
        Study.acquired_offset_minutes,
        Study.patient_name,
        Study.birth_date,
        Study.sex,
        Study.state,
        Study.instance_count,
        Study.description,
        Study.origin,
        _REFUSAL.label("refusal"),
        exists().where(Result.study_id == Study.id).label("has_result"),
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

_CT_SERIES = (
    select(Series.study_id, Series.body_part, Series.description)
    .where(
        Series.study_id.in_(bindparam("study_ids", expanding=True)),
        Series.modality == CT,
        exists().where(Instance.series_id == Series.id, Instance.use == Use.USED),
    )
    .order_by(Series.id)
)


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
        "since": _days_before(current.ct_acquired_at, maximum_age_days),
        "before": current.ct_acquired_at,
    }
    if assigned:
        rows = connection.execute(_EARLIER_OR_ASSIGNED, values | {"assigned": list(assigned)}).all()
    else:
        rows = connection.execute(_EARLIER, values).all()
    waived = _waived_of(connection, person, assigned)
    candidates = [_candidate(row, current, person=person, assigned=assigned, waived=waived) for row in rows]
    words = _words_of(connection, [row.id for row in rows if _is_known_by_words_alone(row)])
    return tuple(replace(one, series=words.get(row.id, ())) for one, row in zip(candidates, rows, strict=True))


def _days_before(moment: datetime, days: float) -> datetime:
    """So many days before; the beginning of the calendar where that lies before it."""
    try:
        return moment - timedelta(days=days)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def sought_patients(connection: Connection, study_instance_uid: str) -> tuple[SoughtPatient, ...]:
    """Under whom a PACS may have earlier studies of a study's person, the patient whom the study belongs to first.

    What is waived is so for any earlier study that comes under that patient ID and issuer; what was waived for one other
    study alone is not among it.

    Raises:
        UnknownStudyError: The index has no such study.
    """
    current = _study_row(connection, study_instance_uid)
    own_key = current.assigned_key or current.patient_key
    person = person_of(connection, own_key)
    waived = _waived_of(connection, person, assigned_to(connection, person.keys))
    rows = connection.execute(
        select(Patient).where(Patient.id.in_(person.keys)).order_by(Patient.id != own_key, Patient.id)
    )
    return tuple(
        SoughtPatient(
            patient=PatientKey(patient_id=row.patient_id, issuer=row.issuer),
            waivers=tuple(waived.between({current.id}, is_across_merge=row.id not in person.unconfirmed_keys)),
        )
        for row in rows
    )


def _study_row(connection: Connection, study_instance_uid: str) -> AnyRow:
    """The study with its patient ID, and where an administrator put it."""
    row = connection.execute(_CURRENT, {"study_instance_uid": study_instance_uid}).one_or_none()
    if row is None:
        raise UnknownStudyError(study_instance_uid)
    return row


def _waived_of(connection: Connection, person: Person, assigned: dict[int, Assigned]) -> Waived:
    """What administrators waived between studies of a person."""
    by_merge = waived_by_merges(connection, person.waiving_merges)
    waiving = {study_id: one.assignment_id for study_id, one in assigned.items() if one.although_contradicting}
    by_assignment = waived_by_assignments(connection, waiving.values())
    return Waived(
        by_merges=[waiver for waivers in by_merge.values() for waiver in waivers],
        by_study={study_id: by_assignment[assignment_id] for study_id, assignment_id in waiving.items()},
    )


def _candidate(
    row: AnyRow, current: AnyRow, *, person: Person, assigned: dict[int, Assigned], waived: Waived
) -> PriorCandidate:
    patient_key = assigned[row.id].patient_key if row.id in assigned else row.patient_key
    waivers = waived.between({row.id, current.id}, is_across_merge=patient_key not in person.unconfirmed_keys)
    demographics = said_in(row)
    return PriorCandidate(
        study_instance_uid=row.study_instance_uid,
        acquired_at=in_own_zone(row.ct_acquired_at, row.acquired_offset_minutes),
        demographics=demographics,
        state=row.state,
        instance_count=row.instance_count,
        is_confirmed=is_waived(said_in(current), demographics, waivers),
        refusal=row.refusal or "",
        description=row.description,
    )


def _is_known_by_words_alone(row: AnyRow) -> bool:
    """Whether neither an analysis nor a search that fetched it says which region a study shows."""
    return not row.refusal and not row.has_result and row.origin is Origin.RECEIVED


def _words_of(connection: Connection, study_ids: Collection[int]) -> dict[int, tuple[SeriesWords, ...]]:
    """What the CT series of studies say, by primary key of the study; nothing is asked where there is none."""
    said: dict[int, list[SeriesWords]] = defaultdict(list)
    for row in connection.execute(_CT_SERIES, {"study_ids": list(study_ids)}) if study_ids else ():
        said[row.study_id].append(SeriesWords(body_part=row.body_part, description=row.description))
    return {study_id: tuple(words) for study_id, words in said.items()}
