"""Whether destinations keep our results, in words."""

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


def alerts_of(destination: str, counts: CommitmentCounts) -> tuple[str, ...]:
    """What a destination owes an answer for, or lost, with what to do."""
    alerts = []
    if counts.failed:
        objects = counted(counts.failed, "object")
        alerts.append(
            f"{destination} does not keep {objects} that it took: dicom-node study list --state delivery_failed"
        )
    if counts.unconfirmed:
        objects = counted(counts.unconfirmed, "object")
        alerts.append(
            f"{destination} never confirmed {objects}: it must know this node's AE title, address and port for its reports"
        )
    return tuple(alerts)


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""
