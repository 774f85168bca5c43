"""Puts received instances into the index."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, insert, select, tuple_, update
from sqlalchemy.engine import Dialect

from storage.acquired import acquired_columns
from storage.carrying import note_carried
from storage.database import DriverConnection, write_prepared, write_rows
from storage.failpoints import reach
from storage.further import StatementsOfDriver, StatementsOnConnection, record_further
from storage.identity import Attribute, contradicting_demographics, contradicting_keys, differing_keys
from storage.instance_rows import DEMOGRAPHICS, instance_columns
from storage.life import move, note
from storage.lifecycle import Event
from storage.link_models import ForeignPatient
from storage.models import Instance, ResultObject, Study, Use
from storage.parents import KnownStudy, SeriesUids, known_studies, patient_keys, said_by, series_keys
from storage.records import Demographics, PatientKey, ReceivedInstance, Recorded
from storage.sent import SENT_BESIDE_BATCH, STILL_MIXED, as_received, leaves_its_batches
from storage.starts_work import STARTS_WORK

MORE = "a further instance was received"
OTHER_BYTES = "an instance came again with other bytes; the first one stays in use"
NOT_DECIDED = "the instances name two patients, and no operator decided which of them the study is of"

_RECORDED_FROM_USE = {
    Use.USED: Recorded.NEW,
    Use.OTHER_BYTES: Recorded.CONFLICT,
    Use.OTHER_PATIENT: Recorded.OTHER_PATIENT,
    Use.OWN_RESULT: Recorded.OWN_RESULT,
}
_CONFLICTS = frozenset({Use.OTHER_BYTES, Use.OTHER_PATIENT})
_TAKES_THE_PLACE = frozenset({Use.USED, Use.OWN_RESULT})
"""Of every further copy: not so an image of another patient, which may be the same one under a wrong name."""

_Row = dict[str, Any]

_TAKEN_UP = (
    update(Instance)
    .where(
        Instance.series_id == bindparam("series"),
        Instance.sop_instance_uid == bindparam("sop"),
        Instance.sha256 == bindparam("hash"),
    )
    .values(use=Use.USED)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the index knows about a batch."""

    patients: dict[PatientKey, int]
    studies: dict[str, KnownStudy]
    series: dict[SeriesUids, int]
    copies: dict[tuple[int, str], dict[str, Use]]
    """Copies of each instance by hash, by series and SOP Instance UID."""
    own_results: frozenset[str]
    """SOP Instance UIDs of the batch that are our results."""


@dataclass(slots=True, kw_only=True)
class _Filed:
    """What the batch adds to one study, and what the study then says of its patient."""

    patient: PatientKey
    has_images: bool
    """Whether it has any that the pipeline reads: then they alone say whose study it is."""
    said: dict[str, str]
    used: list[ReceivedInstance] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    contradicting: tuple[Attribute, ...] = ()
    """What the first foreign instance contradicts."""
    taken_up_count: int = 0
    """Instances that counted as conflicts and are used now."""

    @property
    def has_new_images(self) -> bool:
        """Whether the batch brought any that are used."""
        return any(instance.sop_class_uid in STARTS_WORK for instance in self.used)

    def contradictions(self, instance: ReceivedInstance) -> tuple[Attribute, ...]:
        """What an instance says against the study; an empty value says nothing."""
        known = Demographics(**{column: self.said[column] for column in DEMOGRAPHICS})
        keys = contradicting_keys(self.patient, instance.patient)
        return keys + contradicting_demographics(known, _demographics(instance))

    def learn(self, instance: ReceivedInstance) -> None:
        """Fill gaps in what the study says.

        Nothing is overwritten but what objects said of ID and issuer that came before the first image: a PACS gives them
        its own, which other studies of the patient do not have.
        """
        self.used.append(instance)
        is_image = instance.sop_class_uid in STARTS_WORK
        if is_image and not self.has_images:
            self.patient, self.has_images = instance.patient, True
        elif is_image is self.has_images:
            self.patient = PatientKey(
                patient_id=self.patient.patient_id or instance.patient.patient_id,
                issuer=self.patient.issuer or instance.patient.issuer,
            )
        if not all(self.said.values()):
            self.said = {column: value or said_by(instance)[column] for column, value in self.said.items()}


@dataclass(slots=True, kw_only=True)
class _Placing:
    """What the batch adds."""

    rows: list[_Row] = field(default_factory=list)
    taken_up: list[_Row] = field(default_factory=list)
    """Rows that are there already and are used from now on: the values of `_TAKEN_UP`."""
    foreign: list[tuple[_Row, dict[str, str]]] = field(default_factory=list)
    """Instances of other patients, each with what it says for the columns `SAID_BY_SENDER`."""
    by_study: dict[str, _Filed] = field(default_factory=dict)


