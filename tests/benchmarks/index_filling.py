"""Fills an index with rows straight into its tables, for benchmarks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Engine, insert, text

from storage.database import open_engine, writing
from storage.lifecycle import State
from storage.migrations import migrate
from storage.models import Delivery, Instance, Patient, Progress, Result, ResultObject, Series, Study, Use

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
INSTANCES_PER_STUDY = 100
STUDIES_PER_PATIENT = 4
WAITING_STUDIES = {State.RECEIVING: 20, State.READY: 20, State.PROCESSED: 50}
"""The last studies of the index; all others are delivered."""
CHUNK = 20_000
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def fill(url: str, *, studies: int) -> None:
    """Put all rows into an empty index, in large transactions, without a sync for each; leaves no WAL behind."""
    migrate(url)
    engine = open_engine(url)
    tables: tuple[tuple[Any, Iterator[dict[str, object]]], ...] = (
        (Patient, patient_rows(studies)),
        (Study, study_rows(studies)),
        (Series, series_rows(studies)),
        (Instance, instance_rows(studies)),
    )
    for table, rows in tables:
        put(engine, table, rows)
    with writing(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO attempt (id, study_id, revision, number, owner, started_at, lease_until, ended_at, reason)"
                " SELECT id, id, 1, 1, 'w', state_since, state_since, state_since, '' FROM study"
            )
        )
    for table, rows in (
        (Result, result_rows(studies)),
        (ResultObject, result_file_rows(studies)),
        (Delivery, delivery_rows(studies)),
    ):
        put(engine, table, rows)
    engine.dispose()


def put(engine: Engine, table: Any, rows: Iterator[dict[str, object]]) -> None:
    """Insert rows in chunks."""
    while chunk := list(islice(rows, CHUNK)):
        with writing(engine) as connection:
            connection.execute(insert(table), chunk)


def study_uid(number: int) -> str:
    """Of a study of the filling."""
    return f"1.2.826.0.1.3680043.8.498.{10**20 + number}"


def state_of(number: int, studies: int) -> State:
    """Most are delivered; the last ones stand where work waits."""
    left = studies - number
    for state, count in WAITING_STUDIES.items():
        if left <= count:
            return state
        left -= count
    return State.DELIVERED


def patient_rows(studies: int) -> Iterator[dict[str, object]]:
    """One for each few studies."""
    for number in range(studies // STUDIES_PER_PATIENT + 1):
        yield {"id": number + 1, "patient_id": f"P{number:08}", "issuer": "CITY"}


def study_rows(studies: int) -> Iterator[dict[str, object]]:
    """CT studies, a patient's spread over about two years."""
    patients = studies // STUDIES_PER_PATIENT + 1
    for number in range(studies):
        at = NOW - timedelta(days=200 * (number // patients), minutes=number)
        yield {
            "id": number + 1,
            "study_instance_uid": study_uid(number),
            "patient_key": number % patients + 1,
            "patient_name": "Doe^Jane",
            "birth_date": "19500102",
            "sex": "F",
            "accession_number": f"A{number}",
            "description": "CT chest",
            "acquired_at": at,
            "ct_acquired_at": at,
            "state": state_of(number, studies),
            "state_since": at,
            "reason": "every destination has every object",
            "revision": 1,
            "opened_at": at,
            "last_instance_at": at,
            "instance_count": INSTANCES_PER_STUDY,
            "conflict_count": 0,
        }


def series_rows(studies: int) -> Iterator[dict[str, object]]:
    """One for each study."""
    for number in range(studies):
        yield {
            "id": number + 1,
            "study_id": number + 1,
            "series_instance_uid": f"{study_uid(number)}.1",
            "modality": "CT",
            "description": "Lung 1.0",
            "body_part": "CHEST",
        }


def instance_rows(studies: int) -> Iterator[dict[str, object]]:
    """The many."""
    for number in range(studies * INSTANCES_PER_STUDY):
        digest = f"{number:064x}"
        yield {
            "series_id": number // INSTANCES_PER_STUDY + 1,
            "sop_instance_uid": f"1.2.826.0.1.3680043.8.498.{10**30 + number * 7919}",
            "copy": 0,
            "use": Use.USED,
            "patient_key": 1,
            "sop_class_uid": CT_IMAGE,
            "transfer_syntax_uid": LITTLE_ENDIAN,
            "instance_number": number % INSTANCES_PER_STUDY,
            "acquired_at": NOW,
            "sha256": digest,
            "size_bytes": 526_000,
            "relative_path": f"objects/{digest[:2]}/{digest}.dcm",
            "calling_aet": "CT1",
            "called_aet": "DICOMNODE",
            "received_at": NOW,
        }


def result_rows(studies: int) -> Iterator[dict[str, object]]:
    """One for each study."""
    for number in range(studies):
        yield {"id": number + 1, "study_id": number + 1, "attempt_id": number + 1, "revision": 1, "created_at": NOW}


def result_file_rows(studies: int) -> Iterator[dict[str, object]]:
    """One report for each study."""
    for number in range(studies):
        yield {
            "id": number + 1,
            "result_id": number + 1,
            "kind": "sr",
            "path": f"results/{number:032x}/r1/sr.dcm",
            "sha256": f"{number:064x}",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.34",
            "sop_instance_uid": f"2.25.{10**30 + number}",
            "transfer_syntax_uid": LITTLE_ENDIAN,
        }


def delivery_rows(studies: int) -> Iterator[dict[str, object]]:
    """One for each report; those of the studies that are processed wait."""
    for number in range(studies):
        waits = state_of(number, studies) is State.PROCESSED
        yield {
            "study_id": number + 1,
            "result_file_id": number + 1,
            "destination": "PACS",
            "state": Progress.WAITING if waits else Progress.DELIVERED,
            "tries": 1,
            "created_at": NOW,
            "next_try_at": NOW,
            "last_status": "",
        }
