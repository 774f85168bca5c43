"""What the index shows: to the rules of the worker, to people."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, exists, func, or_, select

from storage.acquired import acquired_by_clock
from storage.batch_rows import own_batch_of
from storage.commitment_models import Commitment, CommitmentObject
from storage.commitment_steps import COMMITMENT_COLUMNS, commitment_from_row
from storage.database import AnyRow, AnySelect
from storage.deliveries import file_from_row
from storage.errors import UnknownStudyError
from storage.fetch_records import PriorFetchView
from storage.fetches import fetches_of
from storage.hold import patients_in
from storage.lifecycle import State
from storage.models import (
    Delivery,
    History,
    Instance,
    Origin,
    Patient,
    Progress,
    Result,
    ResultObject,
    Series,
    Study,
    Use,
)
from storage.outages import Outage, outages
from storage.records import (
    DeliveryView,
    Demographics,
    HistoryEntry,
    NamedPatient,
    PatientKey,
    ResultSet,
    StoredInstance,
    StudyActivity,
    StudyView,
)


def studies_in(connection: Connection, state: State) -> tuple[StudyActivity, ...]:
    """Studies in a state that are to be analysed, the one that is in it for longest first."""
    wanted = select(Study).where(Study.state == state, Study.origin == Origin.RECEIVED)
    rows = connection.execute(wanted.order_by(Study.state_since, Study.id))
    return tuple(
        StudyActivity(
            study_instance_uid=row.study_instance_uid,
            first_instance_at=row.opened_at,
            last_instance_at=row.last_instance_at,
            instance_count=row.instance_count,
        )
        for row in rows
    )


def demographics_of(connection: Connection, study_instance_uid: str) -> Demographics:
    """What the sender said about the patient of the study.

    Raises:
        UnknownStudyError: The index has no such study.
    """
    return _demographics_from_row(_study_row(connection, study_instance_uid))


def has_identity_conflict(connection: Connection, study_instance_uid: str) -> bool:
    """Whether instances of another patient came under this Study Instance UID.

    Raises:
        UnknownStudyError: The index has no such study.
    """
    return bool(_study_row(connection, study_instance_uid).has_identity_conflict)


def stored_instances(connection: Connection, study_instance_uid: str) -> tuple[StoredInstance, ...]:
    """The instances of the study that may be used, in the order of their arrival."""
    rows = connection.execute(
        select(Instance, Series.series_instance_uid, Series.modality)
        .join(Series, Series.id == Instance.series_id)
        .join(Study, Study.id == Series.study_id)
        .where(Study.study_instance_uid == study_instance_uid, Instance.use == Use.USED)
        .order_by(Instance.id)
    )
    return tuple(
        StoredInstance(
            path=Path(row.relative_path),
            sha256=row.sha256,
            sop_class_uid=row.sop_class_uid,
            series_instance_uid=row.series_instance_uid,
            modality=row.modality,
            calling_aet=row.calling_aet,
        )
        for row in rows
    )


def latest_result(connection: Connection, study_instance_uid: str) -> ResultSet | None:
    """The newest result of the study; none that was made of images of another patient, as was decided later."""
    return _newest(connection, _results_of(study_instance_uid).where(Result.is_of_other_patient.is_(False)))


def _sent_result(connection: Connection, study_instance_uid: str) -> ResultSet | None:
    """The newest result of the study of which some destination has something."""
    sent = (
        select(ResultObject.result_id)
        .join(Delivery, Delivery.result_file_id == ResultObject.id)
        .where(Delivery.state == Progress.DELIVERED)
    )
    return _newest(connection, _results_of(study_instance_uid).where(Result.id.in_(sent)))


def _results_of(study_instance_uid: str) -> AnySelect:
    return select(Result).join(Study, Study.id == Result.study_id).where(Study.study_instance_uid == study_instance_uid)


def _newest(connection: Connection, results: AnySelect) -> ResultSet | None:
    result = connection.execute(results.order_by(Result.revision.desc()).limit(1)).one_or_none()
    if result is None:
        return None
    files = connection.execute(
        select(ResultObject).where(ResultObject.result_id == result.id).order_by(ResultObject.id)
    )
    return ResultSet(
        attempt_id=result.attempt_id,
        revision=result.revision,
        created_at=result.created_at,
        files=tuple(file_from_row(row) for row in files),
    )


def study(connection: Connection, study_instance_uid: str) -> StudyView | None:
    """Everything about one study."""
    row = connection.execute(_studies().where(Study.study_instance_uid == study_instance_uid)).one_or_none()
    if row is None:
        return None
    view = _view_from_row(
        row,
        history=_history(connection, row.id),
        deliveries=_deliveries(connection, row.id),
        result=latest_result(connection, study_instance_uid),
        patients=patients_in(connection, row.id) if row.conflict_count else (),
        prior_fetches=fetches_of(connection, row.id, revision=row.revision),
    )
    return replace(
        view,
        sent_result=_sent_result(connection, study_instance_uid),
        batch=own_batch_of(connection, study_instance_uid),
    )


def find_studies(connection: Connection, *, state: State | None, text: str, limit: int) -> tuple[StudyView, ...]:
    """Studies without history, deliveries and result; the last to receive something comes first.

    Args:
        connection: In a transaction.
        state: Only those in this state.
        text: Part of patient ID, patient name, accession number, Study Instance UID or description; empty for all.
        limit: At most so many.
    """
    wanted = _studies().order_by(Study.last_instance_at.desc(), Study.id.desc()).limit(limit)
    if state is not None:
        wanted = wanted.where(Study.state == state)
    if text:
        searched = (
            Patient.patient_id,
            Study.patient_name,
            Study.accession_number,
            Study.study_instance_uid,
            Study.description,
        )
        wanted = wanted.where(or_(*(column.icontains(text, autoescape=True) for column in searched)))
    return tuple(_view_from_row(row) for row in connection.execute(wanted))


def counts_by_state(connection: Connection) -> dict[State, int]:
    """How many studies are in each state; every state is named."""
    rows = connection.execute(select(Study.state, func.count().label("studies")).group_by(Study.state))
    return dict.fromkeys(State, 0) | {row.state: row.studies for row in rows}


def _study_row(connection: Connection, study_instance_uid: str) -> AnyRow:
    wanted = select(Study, Patient.patient_id).join(Patient, Patient.id == Study.patient_key)
    row = connection.execute(wanted.where(Study.study_instance_uid == study_instance_uid)).one_or_none()
    if row is None:
        raise UnknownStudyError(study_instance_uid)
    return row


def _demographics_from_row(row: AnyRow) -> Demographics:
    return Demographics(patient_name=row.patient_name, birth_date=row.birth_date, sex=row.sex)


def _studies() -> AnySelect:
    series_count = (
        select(func.count())
        .select_from(Series)
        .where(
            Series.study_id == Study.id,
            exists().where(Instance.series_id == Series.id, Instance.use == Use.USED),
        )
        .scalar_subquery()
    )
    return select(Study, Patient.patient_id, Patient.issuer, series_count.label("series_count")).join(
        Patient, Patient.id == Study.patient_key
    )


def _view_from_row(
    row: AnyRow,
    *,
    history: tuple[HistoryEntry, ...] = (),
    deliveries: tuple[DeliveryView, ...] = (),
    result: ResultSet | None = None,
    patients: tuple[NamedPatient, ...] = (),
    prior_fetches: tuple[PriorFetchView, ...] = (),
) -> StudyView:
    return StudyView(
        study_instance_uid=row.study_instance_uid,
        patient=PatientKey(patient_id=row.patient_id, issuer=row.issuer),
        accession_number=row.accession_number,
        description=row.description,
        acquired_at=acquired_by_clock(row),
        state=row.state,
        state_since=row.state_since,
        reason=row.reason,
        revision=row.revision,
        instance_count=row.instance_count,
        series_count=row.series_count,
        last_instance_at=row.last_instance_at,
        conflict_count=row.conflict_count,
        has_identity_conflict=row.has_identity_conflict,
        demographics=_demographics_from_row(row),
        patients=patients,
        history=history,
        deliveries=deliveries,
        result=result,
        origin=row.origin,
        prior_fetches=prior_fetches,
    )


def _history(connection: Connection, study_id: int) -> tuple[HistoryEntry, ...]:
    rows = connection.execute(select(History).where(History.study_id == study_id).order_by(History.id))
    return tuple(
        HistoryEntry(at=row.at, event=row.event, from_state=row.from_state, to_state=row.to_state, why=row.why)
        for row in rows
    )


def _deliveries(connection: Connection, study_id: int) -> tuple[DeliveryView, ...]:
    down = outages(connection)
    rows = connection.execute(
        select(
            Delivery,
            ResultObject.kind,
            ResultObject.sop_class_uid,
            ResultObject.sop_instance_uid,
            Result.revision,
            *COMMITMENT_COLUMNS,
        )
        .join(ResultObject, ResultObject.id == Delivery.result_file_id)
        .join(Result, Result.id == ResultObject.result_id)
        .outerjoin(CommitmentObject, CommitmentObject.delivery_id == Delivery.id)
        .outerjoin(Commitment, Commitment.id == CommitmentObject.commitment_id)
        .where(Delivery.study_id == study_id)
        .order_by(Delivery.id)
    )
    return tuple(
        DeliveryView(
            destination=row.destination,
            revision=row.revision,
            role=row.role,
            rank=row.rank,
            kind=row.kind,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            state=row.state,
            tries=row.tries,
            next_try_at=_next_try_at(row, down.get(row.destination)),
            last_status=row.last_status,
            commitment=commitment_from_row(row),
        )
        for row in rows
    )


def _next_try_at(row: AnyRow, outage: Outage | None) -> datetime | None:
    """When a delivery is tried: not before its destination is."""
    if row.state is not Progress.WAITING:
        return None
    return max(row.next_try_at, outage.next_try_at) if outage else row.next_try_at  # type: ignore[no-any-return]
