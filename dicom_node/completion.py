"""When a study counts as complete."""

from dataclasses import dataclass
from datetime import datetime

from storage.records import StudyActivity


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRule:
    """How long silence means that no more images come."""

    quiet_period_s: float
    cap_s: float
    """Nothing waits longer than this after its first image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A study as it was when its activity last changed."""

    last_instance_at: datetime
    instance_count: int
    quiet_since_s: float
    """Monotonic clock; moved back by the silence that was already over when it was first seen."""
    first_seen_s: float


class CompletionWatch:
    """Watches studies that are being received.

    Time runs on the monotonic clock, so a step of the wall clock completes nothing early; the wall clock only credits
    silence from before a restart, at most one quiet period of it.
    """

    def __init__(self, rule: CompletionRule) -> None:
        """Start with nothing seen."""
        self._rule = rule
        self._seen: dict[str, _Seen] = {}

    def completed(
        self, activities: tuple[StudyActivity, ...], *, now: datetime, monotonic_s: float
    ) -> tuple[tuple[str, str], ...]:
        """The studies that are complete now, each with the reason in words.

        Args:
            activities: Every study in state receiving.
            now: Wall clock, aware UTC.
            monotonic_s: Monotonic clock.
        """
        present = {activity.study_instance_uid for activity in activities}
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in present}
        verdicts = ((a.study_instance_uid, self._verdict(a, now=now, monotonic_s=monotonic_s)) for a in activities)
        return tuple((uid, why) for uid, why in verdicts if why)

    def _verdict(self, activity: StudyActivity, *, now: datetime, monotonic_s: float) -> str:
        """Why the study is complete; empty when it is not."""
        seen = self._look(activity, now=now, monotonic_s=monotonic_s)
        quiet_s = monotonic_s - seen.quiet_since_s
        if quiet_s >= self._rule.quiet_period_s:
            return f"no image for {self._rule.quiet_period_s:g} s, {activity.instance_count} received"
        if monotonic_s - seen.first_seen_s >= self._rule.cap_s:
            return f"images still arrive after {self._rule.cap_s:g} s, {activity.instance_count} received"
        return ""

    def _look(self, activity: StudyActivity, *, now: datetime, monotonic_s: float) -> _Seen:
        """Note the study, keep the clock running when nothing changed."""
        uid = activity.study_instance_uid
        seen = self._seen.get(uid)
        if seen and (seen.last_instance_at, seen.instance_count) == (
            activity.last_instance_at,
            activity.instance_count,
        ):
            return seen
        credit_s = 0.0 if seen else self._credit_s(activity.last_instance_at, now)
        fresh = _Seen(
            last_instance_at=activity.last_instance_at,
            instance_count=activity.instance_count,
            quiet_since_s=monotonic_s - credit_s,
            first_seen_s=seen.first_seen_s if seen else monotonic_s,
        )
        self._seen[uid] = fresh
        return fresh

    def _credit_s(self, last_instance_at: datetime, now: datetime) -> float:
        """Silence from before the first look, between nothing and one quiet period."""
        return min(max((now - last_instance_at).total_seconds(), 0.0), self._rule.quiet_period_s)
