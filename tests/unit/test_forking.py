"""The server that attempts are forked from: what it survives, and that nothing outlives the worker."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from builders.attempts import attempts_of, end_attempts
from builders.deadline import until
from dicom_node.forking import ForkedChild, ForkServer

SAY_PIDS = """import os, sys, pathlib
said = pathlib.Path(sys.argv[1]) / "part"
said.write_text(f"{os.getppid()} {os.getpid()} {os.environ.get('OMP_NUM_THREADS')}")
said.rename(said.with_name("pids"))
"""
AND_STAY = f"{SAY_PIDS}\nimport time\ntime.sleep(600)"


@pytest.fixture(autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    end_attempts()


def started(server: ForkServer, folder: Path, *, threads: int = 0) -> ForkedChild:
    """An attempt in a folder of its own."""
    folder.mkdir()
    with (folder / "job.log").open("wb") as log:
        return server.start(folder, log, memory_limit_bytes=0, threads=threads)


def said(folder: Path) -> tuple[int, int, str]:
    """Process IDs of the server and of the attempt, and the threads that libraries would start."""
    until((folder / "pids").exists, within_s=30, what="the attempt runs")
    server, attempt, threads = (folder / "pids").read_text().split()
    return int(server), int(attempt), threads


def is_gone(pid: int) -> bool:
    """Whether no process of this ID is left but, at most, one that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_attempts_are_forks_of_one_server_until_they_get_other_threads(tmp_path: Path) -> None:
    """Each is a process of its own; a library reads the number of its threads when it is loaded."""
    server = attempts_of(SAY_PIDS)
    assert [started(server, tmp_path / name, threads=1).wait(30) for name in ("a", "b")] == [0, 0]
    assert started(server, tmp_path / "c", threads=2).wait(30) == 0
    of_a, of_b, of_c = (said(tmp_path / name) for name in ("a", "b", "c"))
    assert of_a[0] == of_b[0] != of_c[0]
    assert of_a[1] != of_b[1]
    assert [of_a[2], of_b[2], of_c[2]] == ["1", "1", "2"]


def test_what_an_attempt_says_goes_into_its_log_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A traceback too, which ends the attempt and not the server."""
    server = attempts_of("import sys; print('of', sys.argv[1]); raise KeyError('lost')")
    for name in ("a", "b"):
        assert started(server, tmp_path / name).wait(30) == 1
        log = (tmp_path / name / "job.log").read_text()
        assert f"of {tmp_path / name}" in log and "KeyError: 'lost'" in log
    assert capfd.readouterr() == ("", "")


def test_a_stop_that_reaches_every_process_does_not_end_the_attempt(tmp_path: Path) -> None:
    """Ctrl-C at a terminal and systemd signal them all: whether the attempt goes on is for the worker to say."""
    child = started(attempts_of(AND_STAY), tmp_path / "a")
    server, attempt, _ = said(tmp_path / "a")
    for pid in (server, attempt):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    with pytest.raises(TimeoutExpired):
        child.wait(0.5)
    child.kill()
    assert child.wait(0) == -signal.SIGKILL
    assert is_gone(attempt)


def test_an_attempt_that_ends_before_it_is_killed_leaves_the_server_in_step(tmp_path: Path) -> None:
    """The next attempt's end is not taken for it."""
    server = attempts_of(SAY_PIDS)
    for number in range(5):
        child = started(server, tmp_path / str(number))
        until(lambda at=tmp_path / str(number): (at / "pids").exists(), within_s=30, what="it ran")
        child.kill()
        assert child.wait(0) in (0, -signal.SIGKILL)
    last = started(server, tmp_path / "last")
    assert last.wait(30) == 0
    assert said(tmp_path / "last")[0] == said(tmp_path / "0")[0]


def test_a_server_that_dies_takes_its_attempt_along_and_is_started_again(tmp_path: Path) -> None:
    """The attempt counts as ended by what ended the server."""
    server = attempts_of(AND_STAY)
    child = started(server, tmp_path / "a")
    first, attempt, _ = said(tmp_path / "a")
    os.kill(first, signal.SIGKILL)
    assert child.wait(30) == -signal.SIGKILL
    until(lambda: is_gone(attempt), within_s=30, what="the attempt is gone")
    again = started(server, tmp_path / "b")
    assert said(tmp_path / "b")[0] != first
    again.kill()


def test_nothing_outlives_the_one_who_asked(tmp_path: Path) -> None:
    """Neither the server nor the attempt, once the engine is closed."""
    server = attempts_of(AND_STAY)
    started(server, tmp_path / "a")
    of_server, attempt, _ = said(tmp_path / "a")
    server.close()
    until(lambda: is_gone(of_server) and is_gone(attempt), within_s=30, what="both are gone")
