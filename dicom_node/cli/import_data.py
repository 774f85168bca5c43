"""The command `import`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console, silence_logs
from dicom_node.cli.progress import PhaseProgress

if TYPE_CHECKING:
    from pipeline.importers.records import ImportOptions
    from pipeline.importers.run import ImportReport

FORMATS = (
    "dicom-seg",
    "dicom-rtstruct",
    "nifti-dir",
    "covid-ct-seg",
    "mosmed",
    "covid-19-20",
    "ricord",
    "covid-ct-md",
    "lidc",
)
"""As `pipeline.importers.registry` names them; written out so that help loads no pipeline."""

KEYS = ("name", "images", "masks", "lungs", "patient", "table", "split-by", "nodules")

_Format = Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")]
_Source = Annotated[
    Path, typer.Argument(exists=True, file_okay=False, metavar="SRC", help="Folder as the data set is laid out.")
]
_Store = Annotated[Path, typer.Option("--out", metavar="STORE", help="Store; made, or added to.")]
_Licence = Annotated[
    str, typer.Option(help="Terms of the data; without it those stated before, else those of the public set.")
]
_Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="NAME=STRUCTURE",
        help="What a segment, region or mask value is: right-lung, left-lung, lungs, ground-glass, consolidation, "
        "lesion, other, not-known or nothing. May be repeated.",
    ),
]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help=f"Keys: {', '.join(KEYS)}; see docs/import.md. May be repeated."),
]


def import_data(
    name: _Format,
    source: _Source,
    store: _Store,
    licence: _Licence = "",
    structures: _Map = None,
    settings: _Set = None,
) -> None:
    """Bring CT with masks or labels into a store that `train` reads.

    Patients are split into training, validation and test by a hash of their identifier. What cannot be used is named
    with its reason and does not stop the rest. Exit code 1 when nothing is in the store after it.
    """
    from pipeline.importers.run import import_data as run_import

    silence_logs()
    options = _options(structures or [], settings or [])
    with PhaseProgress() as progress:
        report = run_import(name, source, store, options=options, licence=licence, on_progress=progress.show)
    _show(report, store)
    if not report.outcomes:
        raise typer.Exit(OPERATION_FAILED)


def _options(structures: Sequence[str], settings: Sequence[str]) -> "ImportOptions":
    from pipeline.importers.records import ImportOptions

    values: dict[str, Any] = dict(_pair(text, "--set") for text in settings)
    unknown = sorted(values.keys() - set(KEYS))
    if unknown:
        reason = f"unknown key `{unknown[0]}`; known are {', '.join(KEYS)}"
        raise typer.BadParameter(reason, param_hint="--set")
    if "table" in values:
        values["table"] = _existing(values["table"])
    named = {key.replace("-", "_"): value for key, value in values.items()}
    return ImportOptions(structures=dict(_pair(text, "--map") for text in structures), **named)


def _pair(text: str, option: str) -> tuple[str, str]:
    key, sign, value = text.rpartition("=") if option == "--map" else text.partition("=")
    if not sign or not key or not value:
        reason = f"`{text}` is not of the form NAME=VALUE"
        raise typer.BadParameter(reason, param_hint=option)
    return key.strip(), value.strip()


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        reason = f"there is no file {text}"
        raise typer.BadParameter(reason, param_hint="--set table")
    return path


def _show(report: "ImportReport", store: Path) -> None:
    """Say what is in the store now, what is not and why, and under which terms."""
    from pipeline.importers.store import Outcome

    out = console()
    counts = [f"{report.count(outcome)} {outcome.value}" for outcome in Outcome if report.count(outcome)]
    noun = "study" if len(report.outcomes) == 1 else "studies"
    out.print(f"{len(report.outcomes)} {noun} in {store}: {', '.join(counts) or 'none'}", soft_wrap=True, markup=False)
    for note in report.notes:
        out.print(note, soft_wrap=True, markup=False)
    if report.left_out:
        names = ", ".join(report.left_out)
        out.print(f"structures left out: {names} (say --map NAME=STRUCTURE to use one)", soft_wrap=True, markup=False)
    if report.refused:
        out.print(f"{len(report.refused)} not imported:")
    for refusal in report.refused:
        out.print(f"  {escape(refusal.where)}: {escape(refusal.reason)}", soft_wrap=True)
    for line in _terms(report):
        out.print(line, soft_wrap=True, markup=False)


def _terms(report: "ImportReport") -> list[str]:
    licence = report.licence
    lines = [f"licence: {licence.name} ({licence.attribution})", licence.note]
    if licence.is_non_commercial:
        lines.append("This licence forbids commercial use: so does every model trained on it.")
    if licence.is_no_derivatives:
        lines.append("This licence forbids derivatives: ask before you pass on a model trained on it.")
    return [line for line in lines if line]
