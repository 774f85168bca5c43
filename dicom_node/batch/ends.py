"""Notes what became of the studies of batches that are here."""

import logging

from dicom_node.batch.findings import findings_of
from storage.batch_records import BatchLine, BatchStudyState
from storage.errors import IllegalTransitionError
from storage.index import Index
from storage.lifecycle import Event, State

logger = logging.getLogger(__name__)

GONE = "deleted from this node before its result was noted"

_ENDS = {
    State.PROCESSED: BatchStudyState.ANALYSED,
    State.SENDING: BatchStudyState.ANALYSED,
    State.DELIVERED: BatchStudyState.ANALYSED,
    State.DELIVERY_FAILED: BatchStudyState.ANALYSED,
    State.SKIPPED: BatchStudyState.REFUSED,
    State.HELD: BatchStudyState.REFUSED,
    State.PIPELINE_FAILED: BatchStudyState.FAILED,
}


def note_ends(index: Index) -> None:
    """Note what the lives of studies say, and end batches that have no more to do.

    Of every batch: one that is paused or cancelled, or whose PACS is asked for nothing any more, has studies here too.
    """
    for line in index.batches.in_analysis():
        _note_end(index, line)
    for number in index.batches.settle():
        logger.info("batch %d is done", number)


def _note_end(index: Index, line: BatchLine) -> None:
    study = index.study(line.study_instance_uid)
    if study is None:
        index.batches.end(line, BatchStudyState.FAILED, GONE)
    elif study.state is State.SKIPPED and study.origin != "received":
        _want_analysis(index, line)
    elif study.state in _ENDS:
        end = _ENDS[study.state]
        findings = findings_of(study.result) if end is BatchStudyState.ANALYSED else None
        index.batches.end(line, end, study.reason, findings=findings)


def _want_analysis(index: Index, line: BatchLine) -> None:
    """Analyse a study that was here only to be compared with."""
    try:
        index.apply(line.study_instance_uid, Event.RETRIED, why=f"asked for by batch {line.number}")
    except IllegalTransitionError:
        logger.info("batch %d: a study moved on by itself", line.number)
