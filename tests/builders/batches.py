"""Batches in an index, and how far their studies are."""

import json
from dataclasses import replace
from pathlib import Path

from builders.index import claim, make_ready, received, result_files
from storage.batch_records import BatchLine, BatchPlan, BatchStudyState
from storage.index import Index
from storage.records import ResultFile


def plan(**changes: object) -> BatchPlan:
    """A batch of the PACS of `find_scp`."""
    values = {"name": "", "peer": "pacs", "delivers": False, "in_flight": 4, "per_hour": 60, "hours": ""}
    return BatchPlan(**(values | changes))  # type: ignore[arg-type]  # of mixed types


def next_line(index: Index, number: int = 1) -> BatchLine:
    """The study that is asked for next."""
    (line,) = index.batches.in_state(number, BatchStudyState.WAITING)
    return line


def fetch(index: Index, number: int = 1) -> str:
    """The next study comes as a whole and is ready to be analysed; its UID."""
    line = next_line(index, number)
    index.batches.asked(line, is_own=True)
    index.record_received([received(line.study_instance_uid)])
    index.batches.fetched(line)
    make_ready(index, line.study_instance_uid)
    return line.study_instance_uid


def analyse(index: Index, *files: ResultFile) -> None:
    """The study that is ready has this result; there is nobody to send it to."""
    index.finish_succeeded(claim(index), files, destinations=(), why="1 lesion")


def result_on_disk(folder: Path, *, score: float = 0.75) -> ResultFile:
    """What was found, as the file of a result: two lesions in a series of three images."""
    document = {
        "series": {"sop_instance_uids": ["1", "2", "3"]},
        "lesions": [{"volume_ml": 1.5}, {"volume_ml": 2.0}],
        "priors_used": [],
        "patient_score": score,
        "involvement_percent": 4.5,
        "stage": "progressive",
        "algorithm": {"name": "space-time", "version": "1", "weights_sha256": "ab"},
        "qualifications": ["thick_slices"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "findings.json"
    path.write_text(json.dumps(document))
    return replace(result_files()[1], path=path)
