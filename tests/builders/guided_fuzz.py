"""Runs fuzz targets under Atheris, each in a process of its own, and reads what libFuzzer says."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builders.fuzz_cases import TARGETS
from builders.fuzz_corpus import keep_cases, kept_cases

PROGRAM = Path(__file__).resolve().parents[1] / "fuzz" / "guided.py"
_SLOWEST_CASE_S = 20
_MOST_MEMORY_MIB = 2048
_LONGEST_CASE_BYTES = 16 * 1024
_RUNS = re.compile(r"Done (\d+) runs in (\d+) second")
_FIRST = re.compile(r"INITED cov: (\d+)")
_PROGRESS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidedReport:
    """What became of a target."""

    cases: int
    """Zero where a finding ended the run."""
    duration_s: int
    coverage_first: int
    """Edges of our code and pynetdicom's that the corpus reaches, as it is."""
    coverage: int
    """At the end."""
    corpus: int
    """Cases that reach something which no shorter one does."""
    finding: str
    """The case that ended the run, in hex; empty for none."""
    said: str
    """The end of what Atheris said about it."""


def run_guided(
    target: str, folder: Path, *options: str, seed: int = 1, program: Sequence[str] = (str(PROGRAM),)
) -> GuidedReport:
    """Run a target within the limits that the options of libFuzzer set (`-runs=`, `-max_total_time=`).

    Args:
        target: Its name.
        folder: Empty; holds the cases afterwards, in `corpus`.
        options: Of libFuzzer.
        seed: Of its chance.
        program: That has the targets.
    """
    corpus, found = folder / "corpus", folder / "found"
    _write_seeds(target, corpus)
    found.mkdir()
    limits = (f"-timeout={_SLOWEST_CASE_S}", f"-rss_limit_mb={_MOST_MEMORY_MIB}", f"-max_len={_LONGEST_CASE_BYTES}")
    said = _run(program, target, str(corpus), f"-artifact_prefix={found}/", f"-seed={seed}", *limits, *options)
    runs, first = _RUNS.search(said), _FIRST.search(said)
    progress = _PROGRESS.findall(said) or [("0", "0", "0")]
    cases = sorted(found.iterdir())
    return GuidedReport(
        cases=int(runs[1]) if runs else 0,
        duration_s=int(runs[2]) if runs else 0,
        coverage_first=int(first[1]) if first else 0,
        coverage=int(progress[-1][0]),
        corpus=int(progress[-1][2]),
        finding=cases[0].read_bytes().hex() if cases else "",
        said="" if runs and not cases else said[-4000:],
    )


def keep_what_it_found(target: str, folder: Path) -> int:
    """Keep the fewest cases of a run that reach all that it reached; how many."""
    fewest = folder / "fewest"
    fewest.mkdir()
    _run((str(PROGRAM),), target, str(fewest), str(folder / "corpus"), "-merge=1", f"-max_len={_LONGEST_CASE_BYTES}")
    by_code = set(TARGETS[target].corpus())
    return keep_cases(target, (case for path in fewest.iterdir() if (case := path.read_bytes()) not in by_code))


def _write_seeds(target: str, corpus: Path) -> None:
    corpus.mkdir(parents=True)
    seeds = [*TARGETS[target].corpus(), *kept_cases(target)] if target in TARGETS else []
    for number, case in enumerate(seeds):
        (corpus / f"seed-{number:04d}").write_bytes(case)


def _run(program: Sequence[str], *arguments: str) -> str:
    """All that it says; a run that ends by its limits and one that ends at a finding are both good."""
    ended = subprocess.run([sys.executable, *program, *arguments], capture_output=True, text=True, errors="replace")
    return ended.stdout + ended.stderr
