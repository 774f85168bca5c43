"""Studies whose instances name two patients: who is in them, and how an operator decides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from storage.database import AnyRow, AnySelect
from storage.errors import NotHeldError, UnknownChoiceError
from storage.life import Standing, move, standing_of
from storage.lifecycle import Event, State
from storage.link_models import ForeignPatient
from storage.models import Instance, Patient, Series, Study, Use
from storage.parents import CT
from storage.records import Demographics, NamedPatient, PatientKey


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A patient in a study, with the instances that name them."""

    patient_key: int
    patient: PatientKey
    demographics: Demographics
    instance_ids: tuple[int, ...]
    is_of_study: bool


def patients_in(connection: Connection, study_id: int) -> tuple[NamedPatient, ...]:
    """The patients whom the instances of a study name, first the one that it stands under; none where there is but one."""
    named = _named(connection, study_id)
    return tuple(
        NamedPatient(
            number=number,
            patient=one.patient,
            demographics=one.demographics,
            instance_count=len(one.instance_ids),
            is_of_study=one.is_of_study,
        )
        for number, one in enumerate(named, start=1)
        if len(named) > 1
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
    if number > 1:
        _take_over(connection, study.study_id, named[0], named[number - 1])
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
    ids = {instance_id for one in named for instance_id in one.instance_ids}
    _use_only(connection, study.study_id, ids)
    return _release(connection, study, why=f"{by} said that all instances are of one person; all are used", at=at)


def _mixed(connection: Connection, study_instance_uid: str) -> tuple[Standing, list[_Named]]:
    """A study that names two patients, with them."""
    study = standing_of(connection, study_instance_uid)
    if not is_mixed(connection, study.study_id):
        raise NotHeldError
    return study, _named(connection, study.study_id)


def _release(connection: Connection, study: Standing, *, why: str, at: datetime) -> State:
    state = move(connection, study, Event.RELEASED, why=why, at=at).state
    unmixed = {"has_identity_conflict": False, "last_instance_at": at}
    connection.execute(update(Study).where(Study.id == study.study_id).values(unmixed))
    return state


def _named(connection: Connection, study_id: int) -> list[_Named]:
    """The patients in the order of their first instance, the one of the study before all."""
    row = connection.execute(
        select(Study, Patient.patient_id, Patient.issuer)
        .join(Patient, Patient.id == Study.patient_key)
        .where(Study.id == study_id)
    ).one()
    used = connection.execute(_instances(study_id).where(Instance.use == Use.USED)).all()
    first = _Named(
        patient_key=row.patient_key,
        patient=PatientKey(patient_id=row.patient_id, issuer=row.issuer),
        demographics=Demographics(patient_name=row.patient_name, birth_date=row.birth_date, sex=row.sex),
        instance_ids=tuple(instance.id for instance in used),
        is_of_study=True,
    )
    return [first, *_foreign(connection, study_id)]


def _foreign(connection: Connection, study_id: int) -> list[_Named]:
    wanted = _instances(study_id).where(Instance.use == Use.OTHER_PATIENT)
    groups: dict[tuple[int, Demographics], _Named] = {}
    for row in connection.execute(wanted):
        demographics = Demographics(
            patient_name=row.patient_name or "", birth_date=row.birth_date or "", sex=row.sex or ""
        )
        named = groups.setdefault(
            (row.patient_key, demographics),
            _Named(
                patient_key=row.patient_key,
                patient=PatientKey(patient_id=row.patient_id, issuer=row.issuer),
                demographics=demographics,
                instance_ids=(),
                is_of_study=False,
            ),
        )
        groups[row.patient_key, demographics] = replace(named, instance_ids=(*named.instance_ids, row.id))
    return list(groups.values())


def _instances(study_id: int) -> AnySelect:
    said = (ForeignPatient.patient_name, ForeignPatient.birth_date, ForeignPatient.sex)
    return (
        select(Instance, Series.modality, Patient.patient_id, Patient.issuer, *said)
        .join(Series, Series.id == Instance.series_id)
        .join(Patient, Patient.id == Instance.patient_key)
        .outerjoin(ForeignPatient, ForeignPatient.instance_id == Instance.id)
        .where(Series.study_id == study_id)
        .order_by(Instance.id)
    )


def _take_over(connection: Connection, study_id: int, before: _Named, chosen: _Named) -> None:
    """Let the study stand under another patient: their instances are used, those before are not."""
    said = {
        "patient_name": before.demographics.patient_name,
        "birth_date": before.demographics.birth_date,
        "sex": before.demographics.sex,
    }
    # One after the other: a study may have more instances than a statement may have parameters.
    chosen_ids = [{"key": instance_id} for instance_id in chosen.instance_ids]
    connection.execute(delete(ForeignPatient).where(ForeignPatient.instance_id == bindparam("key")), chosen_ids)
    if before.instance_ids:
        rows = [{"instance_id": instance_id} | said for instance_id in before.instance_ids]
        connection.execute(insert(ForeignPatient), rows)
    _set_use(connection, before.instance_ids, Use.OTHER_PATIENT)
    _use_only(connection, study_id, set(chosen.instance_ids))
    values = {
        "patient_key": chosen.patient_key,
        "patient_name": chosen.demographics.patient_name,
        "birth_date": chosen.demographics.birth_date,
        "sex": chosen.demographics.sex,
        # The other patient's, until an instance says more.
        "accession_number": "",
        "description": "",
    }
    connection.execute(update(Study).where(Study.id == study_id).values(values))


def _use_only(connection: Connection, study_id: int, instance_ids: set[int]) -> None:
    """Let the pipeline read these instances, of each its first copy, and count anew what the study holds."""
    copies = [row for row in connection.execute(_instances(study_id)) if row.id in instance_ids]
    first: dict[tuple[int, str], AnyRow] = {}
    for row in copies:
        first.setdefault((row.series_id, row.sop_instance_uid), row)
    used = list(first.values())
    _set_use(connection, [row.id for row in copies], Use.OTHER_BYTES)
    _set_use(connection, [row.id for row in used], Use.USED)
    of_study = Instance.series_id.in_(select(Series.id).where(Series.study_id == study_id))
    unused = select(func.count()).where(of_study, Instance.use.in_((Use.OTHER_PATIENT, Use.OTHER_BYTES)))
    instants = [row.acquired_at for row in used if row.acquired_at]
    ct_instants = [row.acquired_at for row in used if row.acquired_at and row.modality == CT]
    values = {
        "acquired_at": min(instants, default=None),
        "ct_acquired_at": min(ct_instants, default=None),
        "instance_count": len(used),
        "conflict_count": connection.execute(unused).scalar_one(),
    }
    connection.execute(update(Study).where(Study.id == study_id).values(values))


def _set_use(connection: Connection, instance_ids: Sequence[int], use: Use) -> None:
    if instance_ids:
        statement = update(Instance).where(Instance.id == bindparam("key")).values(use=use)
        connection.execute(statement, [{"key": instance_id} for instance_id in instance_ids])