def record_batch(engine: Engine, batch: Sequence[ReceivedInstance], *, at: datetime) -> tuple[Recorded, ...]:
    """Store what is new of a batch and move the studies that it concerns; on disk when this returns.

    Returns:
        One answer for each instance, in the order of the batch.
    """
    short_way = partial(_record_further_prepared, batch=batch, dialect=engine.dialect)
    return write_prepared(engine, short_way) or write_rows(engine, partial(_record_batch, batch=batch, at=at))


def _record_further_prepared(
    connection: DriverConnection, batch: Sequence[ReceivedInstance], *, dialect: Dialect
) -> tuple[Recorded, ...] | None:
    answers = record_further(StatementsOfDriver(connection, dialect), batch)
    return _about_to_commit(answers) if answers else None


def _record_batch(connection: Connection, batch: Sequence[ReceivedInstance], *, at: datetime) -> tuple[Recorded, ...]:
    answers = record_further(StatementsOnConnection(connection), batch) or _record(connection, batch, at=at)
    return _about_to_commit(answers)


def _about_to_commit(answers: tuple[Recorded, ...]) -> tuple[Recorded, ...]:
    reach("index.before_commit")
    return answers


def _record(connection: Connection, batch: Sequence[ReceivedInstance], *, at: datetime) -> tuple[Recorded, ...]:
    """The long way, for instances of any kind."""
    known = _look_up(connection, batch, at=at)
    placing = _Placing()
    answers = tuple(_place(instance, known, placing) for instance in batch)
    if placing.rows:
        connection.execute(insert(Instance), placing.rows)
    if placing.taken_up:
        connection.execute(_TAKEN_UP, placing.taken_up)
    for row, said in placing.foreign:
        _insert_foreign(connection, row, said)
    for study_uid, images in _images_by_study(batch, answers).items():
        known.studies[study_uid] = as_received(connection, known.studies[study_uid], images, at=at)
    for study_uid, filed in placing.by_study.items():
        if filed.has_new_images and leaves_its_batches(connection, study_uid, at=at):
            note(connection, known.studies[study_uid].standing, Event.INSTANCE_ARRIVED, why=SENT_BESIDE_BATCH, at=at)
        _take_in(connection, known.studies[study_uid], filed, at=at)
    study_ids = {uid: study.standing.study_id for uid, study in known.studies.items()}
    note_carried(connection, batch, study_ids=study_ids, at=at)
    return answers


def _images_by_study(
    batch: Sequence[ReceivedInstance], answers: Sequence[Recorded]
) -> dict[str, list[ReceivedInstance]]:
    """What the pipeline reads, whether it is new or not."""
    images: defaultdict[str, list[ReceivedInstance]] = defaultdict(list)
    for instance, answer in zip(batch, answers, strict=True):
        if instance.sop_class_uid in STARTS_WORK and answer is not Recorded.OWN_RESULT:
            images[instance.study_instance_uid].append(instance)
    return images


def _demographics(instance: ReceivedInstance) -> Demographics:
    return Demographics(patient_name=instance.patient_name, birth_date=instance.birth_date, sex=instance.sex)


def _look_up(connection: Connection, batch: Sequence[ReceivedInstance], *, at: datetime) -> _Known:
    patients = patient_keys(connection, (instance.patient for instance in batch))
    studies = known_studies(connection, batch, patients=patients, at=at)
    series = series_keys(connection, batch, studies=studies)
    return _Known(
        patients=patients,
        studies=studies,
        series=series,
        copies=_known_copies(connection, batch, series),
        own_results=_own_results(connection, batch),
    )


def _known_copies(
    connection: Connection, batch: Sequence[ReceivedInstance], series: dict[SeriesUids, int]
) -> dict[tuple[int, str], dict[str, Use]]:
    keys = {(series[i.study_instance_uid, i.series_instance_uid], i.sop_instance_uid) for i in batch}
    rows = connection.execute(
        select(Instance.series_id, Instance.sop_instance_uid, Instance.sha256, Instance.use).where(
            tuple_(Instance.series_id, Instance.sop_instance_uid).in_(keys)
        )
    )
    copies: dict[tuple[int, str], dict[str, Use]] = defaultdict(dict)
    for row in rows:
        copies[row.series_id, row.sop_instance_uid][row.sha256] = row.use
    return copies


def _own_results(connection: Connection, batch: Sequence[ReceivedInstance]) -> frozenset[str]:
    uids = [instance.sop_instance_uid for instance in batch]
    found = select(ResultObject.sop_instance_uid).where(ResultObject.sop_instance_uid.in_(uids))
    return frozenset(connection.execute(found).scalars())


