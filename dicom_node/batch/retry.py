"""Takes up the studies of a batch that failed."""

from storage.batch_records import BatchState, BatchStudyState, BatchView
from storage.errors import IllegalTransitionError
from storage.index import Index
from storage.lifecycle import Event, State


def retry_failed(index: Index, number: int) -> BatchView:
    """Ask again for what the PACS did not give, analyse again what is here and failed in the pipeline.

    Raises:
        UnknownBatchError: There is no such batch.
        IllegalBatchStepError: It is cancelled, or no study of it failed.
    """
    if index.batches.view(number).state is BatchState.CANCELLED:
        return index.batches.retry(number, analysed_anew=())
    failed = index.batches.in_state(number, BatchStudyState.FAILED)
    uids = [line.study_instance_uid for line in failed]
    # First: should this end here, the studies are analysed and the next `retry` finds what came of it.
    return index.batches.retry(number, analysed_anew=[uid for uid in uids if _is_run_again(index, uid, number)])


def _is_run_again(index: Index, study_instance_uid: str, number: int) -> bool:
    """Whether the study is here and failed in the pipeline; it is on its way again then."""
    study = index.study(study_instance_uid)
    if study is None or study.state is not State.PIPELINE_FAILED:
        return False
    try:
        index.apply(study_instance_uid, Event.RETRIED, why=f"asked for by a retry of batch {number}")
    except IllegalTransitionError:
        return False
    return True
