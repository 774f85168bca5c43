"""When a study counts as complete."""

from datetime import UTC, datetime, timedelta

from dicom_node.completion import CompletionRule, CompletionWatch
from storage.records import StudyActivity

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
RULE = CompletionRule(quiet_period_s=60, cap_s=600)


def activity(*, last: datetime = NOON, count: int = 10, uid: str = "1.2") -> StudyActivity:
    """A study whose last image came at `last`."""
    return StudyActivity(study_instance_uid=uid, first_instance_at=NOON, last_instance_at=last, instance_count=count)


def test_study_is_complete_after_the_quiet_period() -> None:
    """Silence for the quiet period completes, a moment less does not."""
    watch = CompletionWatch(RULE)
    assert not watch.completed((activity(),), now=NOON, monotonic_s=100)
    assert not watch.completed((activity(),), now=NOON, monotonic_s=159)
    assert watch.completed((activity(),), now=NOON, monotonic_s=160)[0][0] == "1.2"


def test_an_image_starts_the_quiet_period_anew() -> None:
    """A study that still grows is not complete."""
    watch = CompletionWatch(RULE)
    watch.completed((activity(),), now=NOON, monotonic_s=100)
    later = activity(last=NOON + timedelta(seconds=50), count=11)
    watch.completed((later,), now=NOON, monotonic_s=150)
    assert not watch.completed((later,), now=NOON, monotonic_s=205)
    assert watch.completed((later,), now=NOON, monotonic_s=210)


def test_a_step_of_the_wall_clock_completes_nothing_early() -> None:
    """A wall clock that jumps a day ahead is not silence."""
    watch = CompletionWatch(RULE)
    watch.completed((activity(),), now=NOON, monotonic_s=100)
    assert not watch.completed((activity(),), now=NOON + timedelta(days=1), monotonic_s=101)


def test_a_clock_set_back_delays_by_one_quiet_period_at_most() -> None:
    """An instant in the future does not hold a study for ever."""
    watch = CompletionWatch(RULE)
    ahead = activity(last=NOON + timedelta(days=1))
    assert not watch.completed((ahead,), now=NOON, monotonic_s=0)
    assert watch.completed((ahead,), now=NOON, monotonic_s=60)


def test_silence_before_a_restart_counts() -> None:
    """A study that was already quiet when the worker started is complete at once."""
    watch = CompletionWatch(RULE)
    assert watch.completed((activity(),), now=NOON + timedelta(hours=1), monotonic_s=5)


def test_nothing_waits_longer_than_the_cap() -> None:
    """A study that trickles in for ever is completed at the cap."""
    watch = CompletionWatch(RULE)
    verdicts = [
        watch.completed(
            (activity(last=NOON + timedelta(seconds=second), count=second),),
            now=NOON + timedelta(seconds=second),
            monotonic_s=second,
        )
        for second in range(0, 601, 30)
    ]
    assert not any(verdicts[:-1])
    assert "still arrive" in verdicts[-1][0][1]


def test_a_reopened_study_starts_from_nothing() -> None:
    """A study that left the list and comes back is watched anew."""
    watch = CompletionWatch(RULE)
    watch.completed((activity(),), now=NOON, monotonic_s=0)
    watch.completed((), now=NOON, monotonic_s=70)
    late = activity(last=NOON + timedelta(seconds=80), count=11)
    assert not watch.completed((late,), now=NOON + timedelta(seconds=80), monotonic_s=80)
