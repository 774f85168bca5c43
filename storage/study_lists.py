"""Lists of studies, one page at a time: what needs somebody first, then what is under way, then what is done."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from storage.acquired import acquired_by_clock
from storage.commitment_models import CommitmentObject
from storage.commitment_records import Keeping
from storage.commitment_steps import keeping_by_now
from storage.database import AnyRow, reading
from storage.delivery_state import has_to_be_sent
from storage.lifecycle import State
from storage.models import Delivery, Instance, Patient, Progress, Result, ResultObject, Series, Study, Use
from storage.newest_result import is_newest_result
from storage.records import Demographics, PatientKey

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACE = re.compile(r"(attention|under_way|done)\.(-?\d{1,18})\.(\d{1,18})")


class Standing(StrEnum):
    """What a study asks of people."""

    ATTENTION = "attention"
    """It does not go on by itself; the newest first."""
    UNDER_WAY = "under_way"
    """It goes on by itself; the one that stands longest where it is comes first."""
    DONE = "done"
    """Nothing more is done; the newest first."""


STATES_OF = {
    Standing.ATTENTION: (State.HELD, State.PIPELINE_FAILED, State.DELIVERY_FAILED),
    Standing.UNDER_WAY: (
        State.RECEIVING,
        State.WAITING_FOR_PRIORS,
        State.READY,
        State.PROCESSING,
        State.PROCESSED,
        State.SENDING,
    ),
    Standing.DONE: (State.DELIVERED, State.SKIPPED, State.PROCESSED),
}
"""`PROCESSED` is under way where something waits to be sent, and done where nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the list a page ended; what arrives or moves meanwhile shifts nothing."""

    standing: Standing
    since: datetime
    study_id: int

    def __str__(self) -> str:
        """As it stands in an address."""
        return f"{self.standing}.{(self.since - _EPOCH) // _MICROSECOND}.{self.study_id}"


def place_from_text(text: str) -> Place | None:
    """The place; None for what no page ever said."""
    match = _PLACE.fullmatch(text)
    if match is None:
        return None
    try:
        since = _EPOCH + int(match[2]) * _MICROSECOND
    except OverflowError:
        return None
    return Place(standing=Standing(match[1]), since=since, study_id=int(match[3]))


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """What of the list is wanted."""

    states: tuple[State, ...] = ()
    """Only these; empty for all."""
    text: str = ""
    """Part of what is searched; empty for all."""
    searches_patients: bool = True
    """Whether patient ID, name, accession number and description are searched beside the Study Instance UID."""
    after: Place | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """How far the newest result of a study is."""

    waiting: int = 0
    delivered: int = 0
    failed: int = 0
    committed: int = 0
    """Of the delivered ones."""
    unconfirmed: int = 0
    """Delivered, and the destination was asked and did not say yet that it keeps them."""
    not_kept: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLine:
    """A study as a line of the list."""

    study_instance_uid: str
    patient: PatientKey
    demographics: Demographics
    accession_number: str
    description: str
    acquired_at: datetime | None
    """By the clock of its scanner; as if that went by UTC where it says no offset."""
    state: State
    state_since: datetime
    reason: str
    instance_count: int
    origin: str
    calling_aet: str
    """Of the first instance."""
    sent: Sent

    @property
    def standing(self) -> Standing:
        """What it asks of people."""
        if self.state is State.PROCESSED:
            return Standing.UNDER_WAY if self.sent.waiting else Standing.DONE
        return next(standing for standing, states in STATES_OF.items() if self.state in states)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPage:
    """One page of the list."""

    lines: tuple[StudyLine, ...]
    next_place: Place | None
    """None on the last page."""


class StudyLists:
    """What pages ask of the index beside `Index`; every method is one transaction that changes nothing."""

    def __init__(self, engine: Engine) -> None:
        """Use the database of the engine."""
        self._engine = engine

    def page(self, query: StudyQuery) -> StudyPage:
        """The studies from a place on."""
        with reading(self._engine) as connection:
            places = _places(connection, query)
            shown = places[: query.limit]
            lines = _lines(connection, [place.study_id for place in shown])
        return StudyPage(lines=lines, next_place=shown[-1] if len(places) > query.limit else None)

    def paths_of_series(self, study_instance_uid: str, series_instance_uid: str) -> dict[str, Path]:
        """Where the used instances of a series lie, below the data folder, by SOP Instance UID."""
        wanted = (
            select(Instance.sop_instance_uid, Instance.relative_path)
            .join(Series, Series.id == Instance.series_id)
            .join(Study, Study.id == Series.study_id)
            .where(
                Study.study_instance_uid == study_instance_uid,
                Series.series_instance_uid == series_instance_uid,
                Instance.use == Use.USED,
            )
        )
        with reading(self._engine) as connection:
            return {row.sop_instance_uid: Path(row.relative_path) for row in connection.execute(wanted)}


def _places(connection: Connection, query: StudyQuery) -> list[Place]:
    """Places of the studies of a page, and of one more if there is one."""
    places: list[Place] = []
    for standing in list(Standing)[_first(query) :]:
        places += _places_in(connection, query, standing, limit=query.limit + 1 - len(places))
        if len(places) > query.limit:
            break
    return places


def _first(query: StudyQuery) -> int:
    return list(Standing).index(query.after.standing) if query.after else 0


def _places_in(connection: Connection, query: StudyQuery, standing: Standing, *, limit: int) -> list[Place]:
    """The first of a standing: the first of each of its states, put together."""
    is_newest_first = standing is not Standing.UNDER_WAY
    states = [state for state in STATES_OF[standing] if state in (query.states or State)]
    found = [
        row for state in states for row in connection.execute(_ids_in(connection, query, state, standing).limit(limit))
    ]
    found.sort(key=lambda row: (row.state_since, row.id), reverse=is_newest_first)
    return [Place(standing=standing, since=row.state_since, study_id=row.id) for row in found[:limit]]


def _ids_in(connection: Connection, query: StudyQuery, state: State, standing: Standing) -> Select[int, datetime]:
    wanted = select(Study.id, Study.state_since).where(Study.state == state)
    if state is State.PROCESSED:
        wanted = wanted.where(has_to_be_sent() if standing is Standing.UNDER_WAY else ~has_to_be_sent())
    if query.text:
        wanted = wanted.where(_matches(query, is_sqlite=connection.dialect.name == "sqlite"))
    if query.after and query.after.standing is standing:
        wanted = wanted.where(_comes_after(query.after))
    if standing is Standing.UNDER_WAY:
        return wanted.order_by(Study.state_since, Study.id)
    return wanted.order_by(Study.state_since.desc(), Study.id.desc())


def _comes_after(place: Place) -> ColumnElement[bool]:
    """Further down the list; written out, because not every database compares rows by an index."""
    since, study_id = Study.state_since, Study.id
    if place.standing is Standing.UNDER_WAY:
        return and_(since >= place.since, or_(since > place.since, study_id > place.study_id))
    return and_(since <= place.since, or_(since < place.since, study_id < place.study_id))


def _matches(query: StudyQuery, *, is_sqlite: bool) -> ColumnElement[bool]:
    def has_text(column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
        # SQLite's LIKE heeds no capitals of ASCII by itself (sqlite.org/lang_expr.html#like); lower() takes four times as long.
        found = column.contains if is_sqlite else column.icontains
        return found(query.text, autoescape=True)

    in_uid = has_text(Study.study_instance_uid)
    if not query.searches_patients:
        return in_uid
    patients = select(Patient.id).where(has_text(Patient.patient_id))
    said = (has_text(column) for column in (Study.patient_name, Study.accession_number, Study.description))
    return or_(in_uid, *said, Study.patient_key.in_(patients))


def _lines(connection: Connection, study_ids: Sequence[int]) -> tuple[StudyLine, ...]:
    """The lines of these studies, in this order."""
    first_aet = (
        select(Instance.calling_aet)
        .join(Series, Series.id == Instance.series_id)
        .where(Series.study_id == Study.id)
        .limit(1)
        .scalar_subquery()
    )
    wanted = select(Study, Patient.patient_id, Patient.issuer, first_aet.label("calling_aet"))
    rows = connection.execute(wanted.join(Patient, Patient.id == Study.patient_key).where(Study.id.in_(study_ids)))
    by_id = {row.id: row for row in rows}
    sent = _sent(connection, study_ids)
    return tuple(_line(by_id[study_id], sent.get(study_id, Sent())) for study_id in study_ids if study_id in by_id)


def _sent(connection: Connection, study_ids: Sequence[int]) -> dict[int, Sent]:
    """How far the deliveries of the newest results of these studies are; what was superseded does not count."""
    rows = connection.execute(
        select(
            Delivery.study_id, Delivery.state, CommitmentObject.state.label("keeping"), func.count().label("objects")
        )
        .join(ResultObject, ResultObject.id == Delivery.result_file_id)
        .join(Result, Result.id == ResultObject.result_id)
        .outerjoin(CommitmentObject, CommitmentObject.delivery_id == Delivery.id)
        .where(Delivery.study_id.in_(study_ids), Delivery.state != Progress.SUPERSEDED, is_newest_result())
        .group_by(Delivery.study_id, Delivery.state, CommitmentObject.state)
    )
    of_study: dict[int, dict[str, int]] = {}
    for row in rows:
        counts = of_study.setdefault(row.study_id, {})
        for word in _words_of(row.state, row.keeping):
            counts[word] = counts.get(word, 0) + row.objects
    return {study_id: Sent(**counts) for study_id, counts in of_study.items()}


def _words_of(state: Progress, keeping: Keeping | None) -> Iterator[str]:
    if state in {Progress.WAITING, Progress.DELIVERED, Progress.FAILED}:
        yield state.value
    keeping = keeping and keeping_by_now(keeping, state)
    if keeping is Keeping.COMMITTED:
        yield "committed"
    elif keeping is Keeping.FAILED:
        yield "not_kept"
    elif keeping is not None:
        yield "unconfirmed"


def _line(row: AnyRow, sent: Sent) -> StudyLine:
    return StudyLine(
        study_instance_uid=row.study_instance_uid,
        patient=PatientKey(patient_id=row.patient_id, issuer=row.issuer),
        demographics=Demographics(patient_name=row.patient_name, birth_date=row.birth_date, sex=row.sex),
        accession_number=row.accession_number,
        description=row.description,
        acquired_at=acquired_by_clock(row),
        state=row.state,
        state_since=row.state_since,
        reason=row.reason,
        instance_count=row.instance_count,
        origin=row.origin,
        calling_aet=row.calling_aet or "",
        sent=sent,
    )
