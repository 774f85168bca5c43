"""How long the questions take that the worker asks all the time, in an index of a million instances.

    python tests/benchmarks/index_queries.py --instances 1000000

Fills an index in a temporary folder, then asks each question many times through `storage.index`. The same question goes, in
the same run, to a bare connection to a copy of the file without our indexes: `ratio` says how many times longer that takes.
The last line is one JSON object; times are milliseconds.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2
from index_filling import (
    CT_IMAGE,
    INSTANCES_PER_STUDY,
    LITTLE_ENDIAN,
    NOW,
    STUDIES_PER_PATIENT,
    WAITING_STUDIES,
    fill,
    study_uid,
)

from storage.database import open_engine
from storage.index import Index
from storage.lifecycle import State
from storage.records import PatientKey, ReceivedInstance

MAXIMUM_AGE_DAYS = 730

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PRIORS_SQL = (
    "SELECT prior.* FROM study AS prior JOIN study AS current ON prior.patient_key = current.patient_key"
    " WHERE current.study_instance_uid = ? AND prior.ct_acquired_at < current.ct_acquired_at"
    " AND prior.ct_acquired_at >= current.ct_acquired_at - ? AND NOT prior.has_identity_conflict"
    " ORDER BY prior.ct_acquired_at DESC"
)
_COMPLETENESS_SQL = "SELECT * FROM study WHERE state = 'receiving' ORDER BY state_since, id"
_READY_SQL = "SELECT id, study_instance_uid FROM study WHERE state = 'ready' ORDER BY state_since, id LIMIT 1"
_DELIVERIES_SQL = (
    "SELECT delivery.*, result_file.*, study.study_instance_uid FROM delivery"
    " JOIN result_file ON result_file.id = delivery.result_file_id JOIN study ON study.id = delivery.study_id"
    " WHERE delivery.state = 'waiting' AND delivery.destination = 'PACS' AND delivery.next_try_at <= ?"
    " ORDER BY delivery.next_try_at, delivery.id LIMIT 50"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How long something took: by the clock on the wall, and by the processor, which other programs do not delay."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question in our words and in plain SQL."""

    name: str
    ours: Callable[[str], object]
    sql: str
    arguments: Callable[[str], tuple[object, ...]]


