"""The commands of the group `config`: the configuration file, its history, what it amounts to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.load import configuration_file, document_from_text, read_text
from config.secrets import shown_value
from config.settings import Settings
from config.toml_text import toml_text
from dicom_node.cli.auditing import attempt_to_change
from dicom_node.cli.configuring import configuration_of, print_lines, report
from dicom_node.cli.context import configuration_path, settings_of
from dicom_node.cli.output import print_json

if TYPE_CHECKING:
    from dicom_node.configuring import ConfigVersion

app = typer.Typer(help="Look at the configuration, its history, and go back in it.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigHistoryReport:
    """What `config history --json` prints."""

    versions: "tuple[ConfigVersion, ...]"
    """The newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveValue:
    """One setting as it holds."""

    key: str
    """`[table].key`, `[peers #1].key` for the first peer."""
    value: Any
    """Secrets are ***."""
    source: str
    """`file` or `default`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReport:
    """What `config show --json` prints."""

    file: str
    """Empty where there is none."""
    settings: tuple[EffectiveValue, ...]


@app.callback()
def group() -> None:
    """Look at the configuration, its history, and go back in it."""


@app.command()
def show(
    context: typer.Context,
    sources: Annotated[bool, typer.Option(help="Say of each value whether it is a default.")] = False,
    json: _Json = False,
) -> None:
    """Show every setting as it holds, without secrets."""
    settings = settings_of(context)
    path = configuration_file(configuration_path(context))
    document = document_from_text(read_text(path), name=str(path)) if path else {}
    values = tuple(_effective(settings, document))
    if json:
        print_json(ConfigReport(file=str(path or ""), settings=values))
        return
    print_lines(f"{one.key} = {toml_text(one.value)}" + (f"  ({one.source})" if sources else "") for one in values)


@app.command()
def check(context: typer.Context) -> None:
    """Check the configuration file alone: every problem on a line of its own, exit code 2; nothing is started.

    Of a node that runs it also says what a process takes up only at its next start.
    """
    from dicom_node.waiting_keys import waiting_lines

    settings = settings_of(context)
    print_lines([f"the configuration has no problem: {len(settings.peers)} peers", *waiting_lines(settings)])


@app.command()
def history(context: typer.Context, json: _Json = False) -> None:
    """List the versions of the configuration file, the newest first."""
    versions = configuration_of(context).history()
    if json:
        print_json(ConfigHistoryReport(versions=versions))
        return
    print_lines(_version_line(version) for version in versions)
    if not versions:
        print_lines(["the file was not edited by dicom-node yet"])


@app.command()
def diff(
    context: typer.Context,
    older: Annotated[int, typer.Argument(help="Number of a version.")],
    newer: Annotated[int | None, typer.Argument(help="Number of another; without, the file as it is.")] = None,
) -> None:
    """Show what two versions of the configuration file differ in, without secrets."""
    print_lines(configuration_of(context).difference(older, newer).splitlines() or ["they are the same"])


@app.command()
def restore(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="Number of a version.")],
    json: _Json = False,
) -> None:
    """Make the configuration file as it was; this can be undone in the same way."""
    from dicom_node.audit.events import AlertKind
    from dicom_node.operators import operator_name

    with attempt_to_change(context, AlertKind.SOFTWARE_CONFIGURATION, f"version {number} of the configuration"):
        edit = configuration_of(context).restore(number, by=operator_name())
    report(context, edit, AlertKind.SOFTWARE_CONFIGURATION, as_json=json)


def _version_line(version: "ConfigVersion") -> str:
    by = f" by {version.by}" if version.by else ""
    now = "  (the file now)" if version.is_current else ""
    return f"{version.number:5}  {version.at:%Y-%m-%d %H:%M:%S} UTC  {version.what}{by}{now}"


def _effective(settings: Settings, document: dict[str, Any]) -> Iterator[EffectiveValue]:
    for table, values in settings.model_dump(mode="json").items():
        written = document.get(table, {})
        if isinstance(values, list):
            for number, block in enumerate(values):
                yield from _of_table(f"{table} #{number + 1}", block, written[number])
        else:
            yield from _of_table(table, values, written)


def _of_table(table: str, values: dict[str, Any], written: dict[str, Any]) -> Iterator[EffectiveValue]:
    for key, value in values.items():
        if isinstance(value, dict) and key == "tls":
            yield from _of_table(f"{table}.{key}", value, written.get(key, {}))
            continue
        source = "file" if key in written else "default"
        yield EffectiveValue(key=f"[{table}].{key}", value=shown_value(key, value), source=source)
