"""The commands below `model`: packs are tried, installed, rolled back, exported."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.auditing import Attempt, attempt_to_change, note_change
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import console, print_json
from dicom_node.errors import NodeError
from dicom_node.pack_store import PackStore, chosen_pack

if TYPE_CHECKING:
    from config import Settings
    from pipeline.acceptance import AcceptedPack

app = typer.Typer(no_args_is_help=True, help="Model packs: the networks' weights and what belongs to them.")

BUNDLED = "the one that comes with the package"

PackFolder = Annotated[
    Path | None,
    typer.Argument(exists=True, file_okay=False, help="Folder of a model pack. Default: the pack in use."),
]


class MissingOnnxError(NodeError):
    """The export to ONNX needs packages that the node itself does not; install the extra with `pip install '.[onnx]'`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPack:
    """One pack in `model list --json`."""

    folder: Path | None
    """None: the one that comes with the package."""
    name: str
    version: str
    sha256: str
    in_use: bool
    problem: str
    """Why it cannot be used; empty when it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackList:
    """What `model list --json` prints."""

    packs: tuple[ListedPack, ...]


@app.command()
def check(context: typer.Context, pack: PackFolder = None) -> None:
    """Try a pack out: schema, sha256 of every file, and a dry run on its golden case.

    Nothing is changed. Exit code 1 with the reason when the pack is refused.
    """
    from pipeline.acceptance import accept_pack
    from pipeline.device import choose_device

    settings = settings_of(context)
    accepted = accept_pack(pack or chosen_pack(settings), choose_device(settings.pipeline.device))
    console().print(_verdict(accepted), soft_wrap=True)


@app.command()
def install(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(exists=True, help="Folder or zip archive of a model pack.")],
) -> None:
    """Try a pack out, put it into the data folder and use it from the next study on."""
    from dicom_node.pack_install import install_pack
    from pipeline.device import choose_device

    settings = settings_of(context)
    with _attempt(context, f"model pack {source}"):
        device = choose_device(settings.pipeline.device)
        accepted = install_pack(source, PackStore(settings.data_dir), device)
    _note(context, f"model pack {accepted.pack.name} {accepted.pack.version} installed")
    out = console()
    out.print(_verdict(accepted), soft_wrap=True)
    out.print(f"installed: {escape(str(accepted.pack.folder))}", soft_wrap=True)
    _tell_override(settings)


@app.command(name="list")
def list_packs(
    context: typer.Context, json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False
) -> None:
    """List the installed packs and the one that comes with the package."""
    settings = settings_of(context)
    packs = listed_packs(settings)
    if json:
        print_json(PackList(packs=packs))
        return
    out = console()
    for pack in packs:
        mark = "[green]in use[/]" if pack.in_use else "      "
        said = f"[red]{escape(pack.problem)}[/]" if pack.problem else f"sha256 {pack.sha256[:16]}"
        place = escape(str(pack.folder)) if pack.folder else BUNDLED
        out.print(f"{mark}  {escape(pack.name)} {escape(pack.version)}  {said}  {place}", soft_wrap=True)
    _tell_override(settings)


@app.command()
def rollback(context: typer.Context) -> None:
    """Use the pack that was in use before the current one, from the next study on."""
    settings = settings_of(context)
    with _attempt(context, "model pack in use before"):
        now = PackStore(settings.data_dir).roll_back()
    _note(context, f"model pack in use again: {now.name if now else BUNDLED}")
    console().print(f"in use: {escape(str(now)) if now else BUNDLED}", soft_wrap=True)
    _tell_override(settings)


@app.command()
def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="New folder for the bundle.")],
    pack: PackFolder = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write the networks as ONNX graphs, into onnx/.")] = False,
) -> None:
    """Write a pack as a MONAI bundle that runs on a machine without this software."""
    from pipeline.export.bundle import export_bundle
    from pipeline.export.onnx_files import export_onnx
    from pipeline.model_pack import load_model_pack

    if onnx and not all(find_spec(package) for package in ("onnx", "onnxscript")):
        raise MissingOnnxError
    loaded = load_model_pack(pack or chosen_pack(settings_of(context)))
    folder = export_bundle(loaded, out)
    if onnx:
        export_onnx(loaded, folder / "onnx")
    console().print(f"{folder}: {loaded.name} {loaded.version} as a MONAI bundle", soft_wrap=True, markup=False)


def listed_packs(settings: "Settings") -> tuple[ListedPack, ...]:
    """The pack of the package, then the installed ones, each checked but not tried out."""
    store = PackStore(settings.data_dir)
    current = settings.pipeline.model_pack or store.current()
    folders = [None, *store.installed()]
    if current not in folders:
        folders.append(current)
    return tuple(_listed(folder, in_use=folder == current) for folder in folders)


def _listed(folder: Path | None, *, in_use: bool) -> ListedPack:
    from pipeline.errors import ModelPackError
    from pipeline.model_pack import load_model_pack

    try:
        pack = load_model_pack(folder)
    except ModelPackError as error:
        name = folder.name if folder else ""
        return ListedPack(folder=folder, name=name, version="", sha256="", in_use=in_use, problem=error.reason)
    return ListedPack(
        folder=folder, name=pack.name, version=pack.version, sha256=pack.sha256, in_use=in_use, problem=""
    )


def _attempt(context: typer.Context, subject: str) -> Attempt:
    from dicom_node.audit.events import AlertKind

    return attempt_to_change(context, AlertKind.SOFTWARE_CONFIGURATION, subject)


def _note(context: typer.Context, subject: str) -> None:
    from dicom_node.audit.events import AlertKind

    note_change(context, AlertKind.SOFTWARE_CONFIGURATION, subject)


def _verdict(accepted: "AcceptedPack") -> str:
    """What was tried, in one line."""
    pack = accepted.pack
    tried = (
        f"says of its golden case what it said when it was written ({accepted.dry_run_s:.1f} s)"
        if accepted.dry_run_s is not None
        else "is whole; it is of format 1 and has no golden case to be tried on"
    )
    return f"[green]ok[/]  {escape(pack.name)} {escape(pack.version)}, sha256 {pack.sha256[:16]}: {tried}"


def _tell_override(settings: "Settings") -> None:
    """The configuration may name a pack of its own."""
    if settings.pipeline.model_pack:
        named = escape(str(settings.pipeline.model_pack))
        console().print(
            rf"[yellow]note:[/] the configuration names {named} as \[pipeline].model_pack, and that is used",
            soft_wrap=True,
        )
