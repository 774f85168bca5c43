"""What speaks for a study being complete, what against it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from statistics import median

from storage.evidence_records import CarryingAssociation, NoticeHoldings, SeriesHoldings
from storage.records import CT

FEWEST_SLICES = 8
"""Fewer evenly lying slices say nothing about a series."""

# Slices at one position, as of two reconstructions in one series: scanners round to micrometres.
_SAME_POSITION_MM = 0.01
# Of the usual distance. Rounded table positions vary by less; where every second slice is missing in places, the usual
# distance may be the doubled one, and then the others are too narrow.
_WIDEST_STEP, _NARROWEST_STEP = 1.25, 0.75

_KIND_IN_WORDS = {"ian": "a notification", "mpps": "a performed procedure step"}


class Finding(Enum):
    """What a piece of evidence says."""

    AGREES = "agrees"
    SILENT = "silent"
    CONTRADICTS = "contradicts"
    """More is to come: the quick path is held, the quiet period is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One piece of evidence."""

    finding: Finding
    words: str = ""
    """For the history of the study; empty when it is silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCount:
    """What a peer says that it has of a series."""

    series_instance_uid: str
    modality: str
    instance_count: int


WHOLE_STUDY = ""
"""Series Instance UID of a count over all series, from a peer that does not count them one by one."""

SILENT = Evidence(finding=Finding.SILENT)


def evidence_of_slices(series: Iterable[SeriesHoldings]) -> Evidence:
    """Whether the slices of every axial CT series lie evenly; silent when there is no such series."""
    axial = [one.slice_positions_mm for one in series if one.modality == CT and one.slice_positions_mm]
    steps = [_steps_mm(positions) for positions in axial]
    gaps = sum(_gaps(series_steps) for series_steps in steps)
    if gaps:
        return Evidence(finding=Finding.CONTRADICTS, words=f"slices are missing at {gaps} places")
    if not steps or any(len(series_steps) + 1 < FEWEST_SLICES for series_steps in steps):
        return SILENT
    if any(step < _NARROWEST_STEP * median(of_series) for of_series in steps for step in of_series):
        return SILENT
    slices = sum(len(series_steps) + 1 for series_steps in steps)
    return Evidence(finding=Finding.AGREES, words=f"{slices} slices without a gap")


def evidence_of_associations(associations: Sequence[CarryingAssociation]) -> Evidence:
    """Whether every association that carried the study was released; silent when one is open or was cut."""
    if not associations or not all(one.was_released for one in associations):
        return SILENT
    words = "association released" if len(associations) == 1 else f"{len(associations)} associations released"
    return Evidence(finding=Finding.AGREES, words=words)


def evidence_of_count(counts: Sequence[SeriesCount], series: Iterable[SeriesHoldings], *, peer: str) -> Evidence:
    """Whether all CT images that a peer has are here.

    Only CT counts: our own results, and what a router does not send us, lie in the same study of a PACS. A PACS that
    has less is itself still receiving, which says nothing.

    Args:
        counts: What the peer has, by series.
        series: What is here.
        peer: Its name, for the words.
    """
    here = {one.series_instance_uid: one.instance_count for one in series if one.modality == CT}
    there = {one.series_instance_uid: one.instance_count for one in counts if one.modality == CT}
    if set(there) == {WHOLE_STUDY}:
        here = {WHOLE_STUDY: sum(here.values())}
    missing = sum(max(count - here.get(uid, 0), 0) for uid, count in there.items())
    total = sum(there.values())
    if missing:
        words = f"{missing} of {total} images that {peer} has are missing"
        return Evidence(finding=Finding.CONTRADICTS, words=words)
    if not total or here != there:
        return SILENT
    return Evidence(finding=Finding.AGREES, words=f"{total} of {total} images that {peer} has are here")


def evidence_of_notices(notices: Sequence[NoticeHoldings]) -> Evidence:
    """Whether everything is here that notices named; a procedure step in progress says that more comes."""
    if any(not notice.is_final for notice in notices):
        return Evidence(finding=Finding.CONTRADICTS, words="a performed procedure step is in progress")
    named = sum(notice.named_count for notice in notices)
    missing = sum(notice.missing_count for notice in notices)
    kinds = " and ".join(sorted({_KIND_IN_WORDS[notice.kind] for notice in notices}))
    if missing:
        return Evidence(
            finding=Finding.CONTRADICTS, words=f"{missing} of {named} instances that {kinds} named are missing"
        )
    if not named:
        return SILENT
    return Evidence(finding=Finding.AGREES, words=f"{named} of {named} instances that {kinds} named are here")


def _steps_mm(positions: Sequence[float]) -> list[float]:
    """Distances between neighbours; slices at one position are one."""
    steps = [after - before for before, after in pairwise(positions)]
    return [step for step in steps if step > _SAME_POSITION_MM]


def _gaps(steps: Sequence[float]) -> int:
    """Places where a slice is missing; too few slices have no usual distance."""
    if len(steps) + 1 < FEWEST_SLICES:
        return 0
    usual = median(steps)
    return sum(step > _WIDEST_STEP * usual for step in steps)
