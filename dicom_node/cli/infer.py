"""The command `infer`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.context import settings_of
from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console, error_console, paths_in_short, print_json, silence_logs
from dicom_node.cli.progress import PhaseProgress
from dicom_node.wording import result_in_words

if TYPE_CHECKING:
    from config import Settings
    from dicom_node.folders import FolderStudy
    from dicom_node.infer import InferredStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class InferReport:
    """What `infer --json` prints."""

    studies: "tuple[InferredStudy, ...]"
    """Oldest first."""


_Folder = Annotated[
    Path, typer.Argument(exists=True, metavar="CT_DIR", help="Folder with the study, or several studies, as DICOM.")
]
_Priors = Annotated[
    list[Path] | None,
    typer.Option("--prior", exists=True, help="Folder with an earlier study of the same patient; may be repeated."),
]
_Out = Annotated[Path, typer.Option(help="Gets one folder per study.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def infer(context: typer.Context, ct_dir: _Folder, out: _Out, prior: _Priors = None, json: _Json = False) -> None:
    """Analyse a folder, without a network.

    Several studies are analysed one after the other, oldest first, each compared with the earlier ones of its patient.
    Exit code 1 when one is refused.
    """
    from dicom_node.folders import find_studies

    silence_logs()
    settings = settings_of(context)
    content = find_studies([ct_dir])
    priors = find_studies(prior).studies if prior else ()
    if content.passed_over:
        error_console().print(f"{content.passed_over} files passed over: not DICOM files of a study")
    inferred = _run(settings, content.studies, priors=priors, out=out)
    if json:
        print_json(InferReport(studies=inferred))
    else:
        _show(inferred)
    if any(study.findings is None for study in inferred):
        raise typer.Exit(OPERATION_FAILED)


def _run(
    settings: "Settings", studies: "Sequence[FolderStudy]", *, priors: "Sequence[FolderStudy]", out: Path
) -> "tuple[InferredStudy, ...]":
    """Analyse one study after the other, showing how far each is."""
    from dicom_node.infer import FolderInference

    begun: list[str] = []
    with PhaseProgress() as progress:

        def show(study: "FolderStudy", stage: str, fraction: float) -> None:
            if study.files.study_instance_uid not in begun:
                begun.append(study.files.study_instance_uid)
                progress.begin(f"study {len(begun)} of {len(studies)}")
            progress.show(stage, fraction)

        return tuple(FolderInference(settings, out=out, on_progress=show).run(studies, priors=priors))


def _show(inferred: "Sequence[InferredStudy]") -> None:
    """Say what was found, in which order, compared with what."""
    out = console()
    if len(inferred) > 1:
        out.print(f"{len(inferred)} studies, analysed oldest first; each was compared with the earlier ones.")
    for study in inferred:
        date = f"{study.acquired_at:%Y-%m-%d}" if study.acquired_at else "no date"
        out.print(f"[bold]study of {date}[/] {study.study_instance_uid}", soft_wrap=True)
        for line in _lines(study):
            out.print(f"  {escape(line)}", soft_wrap=True)


def _lines(study: "InferredStudy") -> list[str]:
    """What is said of one study."""
    if study.findings is None:
        return [f"refused: {study.refused_because}"]
    findings = study.findings
    compared = [f"compared with {prior.study_instance_uid}" for prior in findings.priors_used]
    dropped = [f"not compared with {prior.study_instance_uid}: {prior.reason}" for prior in findings.priors_dropped]
    return [
        f"series: {findings.series_reason}",
        result_in_words(len(findings.lesions), findings.involvement_percent, findings.stage, findings.missing_lungs),
        *compared,
        *dropped,
        *(f"note: {qualification}" for qualification in findings.qualifications),
        *paths_in_short([file.path for file in study.files]),
    ]
