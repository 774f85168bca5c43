"""Puts received instances into the index."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, tuple_, update

from storage.carrying import note_carried
from storage.life import move
from storage.lifecycle import Event
from storage.models import Instance, ResultObject, Study, Use
from storage.parents import KnownStudy, SeriesUids, known_studies, patient_keys, said_by, series_keys
from storage.records import PatientKey, ReceivedInstance, Recorded

CT = "CT"
"""Modality of computed tomography (PS3.3 C.7.3.1.1.1)."""

MORE = "a further instance was received"

_RECORDED_FROM_USE = {
    Use.USED: Recorded.NEW,
    Use.OTHER_BYTES: Recorded.CONFLICT,
    Use.OTHER_PATIENT: Recorded.OTHER_PATIENT,
    Use.OWN_RESULT: Recorded.OWN_RESULT,
}

_WHY_CONFLICT = {
    Use.OTHER_BYTES: "an instance came again with other bytes; the first one stays in use",
    Use.OTHER_PATIENT: "an instance of another patient came under this Study Instance UID; it is kept, not used",
}

_Placed = tuple[ReceivedInstance, Use]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the index knows about a batch."""

    patients: dict[PatientKey, int]
    studies: dict[str, KnownStudy]
    series: dict[SeriesUids, int]
    copies: dict[tuple[int, str], list[str]]
    """Hashes of the copies of each instance, by series and SOP Instance UID."""
    own_results: frozenset[str]
    """SOP Instance UIDs of the batch that are our results."""