def _place(instance: ReceivedInstance, known: _Known, placing: _Placing) -> Recorded:
    """Say what an instance is; a row is added unless the same bytes are there already."""
    series_id = known.series[instance.study_instance_uid, instance.series_instance_uid]
    copies = known.copies[series_id, instance.sop_instance_uid]
    is_first = _TAKES_THE_PLACE.isdisjoint(copies.values())
    if instance.sha256 in copies and not (is_first and copies[instance.sha256] is Use.OTHER_BYTES):
        return Recorded.DUPLICATE
    study = known.studies[instance.study_instance_uid]
    filed = placing.by_study.setdefault(
        instance.study_instance_uid,
        _Filed(patient=study.patient, has_images=study.has_images, said=dict(study.said)),
    )
    if instance.sha256 in copies:
        return _place_again(instance, filed, placing, series_id=series_id, copies=copies)
    use = _use(instance, known, filed, is_first=is_first)
    patient_key = known.patients[instance.patient]
    row = {"series_id": series_id, "copy": len(copies), "use": use, "patient_key": patient_key} | instance_columns(
        instance
    )
    if use is Use.OTHER_PATIENT:
        placing.foreign.append((row, said_by(instance)))
    else:
        placing.rows.append(row)
    copies[instance.sha256] = use
    return _RECORDED_FROM_USE[use]


def _place_again(
    instance: ReceivedInstance, filed: _Filed, placing: _Placing, *, series_id: int, copies: dict[str, Use]
) -> Recorded:
    """Use what an older version put aside for a copy of another patient, if it says the same as the study by now."""
    if filed.contradictions(instance):
        return Recorded.DUPLICATE
    placing.taken_up.append({"series": series_id, "sop": instance.sop_instance_uid, "hash": instance.sha256})
    filed.learn(instance)
    filed.taken_up_count += 1
    copies[instance.sha256] = Use.USED
    return Recorded.NEW


def _use(instance: ReceivedInstance, known: _Known, filed: _Filed, *, is_first: bool) -> Use:
    """What an instance is good for; the study learns from one that is used."""
    if instance.is_of_our_make or instance.sop_instance_uid in known.own_results:
        use = Use.OWN_RESULT
    elif contradicting := filed.contradictions(instance):
        use = Use.OTHER_PATIENT
        filed.contradicting = filed.contradicting or contradicting
    elif is_first:
        use = Use.USED
        filed.learn(instance)
    else:
        use = Use.OTHER_BYTES
    filed.uses.append(use)
    return use


def _insert_foreign(connection: Connection, row: _Row, said: dict[str, str]) -> None:
    """An instance of another patient, with whom it names: its patient key alone may be the study's own."""
    instance_id = connection.execute(insert(Instance).values(row).returning(Instance.id)).scalar_one()
    connection.execute(insert(ForeignPatient).values(instance_id=instance_id, **said))


def _take_in(connection: Connection, study: KnownStudy, filed: _Filed, *, at: datetime) -> None:
    """Move a study for what came, and update what it says about itself."""
    standing = study.standing
    if Use.OTHER_BYTES in filed.uses and not study.conflict_count:
        standing = move(connection, standing, Event.CONFLICT_FOUND, why=OTHER_BYTES, at=at)
    if filed.contradicting:
        why = f"an instance came that names another patient by {_listed(filed.contradicting)}; it is kept, not used"
        standing = move(connection, standing, Event.PATIENT_CONTRADICTED, why=why, at=at)
    elif filed.has_new_images and study.has_identity_conflict:
        standing = move(connection, standing, Event.PATIENT_CONTRADICTED, why=STILL_MIXED, at=at)
    elif filed.has_new_images:
        standing = move(connection, standing, Event.INSTANCE_ARRIVED, why=MORE, at=at)
    values = _study_columns(study, filed)
    if filed.patient != study.patient:
        values["patient_key"] = patient_keys(connection, [filed.patient])[filed.patient]
        why = f"the study is of another patient than before by its {_listed(differing_keys(study.patient, filed.patient))}"
        note(connection, standing, Event.INSTANCE_ARRIVED, why=f"{why}, which an instance named", at=at)
    connection.execute(update(Study).where(Study.id == standing.study_id).values(**values))


def _listed(attributes: tuple[Attribute, ...]) -> str:
    """Names of attributes, which are never their values."""
    return " and ".join(attributes)


def _study_columns(study: KnownStudy, filed: _Filed) -> dict[str, Any]:
    conflicts = [use for use in filed.uses if use in _CONFLICTS]
    return {
        "instance_count": study.instance_count + len(filed.used),
        "conflict_count": study.conflict_count + len(conflicts) - filed.taken_up_count,
        "has_identity_conflict": study.has_identity_conflict or bool(filed.contradicting),
        "last_instance_at": max([study.last_instance_at, *(instance.received_at for instance in filed.used)]),
        **acquired_columns(study, filed.used),
        **filed.said,
    }
