"""What the index says about searches for earlier studies."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, exists, func, select

from storage.acquired import in_own_zone
from storage.database import AnyRow
from storage.due import is_due
from storage.fetch_models import FoundPrior, PriorFetch
from storage.fetch_records import FetchState, FoundPriorView, PriorFetchView
from storage.fetch_tasks import FetchTask, HeldStudy
from storage.models import Instance, Origin, Patient, Series, Study, Use
from storage.patient_links import chosen_patient_key
from storage.records import Demographics, PatientKey

ASKED_FOR = timedelta(days=1)
"""Images that a PACS sends so long after they were asked for still come because of that."""


def is_asked_for(connection: Connection, study_instance_uid: str, *, at: datetime) -> bool:
    """Whether images of a study may come because it was asked for as an earlier one, whatever was made of it since."""
    asked = exists().where(FoundPrior.study_instance_uid == study_instance_uid, FoundPrior.asked_at > at - ASKED_FOR)
    return bool(connection.execute(select(asked)).scalar_one())


def fetches_of(connection: Connection, study_id: int, *, revision: int) -> tuple[PriorFetchView, ...]:
    """The searches of a revision of a study, with what each PACS named, newest first."""
    rows = connection.execute(
        select(PriorFetch)
        .where(PriorFetch.study_id == study_id, PriorFetch.revision == revision)
        .order_by(PriorFetch.id)
    )
    return tuple(_fetch_from_row(connection, row) for row in rows)


def next_due(connection: Connection, *, peer: str, at: datetime, latest: datetime | None = None) -> FetchTask | None:
    """The search at a PACS that waits for longest of those whose time has come."""
    row = connection.execute(
        select(PriorFetch, Study, Patient.patient_id, Patient.issuer, PriorFetch.id.label("fetch_id"))
        .join(Study, Study.id == PriorFetch.study_id)
        .join(Patient, Patient.id == chosen_patient_key())
        .where(
            PriorFetch.state == FetchState.WAITING,
            PriorFetch.peer == peer,
            is_due(PriorFetch.next_try_at, at=at, latest=latest),
        )
        .order_by(PriorFetch.next_try_at, PriorFetch.id)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return FetchTask(
        fetch_id=row.fetch_id,
        study_instance_uid=row.study_instance_uid,
        patient=PatientKey(patient_id=row.patient_id, issuer=row.issuer),
        demographics=Demographics(patient_name=row.patient_name, birth_date=row.birth_date, sex=row.sex),
        acquired_at=in_own_zone(row.ct_acquired_at or at, row.acquired_offset_minutes),
        planned_at=row.planned_at,
        tries=row.tries + 1,
    )


def held_study(connection: Connection, study_instance_uid: str) -> HeldStudy | None:
    """What the node has of a study; None for nothing."""
    study = connection.execute(
        select(Study.id, Study.origin, Patient.patient_id, Patient.issuer)
        .join(Patient, Patient.id == Study.patient_key)
        .where(Study.study_instance_uid == study_instance_uid)
    ).one_or_none()
    if study is None:
        return None
    rows = connection.execute(
        select(Series.series_instance_uid, func.count().label("images"))
        .join(Instance, Instance.series_id == Series.id)
        .where(Series.study_id == study.id, Instance.use == Use.USED)
        .group_by(Series.series_instance_uid)
    )
    return HeldStudy(
        patient=PatientKey(patient_id=study.patient_id, issuer=study.issuer),
        was_fetched=study.origin is not Origin.RECEIVED,
        is_whole=study.origin is not Origin.FETCHING,
        images_by_series={row.series_instance_uid: row.images for row in rows},
    )


def _fetch_from_row(connection: Connection, row: AnyRow) -> PriorFetchView:
    found = connection.execute(
        select(FoundPrior)
        .where(FoundPrior.fetch_id == row.id)
        .order_by(FoundPrior.study_date.desc(), FoundPrior.study_instance_uid)
    )
    return PriorFetchView(
        peer=row.peer,
        state=row.state,
        tries=row.tries,
        planned_at=row.planned_at,
        settled_at=row.settled_at,
        words=row.words,
        found=tuple(_found_from_row(one) for one in found),
    )


def _found_from_row(row: AnyRow) -> FoundPriorView:
    return FoundPriorView(
        study_instance_uid=row.study_instance_uid,
        study_date=row.study_date,
        state=row.state,
        words=row.words,
        instance_count=row.instance_count,
    )
