"""Commands of the group `ae` that list, edit and call the peers of the configuration."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from config.names import port_from
from config.settings import Peer
from dicom_node.cli.auditing import Attempt, attempt_to_change
from dicom_node.cli.configuring import configuration_of, print_lines, report, values_from
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import print_json, print_table, silence_logs, table_of

if TYPE_CHECKING:
    from dicom_node.configuring import Edit

_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
_Name = Annotated[str, typer.Argument(help="Name of a peer in the configuration.")]
_Values = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Keys of a [[peers]] block, as in node.toml.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLine:
    """One peer in `ae list --json`."""

    name: str
    ae_title: str
    host: str
    port: int
    may_send: bool
    receives_results: bool
    results: tuple[str, ...]
    query_retrieve: str
    tls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerList:
    """What `ae list --json` prints."""

    own_ae_title: str
    peers: tuple[PeerLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoReport:
    """What `ae echo --json` prints."""

    peer: str
    duration_s: float
    """From the call to the end of the association."""


def list_peers(context: typer.Context, json: _Json = False) -> None:
    """List the peers of the configuration."""
    settings = settings_of(context)
    lines = tuple(_line(peer) for peer in settings.peers)
    if json:
        print_json(PeerList(own_ae_title=settings.node.ae_title, peers=lines))
        return
    table = table_of("name", "AE title", "address", "sends", "receives", "earlier studies", "TLS")
    for line in lines:
        receives = ", ".join(line.results) if line.receives_results else "no"
        table.add_row(
            escape(line.name),
            escape(line.ae_title),
            f"{line.host}:{line.port}",
            "yes" if line.may_send else "no",
            receives,
            "no" if line.query_retrieve == "none" else line.query_retrieve,
            "yes" if line.tls else "no",
        )
    print_table(table)


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="How the peer is called in commands, logs and on the pages.")],
    ae_title: Annotated[str, typer.Argument(help="AE title that it calls itself, and that the node calls it by.")],
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where it listens; [::1]:104 for IPv6.")],
    values: _Values = None,
    json: _Json = False,
) -> None:
    """Add a peer to the configuration file.

    For example: ae add pacs PACS 10.0.0.5:104 receives_results=true may_send=false. All problems are reported at once,
    and nothing is written then.
    """
    given = {key: value for key, value in values_from(values or []).items() if value is not None}
    host, _, text = address.rpartition(":")
    port = port_from(text)
    if not host or port is None:
        problem = f"{address}: write HOST:PORT"
        raise typer.BadParameter(problem, param_hint="HOST:PORT")
    where = {"host": host.removeprefix("[").removesuffix("]"), "port": port}
    block = {"name": name, "ae_title": ae_title, **where, **given}
    with _attempt(context, name):
        edit = configuration_of(context).add_peer(block, by=_operator())
    _report(context, edit, as_json=json)


def change(context: typer.Context, name: _Name, values: _Values = None, json: _Json = False) -> None:
    """Change keys of a peer in the configuration file.

    `key=` without a value takes the key out, so that its default holds.
    """
    given = values_from(values or [])
    with _attempt(context, name):
        edit = configuration_of(context).change_peer(name, given, by=_operator())
    _report(context, edit, as_json=json)


def remove(context: typer.Context, name: _Name, json: _Json = False) -> None:
    """Take a peer out of the configuration file."""
    with _attempt(context, name):
        edit = configuration_of(context).remove_peer(name, by=_operator())
    _report(context, edit, as_json=json)


def echo(context: typer.Context, name: _Name, json: _Json = False) -> None:
    """Call a peer by C-ECHO. Exit code 1 when it does not answer."""
    from dicom_node.clock import SystemClock
    from dicom_node.peer_names import UnknownPeerError, peer_named
    from dicom_node.peers import echo as call

    settings = settings_of(context)
    silence_logs()
    try:
        peer = peer_named(settings, name)
    except UnknownPeerError as error:
        raise typer.BadParameter(error.reason, param_hint="NAME") from error
    clock = SystemClock()
    began_at_s = clock.monotonic()
    call(peer, own_aet=settings.node.ae_title)
    took = EchoReport(peer=peer.name, duration_s=round(clock.monotonic() - began_at_s, 3))
    if json:
        print_json(took)
    else:
        print_lines([f"{peer.ae_title} at {peer.host}:{peer.port} answers C-ECHO, {took.duration_s:g} s"])


def _line(peer: Peer) -> PeerLine:
    return PeerLine(**{name: getattr(peer, name) for name in PeerLine.__slots__})


def _attempt(context: typer.Context, name: str) -> Attempt:
    from dicom_node.audit.events import AlertKind

    return attempt_to_change(context, AlertKind.NETWORK_CONFIGURATION, f"peer {name}")


def _report(context: typer.Context, edit: "Edit", *, as_json: bool) -> None:
    from dicom_node.audit.events import AlertKind

    report(context, edit, AlertKind.NETWORK_CONFIGURATION, as_json=as_json)


def _operator() -> str:
    from dicom_node.operators import operator_name

    return operator_name()
