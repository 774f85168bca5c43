"""Ten thousand random schedules against what an administrator expects, by a model that shares no code with the rule."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from builders.clock import FakeClock
from builders.index import build_index
from builders.memory_index import MemoryIndex
from builders.schedules import CAP_S, QUIET_S, SETTLE_S, Observer, Schedule, Sending, live, random_schedule
from storage.index import Index

SCHEDULES = 10_000
BLOCKS = 10
QUICK_S = 5
"""Seconds from the last image that evidence may take."""
MEMORY = Path("/dev/shm")


@dataclass(slots=True, kw_only=True)
class Study:
    """What was seen of a study."""

    opened_at: int
    last_new_at: int
    numbers: set[int] = field(default_factory=set)
    carriers: dict[str, tuple[int | None, bool]] = field(default_factory=dict)
    """Association: when it ended, whether it was released."""
    is_waiting: bool = True
    is_running: bool = False
    is_late: bool = False
    run_over: list[int] = field(default_factory=list)
    """Number of images of each run, in order."""


class Reference(Observer):
    """Says after each second what must and what must not have happened."""

    def __init__(self) -> None:
        """Nothing seen."""
        self.studies: dict[str, Study] = {}
        self._restarted_at = 0
        self.reasons: list[str] = []

    def image(self, at: int, study: str, number: int, association: str) -> None:
        """A new image opens a study; one during the run opens it afterwards."""
        seen = self.studies.setdefault(study, Study(opened_at=at, last_new_at=at))
        seen.carriers.setdefault(association, (None, False))
        if number in seen.numbers:
            return
        seen.numbers.add(number)
        seen.last_new_at = at
        if seen.is_running:
            seen.is_late = True
        elif not seen.is_waiting:
            seen.is_waiting, seen.opened_at = True, at

    def ended(self, at: int, sending: Sending) -> None:
        """Its studies are carried by one less."""
        for seen in self.studies.values():
            if sending.name in seen.carriers:
                seen.carriers[sending.name] = (at, sending.is_released)

    def restarted(self, at: int) -> None:
        """The cap may count anew from here, nothing else."""
        self._restarted_at = at

    def completed(self, at: int, study: str, why: str) -> None:
        """Never too early."""
        seen = self.studies[study]
        assert seen.is_waiting
        silent_s, is_capped = at - seen.last_new_at, at - seen.opened_at >= CAP_S
        if not is_capped:
            assert not _is_open(seen), why
            assert silent_s >= QUIET_S or (silent_s >= SETTLE_S and _two_agree(seen)), why
        seen.is_waiting = False
        self.reasons.append(why)

    def run_started(self, at: int, study: str) -> None:
        """Each run has more images than the one before."""
        seen = self.studies[study]
        assert not seen.is_waiting
        assert len(seen.numbers) > (seen.run_over[-1] if seen.run_over else 0)
        seen.run_over.append(len(seen.numbers))
        seen.is_running = True

    def run_ended(self, at: int, study: str) -> None:
        """What came meanwhile opens the study."""
        seen = self.studies[study]
        seen.is_running = False
        if seen.is_late:
            seen.is_late, seen.is_waiting, seen.opened_at = False, True, at

    def second_over(self, at: int) -> None:
        """Never too late."""
        for seen in self.studies.values():
            if seen.is_waiting:
                self._assert_in_time(at, seen)

    def _assert_in_time(self, at: int, seen: Study) -> None:
        assert at - max(seen.opened_at, self._restarted_at) < CAP_S + 2
        if _is_open(seen):
            return
        free_since = max(seen.opened_at, seen.last_new_at, *(ended or 0 for ended, _ in seen.carriers.values()))
        assert at - free_since < QUIET_S + 2
        if _two_agree(seen):
            assert at - free_since < QUICK_S


def _is_open(seen: Study) -> bool:
    return any(ended is None for ended, _ in seen.carriers.values())


def _two_agree(seen: Study) -> bool:
    """Eight slices or more without a gap, and every association since the study opened was released."""
    is_even = len(seen.numbers) >= 8 and max(seen.numbers) - min(seen.numbers) + 1 == len(seen.numbers)
    since = min(seen.opened_at, seen.last_new_at)
    recent = [released for ended, released in seen.carriers.values() if ended is None or ended >= since]
    return is_even and bool(recent) and all(recent)


def _sent(schedule: Schedule) -> dict[str, set[int]]:
    sent: dict[str, set[int]] = {}
    for sending in schedule.sendings:
        for _, study, number in sending.images:
            sent.setdefault(study, set()).add(number)
    return sent


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_study_is_run_once_for_each_revision_in_time_and_not_before(block: int) -> None:
    """Late before, during and after the run; duplicates, parallel associations, interleaved studies, restarts."""
    each = SCHEDULES // BLOCKS
    reasons: set[str] = set()
    most_runs = 0
    for seed in range(block * each, (block + 1) * each):
        reference = Reference()
        story = live(seed, MemoryIndex, reference)
        for study, numbers in _sent(random_schedule(seed)).items():
            revisions = [run.revision for run in story.runs if run.study == study]
            assert revisions == list(range(1, len(reference.studies[study].run_over) + 1)), seed
            assert reference.studies[study].run_over[-1] == len(numbers), seed
            most_runs = max(most_runs, len(revisions))
        reasons |= {reason.partition(" ")[2].split(",")[0].split(";")[0] for reason in reference.reasons}
    # The schedules reach what they are meant to reach.
    assert most_runs >= 3
    assert {"image for 12 s", "association is still open after 40 s"} <= reasons
    assert any("slices without a gap" in reason for reason in reasons)


def test_the_index_in_memory_is_true_to_the_real_one() -> None:
    """The same schedules lead to the same runs at the same seconds with SQLite."""
    folder = MEMORY if MEMORY.is_dir() else None
    for seed in range(12):
        with TemporaryDirectory(dir=folder) as place:

            def build(clock: FakeClock, place: str = place) -> Index:
                return build_index(Path(place), clock)

            real = live(seed, build)
        memory = live(seed, MemoryIndex)
        assert (real.runs, real.completions) == (memory.runs, memory.completions), seed
