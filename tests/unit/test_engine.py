"""An attempt in a process of its own."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from builders.attempts import attempts_of, end_attempts
from builders.jobs import job
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind, StudySpec

SPEC = job(StudySpec(study_instance_uid="1.2", acquired_at=None, inputs=()))


@pytest.fixture(autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    end_attempts()


def run(
    code: str, folder: Path, *, time_limit_s: float = 20, memory_limit_bytes: int = 0, stop: Event | None = None
) -> JobOutcome | None:
    """Run Python code as the attempt."""
    limits = EngineLimits(time_limit_s=time_limit_s, memory_limit_bytes=memory_limit_bytes)
    engine = LocalEngine(limits, server=attempts_of(code))
    return engine.run(SPEC, folder, keep_going=lambda: True, stop=stop or Event())


def test_the_outcome_of_the_process_comes_back(tmp_path: Path) -> None:
    """What the process wrote is what the worker gets."""
    code = """import sys, pathlib
from dicom_node.job_records import *
JobOutcome(kind=OutcomeKind.REFUSED, reason='not a chest').write(pathlib.Path(sys.argv[1]))"""
    assert run(code, tmp_path) == JobOutcome(kind=OutcomeKind.REFUSED, reason="not a chest")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import os; os._exit(3)", "exit code 3"),
        ("raise KeyError", "exit code 1"),
        ("pass", "without an outcome"),
    ],
)
def test_a_crash_is_a_failed_attempt(code: str, reason: str, tmp_path: Path) -> None:
    """Whatever kills the process, the worker gets a retryable failure that names it."""
    outcome = run(code, tmp_path)
    assert outcome is not None
    assert (outcome.kind, outcome.retryable) == (OutcomeKind.FAILED, True)
    assert reason in outcome.reason


def test_a_hang_ends_at_the_time_limit(tmp_path: Path) -> None:
    """A process that never ends is ended."""
    outcome = run("import time; time.sleep(600)", tmp_path, time_limit_s=0.5)
    assert outcome is not None
    assert "not finished after" in outcome.reason


def test_hunger_for_memory_is_a_failed_attempt(tmp_path: Path) -> None:
    """The limit holds the process, not the machine."""
    outcome = run("x = bytearray(4 << 30)", tmp_path, memory_limit_bytes=1 << 30)
    assert outcome is not None
    assert outcome.kind is OutcomeKind.FAILED


def test_a_stopping_worker_ends_the_process_without_an_outcome(tmp_path: Path) -> None:
    """An attempt that was ended from outside is nobody's failure."""
    stop = Event()
    stop.set()
    assert run("import time; time.sleep(600)", tmp_path, stop=stop) is None


def test_a_lost_lease_ends_the_process(tmp_path: Path) -> None:
    """A stale worker does not go on computing."""
    engine = LocalEngine(
        EngineLimits(time_limit_s=60, memory_limit_bytes=0), server=attempts_of("import time; time.sleep(600)")
    )
    assert engine.run(SPEC, tmp_path, keep_going=lambda: False, stop=Event()) is None


def test_a_job_survives_being_written_and_read(tmp_path: Path) -> None:
    """What the worker writes is what the process reads."""
    SPEC.write(tmp_path)
    assert JobSpec.read(tmp_path) == SPEC
