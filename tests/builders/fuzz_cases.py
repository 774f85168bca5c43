"""Runs fuzz targets over mutated corpora, and says what got out of them."""

import logging
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from builders import fuzz_association, fuzz_notices, fuzz_parsers, fuzz_requests, fuzz_results
from builders.byte_mutations import mutated
from builders.fuzz_corpus import kept_cases

_MOST_FINDINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something that takes bytes of others."""

    take: Callable[[bytes], None]
    """Raises nothing, whatever the bytes are; an exception is a finding."""
    corpus: Callable[[], Sequence[bytes]]
    """Bytes to begin with, made by code."""
    weight: int
    """Its part of all cases, in hundredths."""


TARGETS: dict[str, Target] = {
    "association": Target(take=fuzz_association.take_pdus, corpus=fuzz_association.conversations, weight=5),
    "association_request": Target(
        take=fuzz_requests.take_association_request, corpus=fuzz_requests.association_requests, weight=10
    ),
    "store_command": Target(take=fuzz_parsers.take_store_command, corpus=fuzz_parsers.store_commands, weight=30),
    "header": Target(take=fuzz_parsers.take_header, corpus=fuzz_parsers.heads, weight=30),
    "commitment": Target(take=fuzz_parsers.take_commitment, corpus=fuzz_parsers.commitments, weight=15),
    "notice": Target(take=fuzz_notices.take_notice, corpus=fuzz_notices.notices, weight=10),
    "results": Target(take=fuzz_results.take_findings, corpus=fuzz_results.findings, weight=1),
    "configuration": Target(take=fuzz_parsers.take_configuration, corpus=fuzz_parsers.configurations, weight=10),
    "lifecycle": Target(take=fuzz_parsers.take_events, corpus=fuzz_parsers.lives, weight=10),
}


@dataclass(slots=True, kw_only=True)
class TargetReport:
    """What became of the cases of a target."""

    cases: int = 0
    uncaught: int = 0
    findings: dict[str, str] = field(default_factory=dict)
    """The first case of each kind of exception, in hex, at most 20."""
    slowest_ms: float = 0.0
    duration_s: float = 0.0
    memory_growth_mib: float = 0.0
    """Of the peak of the process, while the target ran."""


def run_cases(cases: int, *, seed: int, targets: Mapping[str, Target] = TARGETS) -> dict[str, TargetReport]:
    """All targets, each with its part of the cases; the same cases for the same seed."""
    logging.disable(logging.CRITICAL)
    try:
        total = sum(target.weight for target in targets.values())
        return {
            name: run_target(target, cases * target.weight // total, seed=f"{seed} {name}", kept=kept_cases(name))
            for name, target in targets.items()
        }
    finally:
        logging.disable(logging.NOTSET)


def run_target(target: Target, cases: int, *, seed: str, kept: Sequence[bytes] = ()) -> TargetReport:
    """One target: its corpus and what was kept as they are, then mutated."""
    random, corpus = Random(seed), [*target.corpus(), *kept]  # repeatable, hides nothing
    report = TargetReport()
    peak_kib, started_at_s = _peak_kib(), time.monotonic()
    for data in corpus[:cases]:
        _run_case(target, data, report)
    while report.cases < cases:
        _run_case(target, mutated(corpus, random), report)
    report.duration_s = round(time.monotonic() - started_at_s, 1)
    report.memory_growth_mib = round((_peak_kib() - peak_kib) / 1024, 1)
    return report


def _run_case(target: Target, data: bytes, report: TargetReport) -> None:
    started_at_s = time.monotonic()
    try:
        target.take(data)
    except Exception as exc:  # noqa: BLE001  # each is a finding
        report.uncaught += 1
        kind = f"{type(exc).__name__} at {_place(exc)}"
        if len(report.findings) < _MOST_FINDINGS:
            report.findings.setdefault(kind, data.hex())
    report.cases += 1
    report.slowest_ms = max(report.slowest_ms, round(1000 * (time.monotonic() - started_at_s), 1))


def _place(exc: BaseException) -> str:
    """Where it was raised."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "?"


def _peak_kib() -> int:
    """Resident memory of this process at its most (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
