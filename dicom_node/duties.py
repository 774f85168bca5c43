"""What a process does again and again, exchanged while it runs when the configuration changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apscheduler.schedulers.base import BaseScheduler


def _nothing() -> None:
    """Of what needs no help to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Something that is done every few seconds, never twice at the same time."""

    run: Callable[[], object]
    interval_s: float
    stop: Callable[[], None] = _nothing
    """Lets a run that goes on end early; called once, when the process ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDuty:
    """A duty that the configuration asks for."""

    made_of: object
    """All that it was made of; while this is the same the duty stays as it is."""
    make: Callable[[], Duty]


class Duties:
    """The duties at work.

    A run that goes on when its duty is exchanged or no longer wanted comes to its end as it began: no association is cut
    for it. The duty in its place waits for that.
    """

    def __init__(self, scheduler: BaseScheduler) -> None:
        """None is at work; the scheduler runs one of a name at a time (APScheduler, `max_instances`)."""
        self._scheduler = scheduler
        self._made_of: dict[str, object] = {}
        self._made: list[Duty] = []

    def follow(self, wanted: Mapping[str, WantedDuty]) -> None:
        """Have these at work from now on, by name."""
        for name in self._made_of.keys() - wanted.keys():
            self._take_out(name)
        for name, one in wanted.items():
            if name in self._made_of:
                if self._made_of[name] == one.made_of:
                    continue
                self._take_out(name)
            duty = one.make()
            self._made.append(duty)
            self._made_of[name] = one.made_of
            self._scheduler.add_job(duty.run, "interval", seconds=duty.interval_s, id=name)

    def stop(self) -> None:
        """Let runs that go on end early, those of duties that were exchanged too."""
        for duty in self._made:
            duty.stop()

    def _take_out(self, name: str) -> None:
        self._scheduler.remove_job(name)
        del self._made_of[name]
