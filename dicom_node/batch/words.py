"""A batch for people."""

from collections.abc import Iterable, Iterator

from dicom_node.wording import counted
from storage.batch_records import BatchState, BatchView


def batch_lines(batch: BatchView) -> list[str]:
    """A batch in one line, a further one for what it waits for, and for what is wrong."""
    counts = ", ".join(f"{studies} {state}" for state, studies in sorted(batch.studies.items()))
    hours = f", {batch.plan.hours} only" if batch.plan.hours else ""
    sends = "results are sent" if batch.plan.delivers else "nothing is sent"
    studies = f"{batch.total} studies of {batch.plan.peer}: {counts}"
    further = [f"  {words}" for words in (_waiting(batch), _trouble(batch)) if words]
    return [f"{_name(batch)}: {batch.state}, {studies}; {sends}{hours}", *further]


def batch_in_short(batch: BatchView) -> str:
    """A batch that is not over in one line, with why it does not go on."""
    to_do = f"batch {_name(batch)}: {batch.state}, {batch.unended} of {batch.total} studies to do"
    return "; ".join(words for words in (to_do, _waiting(batch) or _trouble(batch)) if words)


def batch_alerts(batches: Iterable[BatchView]) -> Iterator[tuple[str, str]]:
    """Subject and sentence of what does not go on by itself."""
    for batch in batches:
        if batch.has_paused_itself:
            yield f"batch paused: {batch.number}", f"batch {batch.number} {_trouble(batch)}"


def _name(batch: BatchView) -> str:
    return f"{batch.number} {batch.plan.name}".rstrip()


def _waiting(batch: BatchView) -> str:
    return f"asks for nothing: {batch.waits}" if batch.waits else ""


def _trouble(batch: BatchView) -> str:
    if not batch.words:
        return ""
    if batch.has_paused_itself:
        return f"paused itself: {batch.words}; when that is put right: dicom-node batch resume {batch.number}"
    if batch.state is not BatchState.RUNNING:
        return f"last failure: {batch.words}"
    when = f"not before {batch.next_try_at:%H:%M:%S} UTC"
    return f"failed {counted(batch.failures, 'time')} in a row, {when}: {batch.words}"
