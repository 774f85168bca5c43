"""Three fuzz targets for a moment under Atheris, and that it finds what chance alone would not."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from builders.guided_fuzz import run_guided

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("atheris") is None, reason="Atheris is not installed: pip install '.[fuzz]'"),
]

SHORT_RUN = ("association_request", "header", "results")
"""One each of what comes from the wire, what it carries, and what is made of it: each start takes longer than its run."""

BROKEN = """
import sys
import atheris

@atheris.instrument_func
def take(data):
    if data[:1] == b"S" and data[1:2] == b"t" and data[2:3] == b"a" and data[3:4] == b"6":
        raise IndexError("found")

atheris.Setup([sys.argv[0], *sys.argv[2:]], take)
atheris.Fuzz()
"""
"""One of four thousand million cases of four bytes breaks it; each byte that is right is a step that is seen."""


@pytest.mark.parametrize("target", SHORT_RUN)
def test_guided_cases_leave_documented_errors_only(target: str, tmp_path: Path) -> None:
    """A share of the run in docs/fuzzing.md; the corpus of the repository is in it."""
    report = run_guided(target, tmp_path, "-max_total_time=3")
    assert (report.finding, report.said) == ("", "")
    assert report.cases > len(list((tmp_path / "corpus").glob("seed-*")))
    assert report.coverage >= report.coverage_first > 0


def test_a_target_that_breaks_deep_inside_is_found(tmp_path: Path) -> None:
    """With the case that breaks it."""
    program = tmp_path / "broken.py"
    program.write_text(BROKEN)
    report = run_guided("broken", tmp_path / "run", "-runs=2000000", program=(str(program),))
    assert bytes.fromhex(report.finding)[:4] == b"Sta6"
    assert "IndexError: found" in report.said
