"""Notes what became of the studies of batches that are here."""

import logging
from collections.abc import Sequence

from config.settings import Settings
from dicom_node.batch.findings import findings_of
from dicom_node.destinations import destination_of
from dicom_node.rules_decision import destinations_of_study
from storage.batch_records import BatchLine, BatchStudyState
from storage.errors import IllegalTransitionError, NothingToSendError
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import ResultFile, StudyView

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


def note_ends(index: Index, settings: Settings) -> None:
    """Note what the lives of studies say, and end batches that have no more to do.

    Of every batch: one that is paused or cancelled, or whose PACS is asked for nothing any more, has studies here too.
    A batch that delivers sends what another one had analysed and kept here.
    """
    for line in index.batches.in_analysis():
        _note_end(index, line, settings)
    for number in index.batches.settle():
        logger.info("batch %d is done", number)


def _note_end(index: Index, line: BatchLine, settings: Settings) -> None:
    study = index.study(line.study_instance_uid)
    if study is None:
        index.batches.end(line, BatchStudyState.FAILED, GONE)
    elif study.state is State.SKIPPED and study.origin != "received":
        _want_analysis(index, line)
    elif study.state in _ENDS:
        end = _ENDS[study.state]
        if _is_kept_of_another(study) and index.batches.view(line.number).plan.delivers:
            _send(index, line, settings)
        findings = findings_of(study.result) if end is BatchStudyState.ANALYSED else None
        index.batches.end(line, end, study.reason, findings=findings)


def _is_kept_of_another(study: StudyView) -> bool:
    """Whether the study was analysed for a batch, and nothing of its newest result was ever to be sent."""
    planned = {delivery.sop_instance_uid for delivery in study.deliveries}
    files = study.result.files if study.result else ()
    return study.batch is not None and study.state is State.PROCESSED and planned.isdisjoint(_objects(files))


def _objects(files: Sequence[ResultFile]) -> set[str]:
    """The DICOM objects among the files of a result."""
    return {file.sop_instance_uid for file in files if file.sop_instance_uid}


def _send(index: Index, line: BatchLine, settings: Settings) -> None:
    """Send a result that was kept here; nothing where nobody receives any of it."""
    uid = line.study_instance_uid
    destinations = [destination_of(peer) for peer in destinations_of_study(settings, index, uid)]
    if not destinations:
        return
    try:
        index.resend(uid, destinations=destinations, why=f"asked for by batch {line.number}, which sends results")
    except (IllegalTransitionError, NothingToSendError) as error:
        logger.info("batch %d: the result of a study is not sent: %s", line.number, error)


def _want_analysis(index: Index, line: BatchLine) -> None:
    """Analyse a study that was here only to be compared with."""
    try:
        index.apply(line.study_instance_uid, Event.RETRIED, why=f"asked for by batch {line.number}")
    except IllegalTransitionError:
        logger.info("batch %d: a study moved on by itself", line.number)
