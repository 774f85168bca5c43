"""Studies whose instances name two patients: who is in them, and how an operator decides."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from storage.batch_models import BatchFinding, BatchStudy
from storage.database import AnyRow, AnySelect
from storage.errors import NotHeldError, UnknownChoiceError
from storage.identity import contradicting_keys
from storage.instance_rows import DEMOGRAPHICS
from storage.life import Standing, move, standing_of
from storage.lifecycle import Event, State
from storage.link_models import ForeignPatient
from storage.models import Instance, Patient, Result, Series, Study, Use
from storage.parents import SAID_BY_SENDER, patient_keys
from storage.records import CT, Demographics, NamedPatient, PatientKey
from storage.starts_work import STARTS_WORK


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A patient in a study, with the instances that name them."""

    patient: PatientKey
    said: dict[str, str]
    """Values of the columns `SAID_BY_SENDER`."""
    rows: tuple[AnyRow, ...]
    """Of the instances, in the order of their arrival."""
    is_of_study: bool

    @property
    def demographics(self) -> Demographics:
        """Whom they name."""
        return Demographics(**{column: self.said[column] for column in DEMOGRAPHICS})

    @property
    def instance_ids(self) -> list[int]:
        """Keys of the instances."""
        return [row.id for row in self.rows]

    @property
    def instance_count(self) -> int:
        """Without those that came again with other bytes."""
        return sum(row.use is not Use.OTHER_BYTES for row in self.rows)


def patients_in(connection: Connection, study_id: int) -> tuple[NamedPatient, ...]:
    """The patients whom the instances of a study name, in the order in which the first instance of each came.

    So the number of a patient stays theirs, whoever comes later and whoever is chosen. There are none where there is but one, or where all instances were said to be of one person.
    """
    named = _named(connection, study_id)
    if not any(row.use is Use.OTHER_PATIENT for one in named for row in one.rows):
        return ()
    return tuple(
        NamedPatient(
            number=number,
            patient=one.patient,
            demographics=one.demographics,
            instance_count=one.instance_count,
            is_of_study=one.is_of_study,
        )
        for number, one in enumerate(named, start=1)
    )


def is_mixed(connection: Connection, study_id: int) -> bool:
    """Whether the instances of a study name two patients, and no operator decided yet."""
    return bool(connection.execute(select(Study.has_identity_conflict).where(Study.id == study_id)).scalar_one())


def release(connection: Connection, study_instance_uid: str, number: int, *, by: str, at: datetime) -> State:
    """Take a held study with the instances of one of its patients; those of the others stay, unused.

    Args:
        connection: In a writing transaction.
        study_instance_uid: Of the study.
        number: Of the patient, as `patients_in` counts.
        by: Operator.
        at: Now.

    Raises:
        NotHeldError: The study does not name two patients.
        UnknownChoiceError: It has no patient of this number.
        UnknownStudyError: The index has no such study.
        IllegalTransitionError: The study stands where nothing is released.
    """
    study, named = _mixed(connection, study_instance_uid)
    if not 1 <= number <= len(named):
        raise UnknownChoiceError(len(named))
    chosen = named[number - 1]
    if not chosen.is_of_study:
        before = next((one for one in named if one.is_of_study), None)
        _take_over(connection, study.study_id, before, chosen)
        # What was searched for so far, was searched for under the patient before.
        study = replace(study, revision=study.revision + 1)
    if any(row.use is Use.USED for one in named if one is not chosen for row in one.rows):
        _void_findings(connection, study.study_id, study_instance_uid)
    for one in named:
        _set_use(connection, one.instance_ids, Use.OTHER_PATIENT)
    _use_only(connection, study.study_id, chosen.rows)
    why = f"patient {number} of {len(named)} was chosen by {by}; the instances of the others are kept, not used"
    return _release(connection, study, why=why, at=at)


