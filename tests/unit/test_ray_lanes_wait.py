"""What becomes of studies while the cluster is not there: the worker's end of the line to a driver, and its lanes."""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, cast

import pytest

from builders.deadline import until
from builders.jobs import job
from config.ray import RaySettings
from dicom_node.cluster.driver import Driver
from dicom_node.cluster.engine import RayEngine, _Line
from dicom_node.cluster.lanes import Lanes
from dicom_node.cluster.plan import DriverPlan
from dicom_node.job_records import JobOutcome, StudySpec
from storage.errors import DiskFullError

SPEC = job(StudySpec(study_instance_uid="1.2", acquired_at=None, inputs=()))
LANES = 5


def plan_in(folder: Path) -> DriverPlan:
    """Of no cluster."""
    ray = RaySettings.model_construct(address="nobody:1")
    return DriverPlan(ray=ray, device="cpu", time_limit_s=1, memory_limit_bytes=0, data_dir=folder)


@contextmanager
def engine_with_driver(folder: Path, *, places: int, word: str) -> Iterator[RayEngine]:
    """One whose driver offers so many places, and says this of every attempt."""
    ours, theirs = socket.socketpair()

    def drive() -> None:
        with theirs.makefile("r") as heard:
            for line in heard:
                theirs.sendall(f"{word} {line.rstrip().partition(' ')[2]}\n".encode())

    with theirs:
        engine = RayEngine(plan_in(folder))
        engine._line = _Line(ours)
        theirs.sendall(f"places {places}\n".encode())
        until(lambda: engine.places == places, within_s=10, what="places are offered")
        thread = Thread(target=drive)
        thread.start()
        yield engine
        theirs.shutdown(socket.SHUT_RDWR)
        thread.join()


def run(engine: RayEngine, folder: Path) -> JobOutcome | None:
    """An attempt."""
    return engine.run(SPEC, folder, keep_going=lambda: True, stop=Event())


@pytest.mark.parametrize(("places", "word"), [(1, "back"), (0, "done")], ids=["said by the driver", "without places"])
def test_an_attempt_that_was_not_begun_is_nobodys_failure(tmp_path: Path, places: int, word: str) -> None:
    """Its study waits until the cluster is there."""
    with engine_with_driver(tmp_path, places=places, word=word) as engine:
        assert run(engine, tmp_path) is None


def test_a_driver_that_lost_an_outcome_is_a_failed_attempt(tmp_path: Path) -> None:
    """It had the attempt, and says nothing else."""
    with engine_with_driver(tmp_path, places=1, word="done") as engine:
        outcome = run(engine, tmp_path)
    assert outcome
    assert "left no outcome" in outcome.reason


def test_a_disk_that_refuses_the_driver_is_said_of_the_disk(tmp_path: Path) -> None:
    """As where the attempt runs on this machine."""
    with engine_with_driver(tmp_path, places=1, word="refused-81") as engine, pytest.raises(DiskFullError):
        run(engine, tmp_path)


def test_a_driver_that_is_not_connected_gives_attempts_back(tmp_path: Path) -> None:
    """It has no cluster to ask."""
    said = io.StringIO()
    driver = Driver(plan_in(tmp_path), io.StringIO(), said)
    driver._ended["/jobs/1"] = Event()
    driver._run(Path("/jobs/1"))
    assert said.getvalue() == "back /jobs/1\n"


class VanishingEngine:
    """One whose places are gone at the first claim."""

    def __init__(self) -> None:
        """All are there."""
        self.seen_by: set[str] = set()
        self._places = LANES

    @property
    def places(self) -> int:
        """How many there are."""
        self.seen_by.add(threading.current_thread().name)
        return self._places

    def vanish(self) -> None:
        """None is there any more, once every lane has seen that there were some."""
        until(lambda: len(self.seen_by) == LANES + 1, within_s=20, what="every lane looked")
        self._places = 0

    def tend(self) -> None:
        """Nothing to tend."""

    def close(self) -> None:
        """Nothing is kept."""


class CountingDispatcher:
    """Has no study, and counts who asks."""

    def __init__(self, engine: VanishingEngine) -> None:
        """Nobody asked."""
        self._engine = engine
        self.claims = 0

    def claim(self) -> None:
        """None is ready."""
        self.claims += 1
        self._engine.vanish()


def test_lanes_that_wait_for_their_turn_claim_nothing_once_the_cluster_is_gone() -> None:
    """Each would take a study, and give it to nobody."""
    stop, engine = Event(), VanishingEngine()
    dispatcher = CountingDispatcher(engine)
    lanes = Thread(target=Lanes(cast("Any", dispatcher), cast("Any", engine), stop).run)
    lanes.start()
    try:
        until(lambda: engine._places == 0, within_s=30, what="a lane asked")
        assert not stop.wait(1.5)
    finally:
        stop.set()
        lanes.join()
    assert dispatcher.claims == 1
