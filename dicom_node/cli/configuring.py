"""What the commands that edit the configuration file share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from config.assigned import value_from_text
from config.load import configuration_file
from dicom_node.cli.auditing import note_change
from dicom_node.cli.context import configuration_path
from dicom_node.cli.output import console, print_json

if TYPE_CHECKING:
    from dicom_node.audit.events import AlertKind
    from dicom_node.configuring import Configuration, Edit


@dataclass(frozen=True, slots=True, kw_only=True)
class EditReport:
    """What a command with `--json` prints that edited the configuration."""

    what: str
    """In words."""
    version: int
    """Number in the history; 0 where nothing changed."""
    sha256: str
    """Of the file as it is now."""


def configuration_of(context: typer.Context) -> "Configuration":
    """The configuration file of this call.

    Raises:
        NoFileError: There is none.
    """
    from dicom_node.clock import SystemClock
    from dicom_node.configuring import Configuration

    return Configuration(configuration_file(configuration_path(context)), clock=SystemClock())


def values_from(assignments: Sequence[str]) -> dict[str, Any]:
    """Values of `key=value` arguments as TOML reads them, anything else as text; None for `key=`.

    Raises:
        BadParameter: There is no equals sign.
    """
    return dict(_pair(assignment) for assignment in assignments)


def report(context: typer.Context, edit: "Edit", kind: "AlertKind", *, as_json: bool) -> None:
    """Audit what an edit did; say it, and how it is undone and taken up."""
    if edit.version:
        note_change(context, kind, edit.what)
    if as_json:
        print_json(EditReport(what=edit.what, version=edit.version, sha256=edit.sha256))
        return
    if not edit.version:
        print_lines(["nothing changed: the file says so already"])
        return
    undo = f"undo: dicom-node config restore {edit.version - 1}"
    print_lines(
        [
            f"{edit.what}; {undo}",
            "a running node takes it up within a few seconds; `dicom-node status` names what needs a restart",
        ]
    )


def print_lines(lines: Iterable[str]) -> None:
    """Lines for people, as they are."""
    out = console()
    for line in lines:
        out.print(line, soft_wrap=True, markup=False)


def _pair(assignment: str) -> tuple[str, Any]:
    key, equals, value = assignment.partition("=")
    if not equals:
        problem = f"{assignment}: write key=value"
        raise typer.BadParameter(problem, param_hint="KEY=VALUE")
    return key.strip(), value_from_text(value)
