"""What a batch would fetch, and how long it would take."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dicom_node.batch.hours import hours_from
from storage.batch_ledger import BatchLedger
from storage.batch_records import BatchPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEstimate:
    """What `batch start --dry-run --json` prints."""

    studies: int
    """Of the list."""
    to_fetch: int
    """Of these, not here yet."""
    by_year: Mapping[str, int]
    """Studies of the list by the year of their date; under `unknown` where the PACS says none."""
    not_found: int
    """Entries of a file that the PACS does not know."""
    mean_analysis_s: float | None
    """Of the newest analyses of this node; None before the first."""
    studies_per_hour: float
    """The smaller of what is asked for and what this node analyses, one study at a time."""
    hours: float
    """In which the batch works."""
    days: float
    """That it takes, working in its hours of the day only."""
    mean_study_bytes: float | None
    """Of the newest studies of this node; None before the first."""
    expected_bytes: int | None
    """That those to fetch take by this mean, without their results; None before the first study."""
    free_bytes: int
    """In the data folder now."""


def estimate(
    ledger: BatchLedger, plan: BatchPlan, studies: Mapping[str, str], *, not_found: int, free_bytes: int
) -> BatchEstimate:
    """Count and divide; what new studies take of the node meanwhile is not known and comes on top.

    Raises:
        BatchPlanError: The hours are none.
    """
    to_fetch = len(studies) - len(ledger.held_of(list(studies)))
    mean_s, mean_bytes = ledger.mean_analysis_s(), ledger.mean_study_bytes()
    rate = min(float(plan.per_hour), 3600 / mean_s if mean_s else float("inf"))
    hours = to_fetch / rate
    return BatchEstimate(
        studies=len(studies),
        to_fetch=to_fetch,
        by_year=dict(sorted(Counter(day[:4] or "unknown" for day in studies.values()).items())),
        not_found=not_found,
        mean_analysis_s=mean_s,
        studies_per_hour=rate,
        hours=hours,
        days=hours / hours_from(plan.hours).per_day,
        mean_study_bytes=mean_bytes,
        expected_bytes=None if mean_bytes is None else round(to_fetch * mean_bytes),
        free_bytes=free_bytes,
    )
