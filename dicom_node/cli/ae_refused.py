"""Commands of the group `ae` about callers that were refused."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from dicom_node.cli.configuring import configuration_of, report
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import console, print_json

if TYPE_CHECKING:
    from storage.refused_callers import RefusedCaller

_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLine:
    """One caller in `ae refused --json`."""

    calling_aet: str
    called_aet: str
    address: str
    reason: str
    """What was wrong, and what an administrator can do."""
    can_be_allowed: bool
    """Whether `ae allow` lets it in."""
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedList:
    """What `ae refused --json` prints."""

    callers: tuple[RefusedLine, ...]


def refused(context: typer.Context, json: _Json = False) -> None:
    """List who called and was refused, the newest first."""
    from dicom_node.refused import standing

    lines = tuple(_line(caller) for caller in standing(_callers(context), settings_of(context)))
    if json:
        print_json(RefusedList(callers=lines))
        return
    table = Table("calls itself", "called", "from", "times", "last", "why")
    for line in lines:
        titles = (escape(line.calling_aet), escape(line.called_aet), escape(line.address))
        table.add_row(*titles, str(line.count), f"{line.last_at:%Y-%m-%d %H:%M:%S}", line.reason)
    console().print(table)


def allow(
    context: typer.Context,
    title: Annotated[str, typer.Argument(metavar="AE_TITLE", help="What the caller calls itself.")],
    name: Annotated[str, typer.Option(help="Name of the new peer; made from the AE title otherwise.")] = "",
    port: Annotated[int, typer.Option(help="Where it listens, if results go there one day.", min=1, max=65535)] = 104,
    json: _Json = False,
) -> None:
    """Let a caller that was refused send from now on.

    A peer of this AE title gets may_send = true; where there is none, one is added with the address that called.
    """
    from dicom_node.operators import operator_name
    from dicom_node.refused import allow as allow_caller

    configuration, callers = configuration_of(context), _callers(context)
    edit = allow_caller(configuration, callers, title, by=operator_name(), name=name, port=port)
    _forget(context, title)
    report(edit, as_json=json)


def _callers(context: typer.Context) -> "tuple[RefusedCaller, ...]":
    from dicom_node.index import open_index

    return open_index(settings_of(context)).refused_callers.all()


def _forget(context: typer.Context, title: str) -> None:
    from dicom_node.index import open_index

    open_index(settings_of(context)).refused_callers.forget(title)


def _line(caller: "RefusedCaller") -> RefusedLine:
    from dicom_node.refused import can_be_allowed, words_of

    return RefusedLine(
        calling_aet=caller.calling_aet,
        called_aet=caller.called_aet,
        address=caller.address,
        reason=words_of(caller),
        can_be_allowed=can_be_allowed(caller),
        count=caller.count,
        first_at=caller.first_at,
        last_at=caller.last_at,
    )