def release_all(connection: Connection, study_instance_uid: str, *, by: str, at: datetime) -> State:
    """Take a held study with all its instances: they are of one person, under the patient that it stands under.

    Raises:
        NotHeldError: The study does not name two patients.
        UnknownStudyError: The index has no such study.
        IllegalTransitionError: The study stands where nothing is released.
    """
    study, named = _mixed(connection, study_instance_uid)
    _use_only(connection, study.study_id, [row for one in named for row in one.rows])
    return _release(connection, study, why=f"{by} said that all instances are of one person; all are used", at=at)


def _mixed(connection: Connection, study_instance_uid: str) -> tuple[Standing, list[_Named]]:
    """A study that names two patients, with them."""
    study = standing_of(connection, study_instance_uid)
    if not is_mixed(connection, study.study_id):
        raise NotHeldError
    return study, _named(connection, study.study_id)


def _void_findings(connection: Connection, study_id: int, study_instance_uid: str) -> None:
    """What was found so far says nothing of the patient: in the study's results, and in the tables of batches."""
    connection.execute(update(Result).where(Result.study_id == study_id).values(is_of_other_patient=True))
    rows = select(BatchStudy.id).where(BatchStudy.study_instance_uid == study_instance_uid)
    connection.execute(delete(BatchFinding).where(BatchFinding.batch_study_id.in_(rows)))


def _release(connection: Connection, study: Standing, *, why: str, at: datetime) -> State:
    state = move(connection, study, Event.RELEASED, why=why, at=at).state
    connection.execute(update(Study).where(Study.id == study.study_id).values(has_identity_conflict=False))
    return state


def _named(connection: Connection, study_id: int) -> list[_Named]:
    """The patients in the order of their first instance."""
    study = connection.execute(
        select(Study, Patient.patient_id, Patient.issuer)
        .join(Patient, Patient.id == Study.patient_key)
        .where(Study.id == study_id)
    ).one()
    rows = connection.execute(_instances(study_id)).all()
    named = (_own(study, rows), *_foreign(rows))
    return sorted((one for one in named if one.rows), key=lambda one: one.rows[0].id)


def _own(study: AnyRow, rows: Sequence[AnyRow]) -> _Named:
    """The patient of the study, with what is used of them and its copies with other bytes."""
    used = {_name_of(row) for row in rows if row.use is Use.USED}
    return _Named(
        patient=PatientKey(patient_id=study.patient_id, issuer=study.issuer),
        said={column: getattr(study, column) for column in SAID_BY_SENDER},
        rows=tuple(row for row in rows if not _is_foreign(row) and _name_of(row) in used),
        is_of_study=True,
    )


def _foreign(rows: Sequence[AnyRow]) -> list[_Named]:
    """The other patients."""
    by_words: defaultdict[tuple[str, ...], list[AnyRow]] = defaultdict(list)
    for row in filter(_is_foreign, rows):
        by_words[row.patient_id, row.issuer, *(getattr(row, column) for column in DEMOGRAPHICS)].append(row)
    return [
        _Named(
            patient=_patient_of(of_one),
            said={column: _first_said(of_one, column) for column in SAID_BY_SENDER},
            rows=tuple(sorted(of_one, key=lambda row: row.id)),
            is_of_study=False,
        )
        for of_one in _joined(by_words)
    ]


def _joined(by_words: Mapping[tuple[str, ...], Sequence[AnyRow]]) -> Iterator[list[AnyRow]]:
    """Instances of one patient together: as with that of the study, ID or issuer left out contradicts nothing."""
    by_demographics: defaultdict[tuple[str, ...], list[list[AnyRow]]] = defaultdict(list)
    for (_, _, *said), rows in by_words.items():
        groups = by_demographics[tuple(said)]
        alike = (one for one in groups if not contradicting_keys(_patient_of(one), _patient_of(rows)))
        if of_one := next(alike, None):
            of_one.extend(rows)
        else:
            groups.append(list(rows))
    return chain.from_iterable(by_demographics.values())


