"""Jane, who has another name since she married: an index with a study of hers under each."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from builders.clock import FakeClock
from builders.index import JANE, NOON, build_index, database_url, received
from storage.database import open_engine
from storage.index import Index
from storage.patient_index import PatientIndex
from storage.records import Demographics, PatientKey, ReceivedInstance

OTHER_JANE = PatientKey(patient_id="99", issuer="OLD")
MAIDEN = Demographics(patient_name="Doe^Jane", birth_date="19500102", sex="F")
MARRIED = replace(MAIDEN, patient_name="Roe^Jane")
MISTYPED = replace(MAIDEN, birth_date="19500201")


def study(uid: str, who: Demographics, *, days_ago: float, patient: PatientKey = JANE) -> ReceivedInstance:
    """The only instance of a study."""
    said = {"patient_name": who.patient_name, "birth_date": who.birth_date, "sex": who.sex}
    return received(uid, patient=patient, acquired_at=NOON - timedelta(days=days_ago), **said)


def index_of_jane(folder: Path) -> Index:
    """Jane's study from before her marriage, and one from after it."""
    index = build_index(folder, FakeClock())
    index.record_received([study("1.1", MAIDEN, days_ago=400), study("1.2", MARRIED, days_ago=100)])
    return index


def said_by_admin(folder: Path) -> PatientIndex:
    """What administrators say, as the operator admin."""
    return PatientIndex(open_engine(database_url(folder)), now=FakeClock().now, by="admin")
