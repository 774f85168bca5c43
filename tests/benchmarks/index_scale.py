"""How long the node's standing questions take in an index of a million instances, on SQLite and on PostgreSQL.

    python tests/benchmarks/index_scale.py --instances 1000000

The shape: 100 CT instances to a study, four studies to a patient over 600 days, one patient with 250 studies (as a test
phantom has), one patient in a hundred merged with another, one study in a hundred assigned to another patient; 20
studies are being received, 20 ready, 50 have a delivery that is due. PostgreSQL is a server of its own on a Unix
socket with its default settings, after ANALYZE, as autovacuum does it. The last line is one JSON object; times are
milliseconds on the wall, a whole transaction each; `cpu_p99_ms` is what this process computed, which other programs
do not delay.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, insert, text, update

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from index_filling import INSTANCES_PER_STUDY, NOW, STUDIES_PER_PATIENT, fill, study_uid

from builders.postgres import running_postgres, why_no_postgres
from storage.database import open_engine, writing
from storage.index import Index
from storage.lifecycle import State
from storage.link_models import PatientMerge, StudyAssignment
from storage.models import Study

MAXIMUM_AGE_DAYS = 730
LIMIT_MS = 5.0
STUDIES_OF_PHANTOM = 250
ONE_IN = 100
"""Of so many patients one is merged, of so many studies one is assigned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question, asked of the studies in turn."""

    name: str
    ask: Callable[[str], object]
    studies: tuple[str, ...]


def main() -> None:
    """Fill, ask, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=1000)
    options = parser.parse_args()
    studies = max(options.instances // INSTANCES_PER_STUDY, 8 * STUDIES_OF_PHANTOM)
    report: dict[str, object] = {
        "instances": studies * INSTANCES_PER_STUDY,
        "studies": studies,
        "patients": studies // STUDIES_PER_PATIENT + 1,
        "limit_ms": LIMIT_MS,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
    }
    with tempfile.TemporaryDirectory() as folder:
        report["sqlite"] = measure(f"sqlite:///{folder}/index.sqlite", studies=studies, repeats=options.repeats)
    absent = why_no_postgres()
    if absent:
        report["postgresql"] = {"absent": absent}
    else:
        with running_postgres() as url:
            report["postgresql"] = measure(url, studies=studies, repeats=options.repeats)
    sys.stdout.write(json.dumps(report) + "\n")


def measure(url: str, *, studies: int, repeats: int) -> dict[str, object]:
    """Figures of every question in one database."""
    started = time.perf_counter()
    fill(url, studies=studies)
    engine = open_engine(url)
    link(engine, studies=studies)
    filled_s = time.perf_counter() - started
    index = Index(engine, now=lambda: NOW)
    figures = [timed(question, repeats=repeats) for question in questions(index, studies=studies)]
    engine.dispose()
    for figure in figures:
        sys.stdout.write(f"{engine.dialect.name:12} {figure}\n")
    is_within = all(float(str(figure["p99_ms"])) < LIMIT_MS for figure in figures)
    return {"filled_s": round(filled_s, 1), "every_p99_below_limit": is_within, "questions": figures}


def link(engine: Engine, *, studies: int) -> None:
    """Put in what administrators said, and the patient of the test phantom."""
    patients = studies // STUDIES_PER_PATIENT + 1
    said = {"although_contradicting": True, "made_by": "admin", "made_at": NOW}
    with writing(engine) as connection:
        merges = [{"one_key": key, "other_key": key + 1} | said for key in range(1, patients, ONE_IN)]
        connection.execute(insert(PatientMerge), merges)
        assigned = [{"study_id": key, "patient_key": key % patients + 1} | said for key in assigned_studies(studies)]
        connection.execute(insert(StudyAssignment), assigned)
        of_phantom = update(Study).where(Study.id <= STUDIES_OF_PHANTOM)
        connection.execute(of_phantom.values(patient_key=1))
        connection.execute(text("ANALYZE"))


def assigned_studies(studies: int) -> Iterator[int]:
    """Primary keys of the studies that are assigned."""
    yield from range(50, studies, ONE_IN)


def questions(index: Index, *, studies: int) -> tuple[Question, ...]:
    """What the node asks for each study, and all the time."""
    anyone = tuple(map(study_uid, range(STUDIES_OF_PHANTOM, studies)))
    patients = studies // STUDIES_PER_PATIENT + 1
    merged = tuple(study_uid(key - 1) for key in range(1 + 3 * ONE_IN, patients, ONE_IN))
    assigned = tuple(study_uid(key - 1) for key in assigned_studies(studies))

    def priors(uid: str) -> object:
        return index.prior_candidates(uid, maximum_age_days=MAXIMUM_AGE_DAYS)

    return (
        Question(name="priors of this patient", ask=priors, studies=anyone),
        Question(name="priors of a merged patient", ask=priors, studies=merged),
        Question(name="priors of an assigned study", ask=priors, studies=assigned),
        Question(name="priors of a phantom with 250 studies", ask=priors, studies=tuple(map(study_uid, range(5)))),
        Question(name="due to be complete", ask=lambda _: index.studies_in(State.RECEIVING), studies=anyone),
        Question(name="due to be run", ask=lambda _: index.studies_in(State.READY), studies=anyone),
        Question(
            name="due to be sent", ask=lambda _: index.due_deliveries(destination="PACS", limit=50), studies=anyone
        ),
        Question(name="alerts: studies that are held", ask=lambda _: index.studies_in(State.HELD), studies=anyone),
    )


def timed(question: Question, *, repeats: int) -> dict[str, object]:
    """Median and 99th percentile of one question over studies drawn at random."""
    draw = random.Random(4711)
    uids = [draw.choice(question.studies) for _ in range(repeats)]
    question.ask(uids[0])
    wall_ms, cpu_ms = [], []
    for uid in uids:
        started, cpu_started = time.perf_counter(), time.thread_time()
        question.ask(uid)
        wall_ms.append((time.perf_counter() - started) * 1000)
        cpu_ms.append((time.thread_time() - cpu_started) * 1000)
    return {
        "question": question.name,
        "median_ms": round(statistics.median(wall_ms), 3),
        "p99_ms": round(statistics.quantiles(wall_ms, n=100)[98], 3),
        "cpu_p99_ms": round(statistics.quantiles(cpu_ms, n=100)[98], 3),
        "repeats": repeats,
    }


if __name__ == "__main__":
    main()
