"""Duties that come and go with the configuration."""

import logging
from collections.abc import Iterator
from threading import Event

import pytest
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from dicom_node.duties import Duties, Duty, WantedDuty

_WITHIN_S = 20.0


@pytest.fixture
def scheduler(caplog: pytest.LogCaptureFixture) -> Iterator[BackgroundScheduler]:
    """One that runs."""
    caplog.set_level(logging.CRITICAL, logger="apscheduler")
    made = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(4)},
        job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
    )
    made.start()
    yield made
    made.shutdown(wait=True)


class Task:
    """A run that lasts until it is let go."""

    def __init__(self) -> None:
        self.began, self.may_end, self.ended, self.was_stopped = Event(), Event(), Event(), Event()

    def run(self) -> None:
        """Stay."""
        self.began.set()
        self.may_end.wait(_WITHIN_S)
        self.ended.set()

    def stop(self) -> None:
        """End early."""
        self.was_stopped.set()
        self.may_end.set()

    def wanted(self, made_of: object) -> WantedDuty:
        """As a duty."""
        return WantedDuty(made_of=made_of, make=lambda: Duty(run=self.run, interval_s=0.05, stop=self.stop))


def test_a_run_that_goes_on_is_not_cut_when_its_duty_is_exchanged(scheduler: BackgroundScheduler) -> None:
    """The one in its place waits for it, so that a peer is never called twice at a time; at the end both are stopped."""
    duties, old, new = Duties(scheduler), Task(), Task()
    duties.follow({"outbox pacs": old.wanted("10.0.0.1")})
    assert old.began.wait(_WITHIN_S)
    duties.follow({"outbox pacs": new.wanted("10.0.0.2")})
    assert not new.began.wait(0.5)
    assert not old.was_stopped.is_set()
    old.may_end.set()
    assert new.began.wait(_WITHIN_S)
    duties.stop()
    assert old.was_stopped.is_set() and new.was_stopped.is_set()


def test_what_did_not_change_is_left_alone(scheduler: BackgroundScheduler) -> None:
    """Its memory, for instance of its next try, stays; what is not wanted any more runs no more."""
    duties, kept, other, gone = Duties(scheduler), Task(), Task(), Task()
    for task in (kept, gone):
        task.may_end.set()
    duties.follow({"a": kept.wanted(1), "b": gone.wanted(1)})
    duties.follow({"a": other.wanted(1)})
    assert [job.id for job in scheduler.get_jobs()] == ["a"]
    assert kept.began.wait(_WITHIN_S)
    assert not other.began.is_set()
    duties.stop()
