"""Random schedules of senders, and a node that lives through them on a fake clock."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from builders.clock import FakeClock
from builders.index import received
from config.settings import CompletenessSettings, Settings
from dicom_node.completeness import CompletenessCheck
from dicom_node.counts import PeerCounts
from storage.lifecycle import Event, State
from storage.records import Claim

STUDIES = ("1.2.3", "1.2.4")
QUIET_S, CAP_S, SETTLE_S = 12, 40, 2
SETTINGS = Settings(completeness=CompletenessSettings(quiet_period_s=QUIET_S, cap_s=CAP_S, settle_s=SETTLE_S))
SPACING_MM = 1.25
_LONGEST_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One association: what it sends when, when it ends."""

    name: str
    images: tuple[tuple[int, str, int], ...]
    """Second, study, number of the slice."""
    ends_at: int
    is_released: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What happens to a node."""

    sendings: tuple[Sending, ...]
    restarts: frozenset[int]
    """Seconds at which the worker forgets what it has seen."""
    run_s: int

    @property
    def ends_at(self) -> int:
        """When the last association is over."""
        return max(sending.ends_at for sending in self.sendings)


def random_schedule(seed: int) -> Schedule:
    """Two studies over several associations, with duplicates, late slices and restarts."""
    random = Random(seed)
    count = random.randint(1, 6)
    images: list[list[tuple[int, str, int]]] = [[] for _ in range(count)]
    starts = [random.choice((0, 0, 0, random.randint(0, 8), random.randint(8, 50))) for _ in range(count)]
    for study in STUDIES[: random.choice((1, 2, 2))]:
        for number in range(random.choice((3, 8, 9, 12))):
            for _ in range(random.choice((1, 1, 1, 1, 2))):
                carrier = random.randrange(count)
                images[carrier].append((starts[carrier] + random.choice((0, 1, 1, 2, 3, 15)), study, number))
    sendings = tuple(_sending(random, f"a.{number}", sent) for number, sent in enumerate(images) if sent)
    restarts = frozenset(random.randint(0, 60) for _ in range(random.choice((0, 0, 1, 2))))
    return Schedule(sendings=sendings, restarts=restarts, run_s=random.choice((1, 3, 9)))


def _sending(random: Random, name: str, images: Sequence[tuple[int, str, int]]) -> Sending:
    lingers_s = random.choice((0, 0, 1, 4, 20, 60))
    return Sending(
        name=name,
        images=tuple(sorted(images)),
        ends_at=max(at for at, _, _ in images) + lingers_s,
        is_released=random.random() < 0.85,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of the pipeline that ended."""

    study: str
    revision: int
    started_at: int


@dataclass(slots=True, kw_only=True)
class Story:
    """What a node did with a schedule; `looks` is what an observer sees after each second."""

    runs: list[Run] = field(default_factory=list)
    completions: list[tuple[int, str, str]] = field(default_factory=list)


class Observer:
    """Sees what an administrator sees; the reference model is one."""

    def image(self, at: int, study: str, number: int, association: str) -> None:
        """An image was acknowledged."""

    def ended(self, at: int, sending: Sending) -> None:
        """An association ended."""

    def restarted(self, at: int) -> None:
        """The worker started anew."""

    def completed(self, at: int, study: str, why: str) -> None:
        """A study was taken as complete."""

    def run_started(self, at: int, study: str) -> None:
        """The pipeline began."""

    def run_ended(self, at: int, study: str) -> None:
        """The pipeline ended."""

    def second_over(self, at: int) -> None:
        """Nothing more happens in this second."""


class Node:
    """A worker and a listener around an index, one second at a time."""

    def __init__(self, index: Any, clock: FakeClock, observer: Observer) -> None:
        """An empty node."""
        self._index, self._clock, self._observer = index, clock, observer
        self._check = self._new_check()
        self._running: tuple[Claim, int] | None = None
        self.story = Story()

    def live_through(self, schedule: Schedule) -> Story:
        """Everything that happens until nothing happens any more."""
        for at in self._seconds(schedule):
            self._send(at, schedule)
            if at in schedule.restarts:
                self._check = self._new_check()
                self._observer.restarted(at)
            self._end_run(at, schedule.run_s)
            self._complete(at)
            self._begin_run(at)
            self._observer.second_over(at)
        return self.story

    def _seconds(self, schedule: Schedule) -> Iterator[int]:
        for at in range(_LONGEST_S):
            yield at
            self._clock.advance(1)
            is_idle = self._running is None and not self._index.studies_in(State.RECEIVING)
            if at > schedule.ends_at and is_idle and not self._index.studies_in(State.READY):
                return
        message = "the node never came to rest"
        raise AssertionError(message)

    def _new_check(self) -> CompletenessCheck:
        return CompletenessCheck(
            SETTINGS, self._index, counts=PeerCounts(lambda *_: (), clock=self._clock), clock=self._clock
        )

    def _send(self, at: int, schedule: Schedule) -> None:
        for sending in schedule.sendings:
            for _, study, number in (image for image in sending.images if image[0] == at):
                self._index.record_received([self._image(study, number, sending.name)])
                self._observer.image(at, study, number, sending.name)
            if sending.ends_at == at:
                self._index.end_association(sending.name, was_released=sending.is_released)
                self._observer.ended(at, sending)
        if at % 5 == 0:
            self._index.keep_associations([one.name for one in schedule.sendings if one.ends_at > at])

    def _image(self, study: str, number: int, association: str) -> Any:
        return received(
            study,
            number,
            association=association,
            slice_position_mm=number * SPACING_MM,
            received_at=self._clock.now(),
        )

    def _end_run(self, at: int, run_s: int) -> None:
        if self._running and at >= self._running[1] + run_s:
            claim, started_at = self._running
            self._index.finish_refused(claim, "the run ended")
            run = Run(study=claim.study_instance_uid, revision=claim.revision, started_at=started_at)
            self.story.runs.append(run)
            self._running = None
            self._observer.run_ended(at, run.study)

    def _complete(self, at: int) -> None:
        for study, why in self._check.completed():
            self._index.apply(study, Event.COMPLETED, why=why)
            self._index.apply(study, Event.PRIORS_SETTLED, why="none")
            self.story.completions.append((at, study, why))
            self._observer.completed(at, study, why)

    def _begin_run(self, at: int) -> None:
        if self._running is None:
            claim = self._index.claim_next(owner="worker", lease_s=10_000)
            if claim:
                self._running = (claim, at)
                self._observer.run_started(at, claim.study_instance_uid)


def live(seed: int, build: Callable[[FakeClock], Any], observer: Observer | None = None) -> Story:
    """A new node's story of the schedule with this seed."""
    clock = FakeClock()
    return Node(build(clock), clock, observer or Observer()).live_through(random_schedule(seed))
