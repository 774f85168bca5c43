"""The command `check`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.context import settings_of
from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console, print_json, silence_logs

if TYPE_CHECKING:
    from dicom_node.check import CheckResult

_MARKS = {"passed": "[green]ok[/]     ", "warning": "[yellow]warning[/]", "failed": "[red]failed[/] "}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What `check --json` prints."""

    passed: bool
    """False when one check failed; a warning is no failure."""
    checks: "tuple[CheckResult, ...]"


def check(
    context: typer.Context, json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False
) -> None:
    """Check whether the node can work here.

    Looks at configuration, packages, disk, database, model pack, device and each peer. Exit code 1 when a check fails.
    """
    settings = settings_of(context)
    from dicom_node.check import Outcome, run_checks

    silence_logs()
    results = run_checks(settings)
    checks = tuple(results) if json else tuple(_shown(results))
    report = CheckReport(passed=all(result.outcome is not Outcome.FAILED for result in checks), checks=checks)
    if json:
        print_json(report)
    if not report.passed:
        raise typer.Exit(OPERATION_FAILED)


def _shown(results: "Iterator[CheckResult]") -> "Iterator[CheckResult]":
    """Print each result as it comes."""
    out = console()
    for result in results:
        out.print(f"{_MARKS[result.outcome]}  {escape(result.subject)}: {escape(result.detail)}", soft_wrap=True)
        yield result
