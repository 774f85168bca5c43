"""The commands of the group `ae`: the application entities that the node talks to."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.context import settings_of
from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console, print_json, print_table, silence_logs, table_of

if TYPE_CHECKING:
    from dicom_node.ae_test.send import PeerTest, SentObject

app = typer.Typer(help="Look at the peers of the node and try them out.", no_args_is_help=True)

_COLOURS = {"delivered": "green", "declined": "yellow", "held": "dim", "failed": "red", "waiting": "red"}
_WORDS = {"delivered": "accepted", "held": "not needed", "waiting": "not taken yet"}


@app.callback()
def group() -> None:
    """Look at the peers of the node and try them out."""


@app.command()
def test(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of a peer in the configuration.")],
    images: Annotated[bool, typer.Option(help="Send the CT images too, so that a viewer can open the results.")] = True,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Send a labelled test set to a peer and show what it takes.

    A small phantom study that is made on the spot, patient DICOM-NODE^TEST, with every result that the settings of the
    peer ask for. Delete it in the peer afterwards. Exit code 1 when a role, for instance the report, found no taker.
    """
    settings = settings_of(context)
    from dicom_node.ae_test.send import send_test_set
    from dicom_node.clock import SystemClock
    from dicom_node.peer_names import UnknownPeerError, peer_named

    silence_logs()
    try:
        peer = peer_named(settings, name)
    except UnknownPeerError as error:
        raise typer.BadParameter(error.reason, param_hint="NAME") from error
    outcome = send_test_set(settings, peer, with_images=images, clock=SystemClock())
    if json:
        print_json(outcome)
    else:
        _show(outcome)
    if not outcome.passed:
        raise typer.Exit(OPERATION_FAILED)


def _show(outcome: "PeerTest") -> None:
    """The outcome for people."""
    table = table_of("object", "SOP class", "outcome", "transfer syntax", "status")
    for row in _image_rows(outcome):
        table.add_row(*row)
    alike = Counter(tuple(_row(sent)) for sent in outcome.objects)
    for (what, *columns), count in alike.items():
        table.add_row(what + (f", {count} objects" if count > 1 else ""), *columns)
    out = console()
    print_table(table)
    for line in outcome.summary:
        out.print(line, soft_wrap=True, markup=False)
    verdict = "[green]passed[/]" if outcome.passed else "[red]failed[/]: let it accept what has no taker, or change"
    advice = "" if outcome.passed else " its results and sr_classes in the configuration"
    out.print(f"{verdict}{advice}", soft_wrap=True)
    study = f"study {outcome.study_instance_uid} of patient {outcome.patient_id}"
    out.print(f"please delete in {outcome.peer}: {study}", soft_wrap=True, markup=False)


def _image_rows(outcome: "PeerTest") -> list[list[str]]:
    """One row for all images."""
    from pydicom.uid import CTImageStorage

    from dicom_node.destinations import class_name

    images = outcome.images
    if images is None:
        return []
    colour = "green" if images.taken == images.count else "yellow"
    state = f"[{colour}]{images.taken} of {images.count} accepted[/]"
    return [
        ["images", class_name(str(CTImageStorage)), state, _syntax(images.transfer_syntax_uid), escape(images.status)]
    ]


def _row(sent: "SentObject") -> list[str]:
    """One object of the result."""
    from dicom_node.destinations import class_name, role_in_words

    state = f"[{_COLOURS.get(sent.state, 'red')}]{_WORDS.get(sent.state, sent.state)}[/]"
    what = role_in_words(sent.role)
    if sent.kind.startswith("seg-"):
        what = f"{what} ({sent.kind.removeprefix('seg-')})"
    return [what, class_name(sent.sop_class_uid), state, _syntax(sent.transfer_syntax_uid), escape(sent.status)]


def _syntax(transfer_syntax_uid: str) -> str:
    """Name of a transfer syntax, short enough for a column."""
    from pydicom.uid import UID

    return UID(transfer_syntax_uid).name.replace("Little Endian", "LE") if transfer_syntax_uid else ""
