"""Batches in an index, and how far their studies are."""

from builders.index import claim, make_ready, received
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
