"""When a study counts as complete."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dicom_node.completion import ActivityWatch, CompletionRule, Silence
from dicom_node.evidence import SILENT, Evidence, Finding
from storage.records import StudyActivity

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
RULE = CompletionRule(quiet_period_s=60, cap_s=600)


def activity(*, last: datetime = NOON, count: int = 10, uid: str = "1.2") -> StudyActivity:
    """A study whose last image came at `last`."""
    return StudyActivity(study_instance_uid=uid, first_instance_at=NOON, last_instance_at=last, instance_count=count)


class Watch:
    """A watch of one study and the rule, without evidence."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._watch = ActivityWatch()

    def why(self, seen: StudyActivity, *, now: datetime, monotonic_s: float) -> str:
        """Why the study is complete."""
        silence = self._watch.silence(seen, quiet_period_s=60, now=now, monotonic_s=monotonic_s)
        return RULE.verdict(silence, is_carried=False, evidence=lambda: ())

    def forget(self) -> None:
        """The study left the list."""
        self._watch.forget_others(())


AGREES = Evidence(finding=Finding.AGREES, words="64 slices without a gap")
AGREES_TOO = Evidence(finding=Finding.AGREES, words="association released")
CONTRADICTS = Evidence(finding=Finding.CONTRADICTS, words="3 of 64 images that pacs has are missing")


def verdict(*evidence: Evidence, quiet_s: float = 3, waited_s: float = 10, is_carried: bool = False) -> str:
    """What the rule says of a study of ten images."""
    silence = Silence(quiet_s=quiet_s, waited_s=waited_s, instance_count=10)
    return RULE.verdict(silence, is_carried=is_carried, evidence=lambda: evidence)


def test_two_that_agree_complete_a_study_that_has_settled() -> None:
    """The reason names both."""
    assert verdict(AGREES, SILENT, AGREES_TOO) == "64 slices without a gap; association released"
    assert not verdict(AGREES, AGREES_TOO, quiet_s=1.9)


def test_one_alone_waits_for_the_quiet_period() -> None:
    """However long the study has settled."""
    assert not verdict(AGREES, SILENT, quiet_s=59)
    assert verdict(AGREES, SILENT, quiet_s=60) == "no image for 60 s, 10 received"


def test_what_contradicts_holds_the_quick_path_and_not_the_slow_one() -> None:
    """A PACS that has more than a router sends does not stop the study."""
    assert not verdict(AGREES, AGREES_TOO, CONTRADICTS, quiet_s=59)
    assert verdict(AGREES, AGREES_TOO, CONTRADICTS, quiet_s=60)


def test_an_open_association_holds_everything_but_the_cap() -> None:
    """Silence in an open association is a sender that thinks."""
    assert not verdict(AGREES, AGREES_TOO, quiet_s=599, waited_s=599, is_carried=True)
    assert verdict(quiet_s=1, waited_s=600, is_carried=True) == "an association is still open after 600 s, 10 received"


def test_evidence_is_not_asked_for_before_it_decides() -> None:
    """While images arrive nothing is read for it."""

    def unexpected() -> tuple[Evidence, ...]:
        raise AssertionError

    for is_carried, quiet_s in ((True, 30), (False, 1), (False, 60)):
        silence = Silence(quiet_s=quiet_s, waited_s=100, instance_count=10)
        RULE.verdict(silence, is_carried=is_carried, evidence=unexpected)


def test_study_is_complete_after_the_quiet_period() -> None:
    """Silence for the quiet period completes, a moment less does not."""
    watch = Watch()
    assert not watch.why(activity(), now=NOON, monotonic_s=100)
    assert not watch.why(activity(), now=NOON, monotonic_s=159)
    assert watch.why(activity(), now=NOON, monotonic_s=160)


def test_an_image_starts_the_quiet_period_anew() -> None:
    """A study that still grows is not complete."""
    watch = Watch()
    watch.why(activity(), now=NOON, monotonic_s=100)
    later = activity(last=NOON + timedelta(seconds=50), count=11)
    watch.why(later, now=NOON, monotonic_s=150)
    assert not watch.why(later, now=NOON, monotonic_s=205)
    assert watch.why(later, now=NOON, monotonic_s=210)


def test_a_step_of_the_wall_clock_completes_nothing_early() -> None:
    """A wall clock that jumps a day ahead is not silence."""
    watch = Watch()
    watch.why(activity(), now=NOON, monotonic_s=100)
    assert not watch.why(activity(), now=NOON + timedelta(days=1), monotonic_s=101)


def test_a_clock_set_back_delays_by_one_quiet_period_at_most() -> None:
    """An instant in the future does not hold a study for ever."""
    watch = Watch()
    ahead = activity(last=NOON + timedelta(days=1))
    assert not watch.why(ahead, now=NOON, monotonic_s=0)
    assert watch.why(ahead, now=NOON, monotonic_s=60)


def test_silence_before_a_restart_counts() -> None:
    """A study that was already quiet when the worker started is complete at once."""
    watch = Watch()
    assert watch.why(activity(), now=NOON + timedelta(hours=1), monotonic_s=5)


def test_nothing_waits_longer_than_the_cap() -> None:
    """A study that trickles in for ever is completed at the cap."""
    watch = Watch()
    verdicts = [
        watch.why(
            activity(last=NOON + timedelta(seconds=second), count=second),
            now=NOON + timedelta(seconds=second),
            monotonic_s=second,
        )
        for second in range(0, 601, 30)
    ]
    assert not any(verdicts[:-1])
    assert "still arrive" in verdicts[-1]


def test_a_reopened_study_starts_from_nothing() -> None:
    """A study that left the list and comes back is watched anew."""
    watch = Watch()
    watch.why(activity(), now=NOON, monotonic_s=0)
    watch.forget()
    late = activity(last=NOON + timedelta(seconds=80), count=11)
    assert not watch.why(late, now=NOON + timedelta(seconds=80), monotonic_s=80)


def test_a_study_that_reopened_between_two_looks_waits_from_its_reopening() -> None:
    """Its last wait reached the cap; the new one has hardly begun."""
    watch = Watch()
    watch.why(activity(), now=NOON, monotonic_s=0)
    assert watch.why(activity(last=NOON + timedelta(seconds=599), count=11), now=NOON, monotonic_s=600)
    reopened_at = NOON + timedelta(seconds=601)
    reopened = replace(activity(last=reopened_at, count=12), first_instance_at=reopened_at)
    assert not watch.why(reopened, now=reopened_at, monotonic_s=601)
    assert not watch.why(reopened, now=reopened_at, monotonic_s=660)
    assert watch.why(reopened, now=reopened_at, monotonic_s=661)


def test_a_study_that_an_operator_released_waits_from_its_release() -> None:
    """More of the patient who was chosen may be under way; a restart in between changes nothing."""
    released_at = NOON + timedelta(hours=6)
    released = replace(activity(), first_instance_at=released_at)
    watch = Watch()
    assert not watch.why(released, now=released_at, monotonic_s=1000)
    watch.forget()
    assert not watch.why(released, now=released_at + timedelta(seconds=59), monotonic_s=1059)
    assert watch.why(released, now=released_at + timedelta(seconds=60), monotonic_s=1060)
