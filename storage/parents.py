"""Finds the patient, study and series rows that a batch of instances belongs to; makes those that are missing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, insert, select, tuple_

from storage.batch_rows import forget_ended, own_batch_of
from storage.database import AnyRow
from storage.fetches import is_asked_for
from storage.life import Standing, note_birth
from storage.lifecycle import INITIAL
from storage.models import Instance, Origin, Patient, Series, Study, Use
from storage.postgresql import has_row_locks
from storage.records import PatientKey, ReceivedInstance
from storage.starts_work import STARTS_WORK

SeriesUids = tuple[str, str]
"""Study and Series Instance UID: only both together name a series."""

FIRST = "first instance received"

SAID_BY_SENDER = ("patient_name", "birth_date", "sex", "accession_number", "description")
"""Columns of a study that a later instance fills where the earlier ones left them empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownStudy:
    """A study as the index has it before the batch."""

    standing: Standing
    patient: PatientKey
    has_images: bool
    """Whether it uses any that the pipeline reads."""
    said: dict[str, str]
    """Values of the columns `SAID_BY_SENDER`."""
    acquired_at: datetime | None
    ct_acquired_at: datetime | None
    acquired_offset_minutes: int
    last_instance_at: datetime
    instance_count: int
    conflict_count: int
    has_identity_conflict: bool
    origin: Origin


def said_by(instance: ReceivedInstance) -> dict[str, str]:
    """What an instance says for the columns `SAID_BY_SENDER`."""
    return {
        "patient_name": instance.patient_name,
        "birth_date": instance.birth_date,
        "sex": instance.sex,
        "accession_number": instance.accession_number,
        "description": instance.study_description,
    }


def patient_keys(connection: Connection, patients: Iterable[PatientKey]) -> dict[PatientKey, int]:
    """Primary key of each patient; who is new is put into the index."""
    wanted = dict.fromkeys(patients)
    pairs = [(patient.patient_id, patient.issuer) for patient in wanted]
    rows = connection.execute(select(Patient).where(tuple_(Patient.patient_id, Patient.issuer).in_(pairs)))
    keys = {PatientKey(patient_id=row.patient_id, issuer=row.issuer): row.id for row in rows}
    for patient in sorted(wanted.keys() - keys.keys(), key=lambda new: (new.patient_id, new.issuer)):
        statement = insert(Patient).values(patient_id=patient.patient_id, issuer=patient.issuer)
        keys[patient] = connection.execute(statement.returning(Patient.id)).scalar_one()
    return keys


def known_studies(
    connection: Connection, batch: Sequence[ReceivedInstance], *, patients: dict[PatientKey, int], at: datetime
) -> dict[str, KnownStudy]:
    """The studies of the batch by UID; a new one is born under the patient of its first instance."""
    first = {instance.study_instance_uid: instance for instance in reversed(batch)}
    studies = _read_studies(connection, first)
    for uid in sorted(first.keys() - studies.keys()):
        _insert_study(connection, first[uid], patient_key=patients[first[uid].patient], at=at)
    return studies if len(studies) == len(first) else _read_studies(connection, first)


def series_keys(
    connection: Connection, batch: Sequence[ReceivedInstance], *, studies: dict[str, KnownStudy]
) -> dict[SeriesUids, int]:
    """Primary key of each series of the batch; a new one is described by its first instance."""
    first = {(instance.study_instance_uid, instance.series_instance_uid): instance for instance in reversed(batch)}
    pairs = [(studies[study_uid].standing.study_id, series_uid) for study_uid, series_uid in first]
    found = select(Series.id, Series.study_id, Series.series_instance_uid)
    rows = connection.execute(found.where(tuple_(Series.study_id, Series.series_instance_uid).in_(pairs)))
    by_pair = {(row.study_id, row.series_instance_uid): row.id for row in rows}
    for pair, instance in zip(pairs, first.values(), strict=True):
        if pair not in by_pair:
            by_pair[pair] = _insert_series(connection, instance, study_id=pair[0])
    return {uids: by_pair[pair] for uids, pair in zip(first, pairs, strict=True)}


def _read_studies(connection: Connection, uids: Iterable[str]) -> dict[str, KnownStudy]:
    wanted = Study.study_instance_uid.in_(list(uids))
    if has_row_locks(connection):
        # In a statement of its own: the next one sees what those wrote that this one waited for.
        connection.execute(select(Study.id).where(wanted).order_by(Study.study_instance_uid).with_for_update())
    has_images = exists().where(
        Series.study_id == Study.id,
        Instance.series_id == Series.id,
        Instance.use == Use.USED,
        Instance.sop_class_uid.in_(STARTS_WORK),
    )
    rows = connection.execute(
        select(Study, Patient.patient_id, Patient.issuer, has_images.label("has_images"))
        .join(Patient, Patient.id == Study.patient_key)
        .where(wanted)
    )
    return {row.study_instance_uid: _study_from_row(row) for row in rows}


def _study_from_row(row: AnyRow) -> KnownStudy:
    return KnownStudy(
        standing=Standing(
            study_id=row.id, state=row.state, revision=row.revision, has_late_instances=row.has_late_instances
        ),
        patient=PatientKey(patient_id=row.patient_id, issuer=row.issuer),
        has_images=row.has_images,
        said={column: getattr(row, column) for column in SAID_BY_SENDER},
        acquired_at=row.acquired_at,
        ct_acquired_at=row.ct_acquired_at,
        acquired_offset_minutes=row.acquired_offset_minutes,
        last_instance_at=row.last_instance_at,
        instance_count=row.instance_count,
        conflict_count=row.conflict_count,
        has_identity_conflict=row.has_identity_conflict,
        origin=row.origin,
    )


def _insert_study(connection: Connection, instance: ReceivedInstance, *, patient_key: int, at: datetime) -> None:
    statement = insert(Study).values(
        study_instance_uid=instance.study_instance_uid,
        patient_key=patient_key,
        state=INITIAL,
        state_since=at,
        reason=FIRST,
        revision=1,
        opened_at=instance.received_at,
        last_instance_at=instance.received_at,
        instance_count=0,
        conflict_count=0,
        origin=Origin.FETCHING if is_asked_for(connection, instance.study_instance_uid, at=at) else Origin.RECEIVED,
        **said_by(instance),
    )
    study_id = connection.execute(statement.returning(Study.id)).scalar_one()
    forget_ended(connection, instance.study_instance_uid)
    batch = own_batch_of(connection, instance.study_instance_uid)
    note_birth(connection, study_id, why=FIRST if batch is None else f"{FIRST}, asked for by batch {batch}", at=at)


def _insert_series(connection: Connection, instance: ReceivedInstance, *, study_id: int) -> int:
    statement = insert(Series).values(
        study_id=study_id,
        series_instance_uid=instance.series_instance_uid,
        modality=instance.modality,
        description=instance.series_description,
        body_part=instance.body_part,
    )
    return connection.execute(statement.returning(Series.id)).scalar_one()
