"""Takes the search for earlier studies a step on."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, exists, insert, select, update

from storage.database import AnyRow
from storage.fetch_models import FoundPrior, PriorFetch
from storage.fetch_records import FetchState, FoundPriorView, FoundState
from storage.fetches import ASKED_FOR
from storage.life import move, standing_by_id
from storage.lifecycle import Event, State
from storage.models import Origin, Patient, Study
from storage.patient_links import chosen_patient_key

FETCHED_WHY = "fetched as an earlier study: it is compared with, not analysed; `dicom-node study retry` analyses it"
_IN_PART_WHY = "fetched as an earlier study, in part: it is not used; `dicom-node study retry` analyses it as it is"
_RERUN_WHY = "an earlier study was fetched after the analysis had begun"

_WITH_RESULT = frozenset({State.PROCESSED, State.SENDING, State.DELIVERED, State.DELIVERY_FAILED})
_BEFORE_ATTEMPT = frozenset({State.RECEIVING, State.WAITING_FOR_PRIORS, State.READY})


def plan(connection: Connection, study_instance_uid: str, *, peers: Sequence[str], at: datetime) -> None:
    """Plan a search at each PACS for the current revision, unless it is planned.

    None is planned for a study without a patient ID or a dated CT image, nor for one in which two patients are mixed.
    """
    study = connection.execute(
        select(Study, Patient.patient_id)
        .join(Patient, Patient.id == chosen_patient_key())
        .where(Study.study_instance_uid == study_instance_uid)
    ).one()
    if not study.patient_id or study.ct_acquired_at is None or study.has_identity_conflict:
        return
    known = select(PriorFetch.peer).where(PriorFetch.study_id == study.id, PriorFetch.revision == study.revision)
    for peer in [name for name in peers if name not in set(connection.execute(known).scalars())]:
        values = {"study_id": study.id, "revision": study.revision, "peer": peer, "state": FetchState.WAITING}
        times = {"planned_at": at, "next_try_at": at}
        connection.execute(insert(PriorFetch).values(**values, **times, tries=0, words=""))


def note_found(connection: Connection, fetch_id: int, found: FoundPriorView, *, at: datetime) -> None:
    """Write down what became of an earlier study, in the place of what was known before."""
    values = {
        "study_date": found.study_date,
        "state": found.state,
        "words": found.words,
        "instance_count": found.instance_count,
    }
    if found.state is FoundState.FETCHING:
        values["asked_at"] = at
    row = (FoundPrior.fetch_id == fetch_id, FoundPrior.study_instance_uid == found.study_instance_uid)
    known = connection.execute(select(FoundPrior.state).where(*row)).scalar_one_or_none()
    if known is FoundState.FETCHED and found.state is FoundState.HELD:
        return
    if known is not None:
        connection.execute(update(FoundPrior).where(*row).values(**values))
        return
    uid = found.study_instance_uid
    connection.execute(insert(FoundPrior).values(fetch_id=fetch_id, study_instance_uid=uid, **values))


def end_retrieval(
    connection: Connection, fetch_id: int, found: FoundPriorView, *, at: datetime, rerun_when_late: bool
) -> None:
    """Write down how a retrieval ended; a study that is whole becomes one to compare with."""
    note_found(connection, fetch_id, found, at=at)
    is_whole = found.state is FoundState.FETCHED
    mine = (Study.study_instance_uid == found.study_instance_uid, Study.origin != Origin.RECEIVED)
    if is_whole:
        connection.execute(update(Study).where(*mine).values(origin=Origin.FETCHED))
    study_id = connection.execute(select(Study.id).where(*mine, Study.state == State.RECEIVING)).scalar_one_or_none()
    if study_id is not None:
        why = FETCHED_WHY if is_whole else _IN_PART_WHY
        move(connection, standing_by_id(connection, study_id), Event.FETCH_ENDED, why=why, at=at)
    if is_whole and rerun_when_late and _is_late(connection, fetch_id):
        connection.execute(update(PriorFetch).where(PriorFetch.id == fetch_id).values(rerun_due=True))


def keep_as_fetched(connection: Connection, study_instance_uid: str, *, is_whole: bool, at: datetime) -> bool:
    """Make a study one to compare with; False where the index has none that was received."""
    mine = (Study.study_instance_uid == study_instance_uid, Study.origin == Origin.RECEIVED)
    row = connection.execute(select(Study.id, Study.state).where(*mine)).one_or_none()
    if row is None:
        return False
    origin = Origin.FETCHED if is_whole else Origin.FETCHING
    connection.execute(update(Study).where(Study.id == row.id).values(origin=origin))
    if row.state is State.RECEIVING:
        why = FETCHED_WHY if is_whole else _IN_PART_WHY
        move(connection, standing_by_id(connection, row.id), Event.FETCH_ENDED, why=why, at=at)
    return True


def strays(connection: Connection, *, quiet_s: float, at: datetime) -> Sequence[AnyRow]:
    """Fetched studies for which images came after their retrieval had ended, and no more come."""
    under_way = exists().where(
        FoundPrior.study_instance_uid == Study.study_instance_uid,
        FoundPrior.state == FoundState.FETCHING,
        FoundPrior.asked_at > at - ASKED_FOR,
    )
    return connection.execute(
        select(Study.id, Study.origin).where(
            Study.state == State.RECEIVING,
            Study.origin != Origin.RECEIVED,
            Study.last_instance_at <= at - timedelta(seconds=quiet_s),
            ~under_way,
        )
    ).all()


def end_strays(connection: Connection, *, quiet_s: float, at: datetime) -> None:
    """Put them away."""
    for row in strays(connection, quiet_s=quiet_s, at=at):
        why = FETCHED_WHY if row.origin is Origin.FETCHED else _IN_PART_WHY
        move(connection, standing_by_id(connection, row.id), Event.FETCH_ENDED, why=why, at=at)


def rerun_late(connection: Connection, *, at: datetime) -> tuple[str, ...]:
    """Run studies again for which an earlier one came too late; returns their Study Instance UIDs.

    One that is being analysed waits for the end of the attempt; one that an operator took out, or that cannot be
    analysed, stays as it is.
    """
    rows = connection.execute(
        select(PriorFetch.id, Study.id.label("study_id"), Study.state, Study.study_instance_uid)
        .join(Study, Study.id == PriorFetch.study_id)
        .where(PriorFetch.rerun_due.is_(True), Study.state != State.PROCESSING)
    ).all()
    rerun: dict[int, str] = {row.study_id: row.study_instance_uid for row in rows if row.state in _WITH_RESULT}
    for study_id in rerun:
        move(connection, standing_by_id(connection, study_id), Event.RETRIED, why=_RERUN_WHY, at=at)
    if rows:
        done = [row.id for row in rows]
        connection.execute(update(PriorFetch).where(PriorFetch.id.in_(done)).values(rerun_due=False))
    return tuple(rerun.values())


def has_rerun_due(connection: Connection) -> bool:
    """Whether some study is to be run again."""
    return bool(connection.execute(select(exists().where(PriorFetch.rerun_due.is_(True)))).scalar_one())


def _is_late(connection: Connection, fetch_id: int) -> bool:
    """Whether the study that the search is for has been taken by a worker already."""
    state = connection.execute(
        select(Study.state).join(PriorFetch, PriorFetch.study_id == Study.id).where(PriorFetch.id == fetch_id)
    ).scalar_one()
    return state not in _BEFORE_ATTEMPT
