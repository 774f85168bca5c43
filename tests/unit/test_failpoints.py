"""Places where a test may kill the node."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from storage.failpoints import (
    FAILPOINTS,
    KEEPING_FAILPOINTS,
    VARIABLE,
    UnknownFailpointError,
    arm,
    arm_from_environment,
    reach,
)

ROOT = Path(__file__).resolve().parents[2]
REACHED = re.compile(r"""\breach\("([a-z_.]+)"\)""")


def test_every_failpoint_stands_at_one_place() -> None:
    """None is dead, none stands twice; that each is come to in a run, the integration tests show."""
    sources = [path.read_text() for name in ("dicom_node", "storage") for path in (ROOT / name).rglob("*.py")]
    assert Counter(name for source in sources for name in REACHED.findall(source)) == dict.fromkeys(
        (*FAILPOINTS, *KEEPING_FAILPOINTS), 1
    )


def test_nothing_happens_at_a_failpoint_that_is_not_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in every node that is not under test."""
    monkeypatch.delenv(VARIABLE, raising=False)
    arm_from_environment()
    for name in FAILPOINTS:
        reach(name)


def test_an_armed_action_hears_each_name() -> None:
    """Until it is disarmed."""
    heard: list[str] = []
    arm(heard.append)
    try:
        reach("job.claimed")
    finally:
        arm(None)
    reach("job.claimed")
    assert heard == ["job.claimed"]


@pytest.mark.parametrize("value", ["nonsense:1", "job.claimed", "job.claimed:x", "job.claimed:1:everybody"])
def test_a_failpoint_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A test that misspells it would kill nothing and pass."""
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(UnknownFailpointError):
        arm_from_environment()


def test_the_process_dies_at_the_arrival_that_is_named() -> None:
    """SIGKILL at the third, not before."""
    program = "from storage.failpoints import *\narm_from_environment()\nfor n in range(9):\n reach('job.claimed'); print(n, flush=True)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={VARIABLE: "job.claimed:3"},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (-9, "0\n1\n")
