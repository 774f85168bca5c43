"""The command `demo`."""

import signal
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console, error_console, paths_in_short, print_table, silence_logs, table_of
from dicom_node.cli.progress import PhaseProgress

if TYPE_CHECKING:
    from dicom_node.demo.follow import Standing
    from dicom_node.demo.run import DemoResult
    from dicom_node.folders import FolderStudy

_Input = Annotated[
    Path | None, typer.Option("--input", exists=True, help="Send the studies below this folder instead of a phantom's.")
]
_Out = Annotated[Path, typer.Option(help="Gets one folder per study, pacs (what the PACS received), node.log.")]


def demo(out: _Out, source: _Input = None) -> None:
    """Show a whole node at work.

    Starts a node and a small PACS on loopback, sends two studies of a phantom patient by C-STORE, waits for SR and SEG.


    Exit code 1 when a study did not end as delivered.
    """

    silence_logs()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    out.mkdir(parents=True, exist_ok=True)
    results = _run(_studies(source, out), out)
    show_results(results)
    if not all(result.state == "delivered" for result in results):
        raise typer.Exit(OPERATION_FAILED)


def _studies(source: Path | None, out: Path) -> "tuple[FolderStudy, ...]":
    """The studies to send: those of the folder, else a phantom patient's."""
    from dicom_node.demo.patient import DEMO_PLAN, write_patient
    from dicom_node.folders import find_studies

    if source:
        content = find_studies([source])
    else:
        with PhaseProgress() as progress:
            made = write_patient(
                DEMO_PLAN, out / "ct", on_study=lambda number, _: progress.show(f"Making CT {number} of a phantom", 0.5)
            )
        content = find_studies(made)
    if content.passed_over:
        error_console().print(f"{content.passed_over} files passed over: not DICOM files of a study")
    return content.studies


def _run(studies: "Sequence[FolderStudy]", out: Path) -> "tuple[DemoResult, ...]":
    """Send the studies one after the other, showing what becomes of each."""
    from dicom_node.demo.run import run_demo

    begun: list[str] = []
    with PhaseProgress() as progress:

        def show(study: "FolderStudy", standing: "Standing") -> None:
            if study.files.study_instance_uid not in begun:
                begun.append(study.files.study_instance_uid)
                progress.begin(f"study {len(begun)} of {len(studies)}{_date(study.files.acquired_at)}")
            if standing.fraction < 1.0:
                progress.show(standing.phase, standing.fraction)
            else:
                progress.finish()

        return tuple(run_demo(studies, out=out, on_progress=show))


def _date(acquired_at: datetime | None) -> str:
    """The date of a study, to be put behind its name."""
    return f", {acquired_at:%Y-%m-%d}" if acquired_at else ""


def show_results(results: "Sequence[DemoResult]") -> None:
    """Draw the table, then the paths."""
    out = console()
    table = table_of("study", "state", "found", "compared with", "changes")
    for result in results:
        table.add_row(*_row(result, results))
    print_table(table)
    for result in results:
        for line in paths_in_short(result.files):
            out.print(line, soft_wrap=True, markup=False)
        if not result.folder:
            out.print(f"{result.study_instance_uid}: {result.state}: {result.reason}", soft_wrap=True, markup=False)


def _row(result: "DemoResult", results: "Sequence[DemoResult]") -> tuple[str, ...]:
    """One line of the table; an earlier study is named by its number in it."""
    from dicom_node.demo.summary import FindingsSummary

    numbers = {other.study_instance_uid: f"study {number}" for number, other in enumerate(results, start=1)}
    name = f"{numbers[result.study_instance_uid]}{_date(result.acquired_at)}"
    if result.folder is None:
        return (name, result.state, escape(result.reason), "", "")
    summary = FindingsSummary.read(result.folder / "findings.json")
    priors = [numbers.get(prior.study_instance_uid, prior.study_instance_uid) for prior in summary.priors_used]
    return (name, result.state, summary.found, ", ".join(priors) or "none", summary.changes)