def _patient_of(rows: Sequence[AnyRow]) -> PatientKey:
    """Whom instances of one patient name; the images alone say it where there are any."""
    saying = [row for row in rows if row.sop_class_uid in STARTS_WORK] or rows
    return PatientKey(patient_id=_first_said(saying, "patient_id"), issuer=_first_said(saying, "issuer"))


def _first_said(rows: Sequence[AnyRow], column: str) -> str:
    """What the first of the instances that say anything says."""
    return next((value for row in rows if (value := getattr(row, column))), "")


def _is_foreign(row: AnyRow) -> bool:
    """Whether an instance names another patient than the study, also where all are used as of one person."""
    return row.patient_name is not None or row.use is Use.OTHER_PATIENT


def _name_of(row: AnyRow) -> tuple[int, str]:
    """What the copies of an instance have in common."""
    return row.series_id, row.sop_instance_uid


def _instances(study_id: int) -> AnySelect:
    """What was received for a study, with whom an instance names that contradicts it; else their columns are null."""
    said = (getattr(ForeignPatient, column) for column in SAID_BY_SENDER)
    return (
        select(Instance, Series.modality, Patient.patient_id, Patient.issuer, *said)
        .join(Series, Series.id == Instance.series_id)
        .join(Patient, Patient.id == Instance.patient_key)
        .outerjoin(ForeignPatient, ForeignPatient.instance_id == Instance.id)
        .where(Series.study_id == study_id, Instance.use != Use.OWN_RESULT)
        .order_by(Instance.id)
    )


def _take_over(connection: Connection, study_id: int, before: _Named | None, chosen: _Named) -> None:
    """Let the study stand under another patient, to whom the one before is then the stranger."""
    # One after the other: a study may have more instances than a statement may have parameters.
    chosen_ids = [{"key": instance_id} for instance_id in chosen.instance_ids]
    connection.execute(delete(ForeignPatient).where(ForeignPatient.instance_id == bindparam("key")), chosen_ids)
    if before:
        rows = [{"instance_id": instance_id} | before.said for instance_id in before.instance_ids]
        connection.execute(insert(ForeignPatient), rows)
    key = patient_keys(connection, [chosen.patient])[chosen.patient]
    values = {"patient_key": key} | chosen.said
    connection.execute(update(Study).where(Study.id == study_id).values(values))


def _use_only(connection: Connection, study_id: int, rows: Sequence[AnyRow]) -> None:
    """Let the pipeline read these instances, and count anew what the study holds.

    Of copies with other bytes it is the one that is in use, else the first.
    """
    chosen: dict[tuple[int, str], AnyRow] = {}
    for row in sorted(rows, key=lambda row: (row.use is not Use.USED, row.id)):
        chosen.setdefault(_name_of(row), row)
    used = list(chosen.values())
    _set_use(connection, [row.id for row in rows], Use.OTHER_BYTES)
    _set_use(connection, [row.id for row in used], Use.USED)
    of_study = Instance.series_id.in_(select(Series.id).where(Series.study_id == study_id))
    unused = select(func.count()).where(of_study, Instance.use.in_((Use.OTHER_PATIENT, Use.OTHER_BYTES)))
    instants = [row.acquired_at for row in used if row.acquired_at]
    ct_instants = [row.acquired_at for row in used if row.acquired_at and row.modality == CT]
    values: dict[str, object] = {
        "acquired_at": min(instants, default=None),
        "ct_acquired_at": min(ct_instants, default=None),
        "instance_count": len(used),
        "conflict_count": connection.execute(unused).scalar_one(),
    }
    if used:
        values["last_instance_at"] = max(row.received_at for row in used)
    connection.execute(update(Study).where(Study.id == study_id).values(values))


def _set_use(connection: Connection, instance_ids: Sequence[int], use: Use) -> None:
    if instance_ids:
        statement = update(Instance).where(Instance.id == bindparam("key")).values(use=use)
        connection.execute(statement, [{"key": instance_id} for instance_id in instance_ids])
