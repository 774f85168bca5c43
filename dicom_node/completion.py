"""When a study counts as complete."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from dicom_node.evidence import Evidence, Finding
from storage.records import StudyActivity

ENOUGH = 2
"""Pieces of evidence that agree before a study is taken as complete without the quiet period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRule:
    """How long silence means that no more images come."""

    quiet_period_s: float
    cap_s: float
    """Nothing waits longer than this after its first image."""
    settle_s: float = 2.0
    """Silence after which evidence is looked at."""

    def verdict(self, activity: "Silence", *, is_carried: bool, evidence: Callable[[], Iterable[Evidence]]) -> str:
        """Why a study is complete; empty when it is not.

        Args:
            activity: For how long it has been silent and waiting.
            is_carried: Whether an association is open that carried the study.
            evidence: What speaks for and against; asked for only when it decides.
        """
        received = f"{activity.instance_count} received"
        if activity.waited_s >= self.cap_s:
            more = "an association is still open" if is_carried else "images still arrive"
            return f"{more} after {self.cap_s:g} s, {received}"
        if is_carried:
            return ""
        if activity.quiet_s >= self.quiet_period_s:
            return f"no image for {self.quiet_period_s:g} s, {received}"
        return _agreement(tuple(evidence())) if activity.quiet_s >= self.settle_s else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How a study has behaved, in seconds of the monotonic clock."""

    quiet_s: float
    """Since its last image."""
    waited_s: float
    """Since it was first seen."""
    instance_count: int


def _agreement(evidence: tuple[Evidence, ...]) -> str:
    """The words of what agrees, when that is enough and nothing contradicts; else empty."""
    findings = [one.finding for one in evidence]
    if Finding.CONTRADICTS in findings or findings.count(Finding.AGREES) < ENOUGH:
        return ""
    return "; ".join(one.words for one in evidence if one.finding is Finding.AGREES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A study as it was when its activity last changed."""

    opened_at: datetime
    """A study may reopen between two looks."""
    last_instance_at: datetime
    instance_count: int
    quiet_since_s: float
    """Monotonic clock; moved back by the silence that was already over when it was first seen."""
    first_seen_s: float


class ActivityWatch:
    """Watches studies that are being received.

    Time runs on the monotonic clock, so a step of the wall clock completes nothing early; the wall clock only credits
    silence from before a restart, at most one quiet period of it.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._seen: dict[str, _Seen] = {}

    def forget_others(self, study_instance_uids: Iterable[str]) -> None:
        """Forget all but these: a study that comes back is watched anew."""
        present = frozenset(study_instance_uids)
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in present}

    def silence(self, activity: StudyActivity, *, quiet_period_s: float, now: datetime, monotonic_s: float) -> Silence:
        """Look at a study once.

        Args:
            activity: In state receiving.
            quiet_period_s: No more silence than this is credited.
            now: Wall clock, aware UTC.
            monotonic_s: Monotonic clock.
        """
        seen = self._seen.get(activity.study_instance_uid)
        if seen is None or seen.opened_at != activity.first_instance_at:
            # A study that an operator released is received anew, however long ago its last image came.
            silent_since = max(activity.last_instance_at, activity.first_instance_at)
            credit_s = min(max((now - silent_since).total_seconds(), 0.0), quiet_period_s)
            seen = self._note(activity, quiet_since_s=monotonic_s - credit_s, first_seen_s=monotonic_s)
        elif (seen.last_instance_at, seen.instance_count) != (activity.last_instance_at, activity.instance_count):
            seen = self._note(activity, quiet_since_s=monotonic_s, first_seen_s=seen.first_seen_s)
        return Silence(
            quiet_s=monotonic_s - seen.quiet_since_s,
            waited_s=monotonic_s - seen.first_seen_s,
            instance_count=activity.instance_count,
        )

    def _note(self, activity: StudyActivity, *, quiet_since_s: float, first_seen_s: float) -> _Seen:
        seen = _Seen(
            opened_at=activity.first_instance_at,
            last_instance_at=activity.last_instance_at,
            instance_count=activity.instance_count,
            quiet_since_s=quiet_since_s,
            first_seen_s=first_seen_s,
        )
        self._seen[activity.study_instance_uid] = seen
        return seen
