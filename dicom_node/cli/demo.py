"""The command `demo`."""

import signal
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console, error_console

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
    from dicom_node.demo.run import run_demo
    from dicom_node.log import quieten_libraries

    quieten_libraries()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    out.mkdir(parents=True, exist_ok=True)
    studies = _studies(source, out)
    with StudyProgress(len(studies)) as progress:
        results = tuple(run_demo(studies, out=out, on_progress=progress.show))
    show_results(results)
    if not all(result.state == "delivered" for result in results):
        raise typer.Exit(OPERATION_FAILED)


def _studies(source: Path | None, out: Path) -> "tuple[FolderStudy, ...]":
    """The studies to send: those of the folder, else a phantom patient's."""
    from dicom_node.demo.patient import write_demo_patient
    from dicom_node.folders import find_studies

    if source is None:
        source = out / "ct"
        with error_console().status("making a phantom patient with an earlier and a current chest CT"):
            write_demo_patient(source)
    content = find_studies([source])
    if content.passed_over:
        error_console().print(f"{content.passed_over} files passed over: not DICOM files of a study")
    return content.studies


class StudyProgress:
    """One bar per study; each phase that is over stays as a line with its duration."""

    def __init__(self, study_count: int) -> None:
        """Start with no bar."""
        self._study_count = study_count
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=error_console(), transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._phase = ""
        self._phase_since_s = 0.0

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the lines, take the bars away."""
        self._progress.stop()

    def show(self, study: "FolderStudy", standing: "Standing") -> None:
        """Draw where a study stands."""
        uid = study.files.study_instance_uid
        if uid not in self._tasks:
            self._start(study)
        if standing.phase != self._phase:
            self._end_phase()
            self._phase = standing.phase
        if standing.fraction >= 1.0:
            self._end_phase()
        self._progress.update(self._tasks[uid], completed=standing.fraction, description=f"  {standing.phase}")

    def _start(self, study: "FolderStudy") -> None:
        """Head the lines of the next study."""
        number = len(self._tasks) + 1
        date = f" of {study.files.acquired_at:%Y-%m-%d}" if study.files.acquired_at else ""
        self._progress.console.print(f"[bold]study {number} of {self._study_count}{date}[/]")
        self._tasks[study.files.study_instance_uid] = self._progress.add_task("", total=1.0)
        self._phase = ""

    def _end_phase(self) -> None:
        """Leave a line that says how long the phase took."""
        now_s = monotonic()
        if self._phase:
            self._progress.console.print(f"  {escape(self._phase)}: {now_s - self._phase_since_s:.1f} s")
        self._phase_since_s = now_s


def show_results(results: "Sequence[DemoResult]") -> None:
    """Draw the table, then the paths."""
    out = console()
    table = Table("study", "state", "found", "compared with", "changes")
    for result in results:
        table.add_row(*_row(result, results))
    out.print(table)
    for result in results:
        for path in result.files:
            out.print(str(path), soft_wrap=True, markup=False)
        if not result.folder:
            out.print(f"{result.study_instance_uid}: {result.state}: {result.reason}", soft_wrap=True, markup=False)


def _row(result: "DemoResult", results: "Sequence[DemoResult]") -> tuple[str, ...]:
    """One line of the table; an earlier study is named by its number in it."""
    from dicom_node.demo.summary import FindingsSummary

    numbers = {other.study_instance_uid: f"study {number}" for number, other in enumerate(results, start=1)}
    date = f", {result.acquired_at:%Y-%m-%d}" if result.acquired_at else ""
    name = f"{numbers[result.study_instance_uid]}{date}"
    if result.folder is None:
        return (name, result.state, escape(result.reason), "", "")
    summary = FindingsSummary.read(result.folder / "findings.json")
    priors = [numbers.get(prior.study_instance_uid, prior.study_instance_uid) for prior in summary.priors_used]
    return (name, result.state, summary.found, ", ".join(priors) or "none", summary.changes)
