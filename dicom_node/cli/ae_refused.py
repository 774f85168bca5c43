"""The commands of the group `ae` about callers that were refused."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.auditing import attempt_to_change
from dicom_node.cli.configuring import configuration_of, print_lines, report, values_from
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import print_json, print_table, table_of

if TYPE_CHECKING:
    from dicom_node.refused import RefusedLine

_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedReport:
    """What `ae refused --json` prints."""

    refused: "tuple[RefusedLine, ...]"
    """The newest first."""


def refused(context: typer.Context, json: _Json = False) -> None:
    """List who was refused an association lately, the newest first.

    Who was refused for want of a [[peers]] block is let in by `ae allow`; whoever was let in since is not listed.
    """
    from dicom_node.index import open_index
    from dicom_node.refused import refused_lines

    settings = settings_of(context)
    lines = refused_lines(settings, open_index(settings).refused_callers.newest())
    if json:
        print_json(RefusedReport(refused=lines))
        return
    if not lines:
        print_lines(["nobody was refused"])
        return
    table = table_of("calling", "called", "address", "times", "first (UTC)", "last (UTC)", "why")
    for line in lines:
        said = [escape(line.calling_aet), escape(line.called_aet), escape(line.address), str(line.count)]
        instants = [f"{at:%Y-%m-%d %H:%M:%S}" for at in (line.first_at, line.last_at)]
        table.add_row(*said, *instants, escape(line.reason))
    print_table(table)


def allow(
    context: typer.Context,
    title: Annotated[str, typer.Argument(help="Calling AE title, as `ae refused` shows it.")],
    values: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Keys of its [[peers]] block, as in node.toml.")
    ] = None,
    address: Annotated[str, typer.Option("--from", help="Address, where several called under this title.")] = "",
    json: _Json = False,
) -> None:
    """Let a caller in that was refused: adds a peer with the address that it called from."""
    from dicom_node.audit.events import AlertKind
    from dicom_node.index import open_index
    from dicom_node.operators import operator_name
    from dicom_node.refused import Welcome
    from dicom_node.refused import allow as let_in

    given = {key: value for key, value in values_from(values or []).items() if value is not None}
    welcome = Welcome(calling_aet=title, address=address, values=given)
    with attempt_to_change(context, AlertKind.NETWORK_CONFIGURATION, f"caller {title}"):
        callers = open_index(settings_of(context)).refused_callers.newest()
        edit = let_in(configuration_of(context), callers, welcome, by=operator_name())
    report(context, edit, AlertKind.NETWORK_CONFIGURATION, as_json=json)
