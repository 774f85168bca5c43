"""Whether destinations keep our results, in words."""

from collections.abc import Iterator
from datetime import datetime

from dicom_node.wording import counted
from storage.commitment_records import CommitmentCounts, DeliveryCommitment, Keeping


def commitment_in_words(destination: str, commitment: DeliveryCommitment) -> str:
    """Of one object: `committed by pacs 2026-01-02 12:03 UTC`."""
    said = f" ({commitment.words})" if commitment.words else ""
    match commitment.state:
        case Keeping.COMMITTED:
            return f"committed by {destination} {_instant(commitment.settled_at)}"
        case Keeping.RESENDING:
            return f"not kept by {destination}{said}: sent again, time {commitment.resends}"
        case Keeping.FAILED:
            return f"not kept by {destination}{said}, sent again {counted(commitment.resends, 'time')}"
        case Keeping.UNCONFIRMED:
            return f"never confirmed by {destination}{said}"
    if commitment.requested_at is None:
        return f"{destination} is to be asked whether it keeps it{said}"
    return f"waiting for {destination} to confirm, asked {_instant(commitment.requested_at)}{said}"


def counts_in_words(counts: CommitmentCounts) -> str:
    """Of a destination: what is not committed, `all committed` for nothing."""
    parts = {
        "waiting to be confirmed": counts.pending,
        "not kept and being sent again": counts.resending,
        "not kept": counts.failed,
        "never confirmed": counts.unconfirmed,
    }
    return (
        ", ".join(f"{counted(count, 'object')} {words}" for words, count in parts.items() if count) or "all committed"
    )


def alerts_of(destination: str, counts: CommitmentCounts) -> Iterator[tuple[str, str]]:
    """Subject and sentence of what a destination owes an answer for, or lost, with what to do."""
    if counts.failed:
        what = f"{destination} does not keep {counted(counts.failed, 'object')} that it took"
        yield f"not kept: {destination}", f"{what}: dicom-node study list --state delivery_failed"
    if counts.unconfirmed:
        what = f"{destination} never confirmed {counted(counts.unconfirmed, 'object')}"
        must = "it must know this node's AE title, address and port for its reports"
        yield f"never confirmed: {destination}", f"{what}: {must}"


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""