@dataclass(slots=True)
class _Placing:
    """What the batch adds."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    by_study: dict[str, list[_Placed]] = field(default_factory=lambda: defaultdict(list))


def record_batch(connection: Connection, batch: Sequence[ReceivedInstance], *, at: datetime) -> tuple[Recorded, ...]:
    """Store what is new of a batch and move the studies that it concerns.

    Returns:
        One answer for each instance, in the order of the batch.
    """
    known = _look_up(connection, batch, at=at)
    placing = _Placing()
    answers = tuple(_place(instance, known, placing) for instance in batch)
    if placing.rows:
        connection.execute(insert(Instance), placing.rows)
    for study_uid, placed in placing.by_study.items():
        _take_in(connection, known.studies[study_uid], placed, at=at)
    study_ids = {uid: study.standing.study_id for uid, study in known.studies.items()}
    note_carried(connection, batch, study_ids=study_ids, at=at)
    return answers


def contradict(one: PatientKey, other: PatientKey) -> bool:
    """Whether two instances of one study name different patients; an issuer that one leaves out contradicts nothing."""
    issuers_differ = bool(one.issuer and other.issuer) and one.issuer != other.issuer
    return one.patient_id != other.patient_id or issuers_differ


def _look_up(connection: Connection, batch: Sequence[ReceivedInstance], *, at: datetime) -> _Known:
    patients = patient_keys(connection, batch)
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
) -> dict[tuple[int, str], list[str]]:
    keys = {(series[i.study_instance_uid, i.series_instance_uid], i.sop_instance_uid) for i in batch}
    rows = connection.execute(
        select(Instance.series_id, Instance.sop_instance_uid, Instance.sha256).where(
            tuple_(Instance.series_id, Instance.sop_instance_uid).in_(keys)
        )
    )
    copies: dict[tuple[int, str], list[str]] = defaultdict(list)
    for row in rows:
        copies[row.series_id, row.sop_instance_uid].append(row.sha256)
    return copies


def _own_results(connection: Connection, batch: Sequence[ReceivedInstance]) -> frozenset[str]:
    uids = [instance.sop_instance_uid for instance in batch]
    found = select(ResultObject.sop_instance_uid).where(ResultObject.sop_instance_uid.in_(uids))
    return frozenset(connection.execute(found).scalars())


def _place(instance: ReceivedInstance, known: _Known, placing: _Placing) -> Recorded:
    """Say what an instance is; a row is added unless the same bytes are there already."""
    series_id = known.series[instance.study_instance_uid, instance.series_instance_uid]
    copies = known.copies[series_id, instance.sop_instance_uid]
    if instance.sha256 in copies:
        return Recorded.DUPLICATE
    use = _use(instance, known, is_first=not copies)
    patient_key = known.patients[instance.patient]
    placing.rows.append(
        {"series_id": series_id, "copy": len(copies), "use": use, "patient_key": patient_key} | _columns(instance)
    )
    placing.by_study[instance.study_instance_uid].append((instance, use))
    copies.append(instance.sha256)
    return _RECORDED_FROM_USE[use]


def _use(instance: ReceivedInstance, known: _Known, *, is_first: bool) -> Use:
    if instance.sop_instance_uid in known.own_results:
        return Use.OWN_RESULT
    if contradict(instance.patient, known.studies[instance.study_instance_uid].patient):
        return Use.OTHER_PATIENT
    return Use.USED if is_first else Use.OTHER_BYTES


def _columns(instance: ReceivedInstance) -> dict[str, Any]:
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "instance_number": instance.instance_number,
        "acquired_at": instance.acquired_at,
        "sha256": instance.sha256,
        "size_bytes": instance.size_bytes,
        "relative_path": instance.relative_path,
        "calling_aet": instance.calling_aet,
        "called_aet": instance.called_aet,
        "received_at": instance.received_at,
        "slice_position_mm": instance.slice_position_mm,
    }


def _take_in(connection: Connection, study: KnownStudy, placed: list[_Placed], *, at: datetime) -> None:
    """Move a study for what came, and update what it says about itself."""
    uses = {use for _, use in placed}
    standing = study.standing
    for use in _new_conflicts(study, uses):
        standing = move(connection, standing, Event.CONFLICT_FOUND, why=_WHY_CONFLICT[use], at=at)
    if uses & {Use.USED, Use.OTHER_PATIENT}:
        standing = move(connection, standing, Event.INSTANCE_ARRIVED, why=MORE, at=at)
    connection.execute(update(Study).where(Study.id == standing.study_id).values(**_study_columns(study, placed)))


def _new_conflicts(study: KnownStudy, uses: set[Use]) -> tuple[Use, ...]:
    """Conflicts that the history of the study does not tell yet; the others are only counted."""
    is_told = {Use.OTHER_BYTES: study.conflict_count > 0, Use.OTHER_PATIENT: study.has_identity_conflict}
    return tuple(use for use in _WHY_CONFLICT if use in uses and not is_told[use])


def _study_columns(study: KnownStudy, placed: list[_Placed]) -> dict[str, Any]:
    used = [instance for instance, use in placed if use is Use.USED]
    conflicts = [use for _, use in placed if use in _WHY_CONFLICT]
    return {
        "instance_count": study.instance_count + len(used),
        "conflict_count": study.conflict_count + len(conflicts),
        "has_identity_conflict": study.has_identity_conflict or Use.OTHER_PATIENT in conflicts,
        "last_instance_at": max([study.last_instance_at, *(instance.received_at for instance in used)]),
        "acquired_at": _earliest(study.acquired_at, used),
        "ct_acquired_at": _earliest(study.ct_acquired_at, [instance for instance in used if instance.modality == CT]),
        **_filled(study.said, used),
    }


def _earliest(known: datetime | None, instances: list[ReceivedInstance]) -> datetime | None:
    instants = [known, *(instance.acquired_at for instance in instances)]
    return min((instant for instant in instants if instant), default=None)


def _filled(said: dict[str, str], used: list[ReceivedInstance]) -> dict[str, str]:
    """What the study says, its gaps filled from the instances in their order."""
    for instance in used:
        if all(said.values()):
            break
        said = {column: value or said_by(instance)[column] for column, value in said.items()}
    return said
