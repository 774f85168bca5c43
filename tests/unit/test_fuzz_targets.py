"""Mutated bytes in every parser, and that a parser which breaks is found."""

import pytest

from builders.fuzz_cases import TARGETS, Target, run_cases, run_target


@pytest.mark.filterwarnings("ignore")
def test_mutated_bytes_leave_every_target_with_documented_errors_only() -> None:
    """A share of the run in docs/fuzzing.md."""
    reports = run_cases(4800, seed=1)
    assert {name: report.findings for name, report in reports.items()} == {name: {} for name in TARGETS}
    assert reports.pop("results").cases >= 35, "each makes a report and two segmentations"
    assert all(report.cases >= 190 for report in reports.values())


def test_a_target_that_breaks_is_found() -> None:
    """A parser that trusts a length byte."""

    def trusting(data: bytes) -> None:
        assert data[data[0]] >= 0

    report = run_target(Target(take=trusting, corpus=lambda: [b"\2abc"], weight=1), 200, seed="1")
    assert report.uncaught > 0
    (case,) = (value for kind, value in report.findings.items() if kind.startswith("IndexError at trusting"))
    with pytest.raises(IndexError):
        trusting(bytes.fromhex(case))


def test_a_seed_repeats_its_cases() -> None:
    """The same bytes in the same order."""
    seen: list[list[bytes]] = [[], []]
    for cases in seen:
        run_target(Target(take=cases.append, corpus=lambda: [b"abcdef"], weight=1), 50, seed="9")
    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 20