def main() -> None:
    """Fill, ask, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=None, help="where to make the index (removed afterwards)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report = measure(Path(folder), instances=options.instances, repeats=options.repeats)
    sys.stdout.write(json.dumps(report) + "\n")


def measure(folder: Path, *, instances: int, repeats: int) -> dict[str, object]:
    """Figures of every question, and of receiving a batch of eight."""
    studies = max(instances // INSTANCES_PER_STUDY, sum(WAITING_STUDIES.values()) + STUDIES_PER_PATIENT)
    url = f"sqlite:///{folder}/index.sqlite"
    started = time.perf_counter()
    fill(url, studies=studies)
    sys.stdout.write(f"filled {studies * INSTANCES_PER_STUDY} instances in {time.perf_counter() - started:.0f} s\n")
    bare = bare_copy(folder)
    index = Index(open_engine(url), now=lambda: NOW)
    figures = [ask(question, bare, studies=studies, repeats=repeats) for question in questions(index)]
    receiving = [timed(lambda batch=batch: index.record_received(batch)) for batch in new_batches(200)]
    return {
        "instances": studies * INSTANCES_PER_STUDY,
        "studies": studies,
        "sqlite": pysqlite3.dbapi2.sqlite_version,
        "questions": figures,
        "record_received_batch_of_8": figures_of(receiving),
    }


def questions(index: Index) -> tuple[Question, ...]:
    """What the worker asks all the time."""
    now = (NOW - _EPOCH) // timedelta(microseconds=1)
    age = MAXIMUM_AGE_DAYS * 86_400_000_000
    return (
        Question(
            name="earlier CT studies of this patient",
            ours=lambda uid: index.prior_candidates(uid, maximum_age_days=MAXIMUM_AGE_DAYS),
            sql=_PRIORS_SQL,
            arguments=lambda uid: (uid, age),
        ),
        Question(
            name="studies whose completeness is due",
            ours=lambda _: index.studies_in(State.RECEIVING),
            sql=_COMPLETENESS_SQL,
            arguments=lambda _: (),
        ),
        Question(
            name="studies that are ready",
            ours=lambda _: index.studies_in(State.READY),
            sql=_READY_SQL,
            arguments=lambda _: (),
        ),
        Question(
            name="deliveries that are due",
            ours=lambda _: index.due_deliveries(destination="PACS", limit=50),
            sql=_DELIVERIES_SQL,
            arguments=lambda _: (now,),
        ),
    )


def ask(question: Question, bare: Any, *, studies: int, repeats: int) -> dict[str, object]:
    """Times of one question, ours and bare in turn over the same studies."""
    draw = random.Random(4711)
    uids = [study_uid(draw.randrange(studies)) for _ in range(repeats)]
    question.ours(uids[0])
    ours = [timed(lambda uid=uid: question.ours(uid)) for uid in uids]
    plain = [timed(lambda uid=uid: bare.execute(question.sql, question.arguments(uid)).fetchall()) for uid in uids]
    ratio = statistics.median(one.wall_ms for one in plain) / statistics.median(one.wall_ms for one in ours)
    return {"question": question.name} | figures_of(ours) | {"bare": figures_of(plain), "ratio": round(ratio, 2)}


def figures_of(times: list[Timed]) -> dict[str, object]:
    """Median and 99th percentile."""
    wall_ms = [one.wall_ms for one in times]
    cpu_ms = [one.cpu_ms for one in times]
    return {
        "median_ms": round(statistics.median(wall_ms), 3),
        "p99_ms": round(statistics.quantiles(wall_ms, n=100)[98], 3),
        "cpu_p99_ms": round(statistics.quantiles(cpu_ms, n=100)[98], 3),
        "repeats": len(times),
    }


def timed(action: Callable[[], object]) -> Timed:
    """Milliseconds that something takes."""
    started, cpu_started = time.perf_counter(), time.thread_time()
    action()
    return Timed(wall_ms=(time.perf_counter() - started) * 1000, cpu_ms=(time.thread_time() - cpu_started) * 1000)


def bare_copy(folder: Path) -> Any:
    """A plain connection to a copy of the index without the indexes of our choice; keys and unique ones stay."""
    shutil.copyfile(folder / "index.sqlite", folder / "bare.sqlite")
    connection = pysqlite3.dbapi2.connect(folder / "bare.sqlite")
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'ix_%'").fetchall()
    for (name,) in names:
        connection.execute(f'DROP INDEX "{name}"')
    connection.commit()
    return connection


def new_batches(count: int) -> Iterator[tuple[ReceivedInstance, ...]]:
    """Batches of eight further instances, ten batches to a study."""
    for first in range(0, count * 8, 8):
        yield tuple(new_instance(number) for number in range(first, first + 8))


def new_instance(number: int) -> ReceivedInstance:
    """An instance that the index does not have."""
    digest = f"{10**40 + number:064x}"
    uid = f"1.2.9.{number // 80}"
    return ReceivedInstance(
        sop_instance_uid=f"{uid}.1.{number}",
        sop_class_uid=CT_IMAGE,
        transfer_syntax_uid=LITTLE_ENDIAN,
        study_instance_uid=uid,
        series_instance_uid=f"{uid}.1",
        patient=PatientKey(patient_id=f"P{number // 80:08}", issuer="CITY"),
        patient_name="Doe^Jane",
        birth_date="19500102",
        sex="F",
        accession_number="A",
        study_description="CT chest",
        series_description="Lung 1.0",
        modality="CT",
        body_part="CHEST",
        instance_number=number,
        acquired_at=NOW,
        sha256=digest,
        size_bytes=526_000,
        relative_path=f"objects/{digest[:2]}/{digest}.dcm",
        calling_aet="CT1",
        called_aet="DICOMNODE",
        received_at=NOW,
    )


if __name__ == "__main__":
    main()
