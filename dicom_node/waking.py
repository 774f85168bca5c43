"""Lets duties run at once when the database says that there is something to do."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.base import BaseScheduler

from storage.wake import WakeUps

_SLICE_S = 0.5
_SLICES_WHILE_WOKEN = 10
"""Who is woken looks by itself every five seconds all the same; who is not, every half."""


def at_once(scheduler: BaseScheduler, beginning: str) -> Callable[[], None]:
    """Brings the next turns of the duties whose names begin so forward to now, whichever there are by then."""

    def bring_forward() -> None:
        for job in scheduler.get_jobs():
            if job.id.startswith(beginning):
                # The configuration may have taken it out meanwhile.
                with suppress(JobLookupError):
                    job.modify(next_run_time=datetime.now(UTC))

    return bring_forward


def wait_for_work(stop: Event, ready: Event, wake_ups: WakeUps) -> None:
    """Return when told to stop, when a study is ready, or when it is time to look all the same."""
    for _ in range(_SLICES_WHILE_WOKEN if wake_ups.listens.is_set() else 1):
        if stop.is_set() or ready.wait(_SLICE_S):
            break
    ready.clear()
