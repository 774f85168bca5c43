"""The commands of the group `audit`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.cli.auditing import attempt_to_read_trail
from dicom_node.cli.context import settings_of
from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console, print_json
from dicom_node.wording import counted

if TYPE_CHECKING:
    from dicom_node.audit.listing import AuditEntry
    from dicom_node.audit.verifying import AuditReport

app = typer.Typer(help="Look after the audit trail.", no_args_is_help=True)


_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@app.command("list")
def list_entries(
    context: typer.Context,
    since: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="From this instant on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Before this instant, UTC.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="event=PART of its meaning or its code, user=PART of an ID or name, study=UID; all must fit."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Of more the newest are shown.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show messages of the audit trail, oldest first; that it was read is written into it."""
    from dicom_node.audit.events import AuditLogUsed
    from dicom_node.audit.listing import AuditFilter, list_trail
    from dicom_node.audit.trail import audit_trail, operator_party, trail_folder

    wanted = AuditFilter(since=_utc(since), until=_utc(until), **_conditions(where or []))
    settings = settings_of(context)
    folder = trail_folder(settings)
    with attempt_to_read_trail(context):
        found = list_trail(folder, wanted, limit=limit)
    audit_trail(settings).record(AuditLogUsed(user=operator_party(), uri=folder.as_uri()))
    if json:
        print_json(found)
        return
    lines = [_entry_line(entry) for entry in found.entries] or ["nothing fits"]
    hint = [f"{counted(found.unreadable, 'line')} not readable: dicom-node audit verify"] if found.unreadable else []
    for line in [*lines, *hint]:
        console().print(line, soft_wrap=True, markup=False)


def _conditions(where: list[str]) -> dict[str, str]:
    """What `--where` names; BadParameter for what it may not."""
    conditions = dict(one.partition("=")[::2] for one in where)
    if not set(conditions) <= {"event", "user", "study"} or not all(conditions.values()):
        problem = "must be event=TEXT, user=TEXT or study=UID"
        raise typer.BadParameter(problem, param_hint="--where")
    return conditions


def _utc(instant: datetime | None) -> datetime | None:
    return instant.replace(tzinfo=UTC) if instant else None


def _entry_line(entry: "AuditEntry") -> str:
    """A message for people."""
    what = f"{entry.event} ({entry.kind})" if entry.kind else entry.event
    parts = [f"{entry.number:6}  {entry.at:%Y-%m-%d %H:%M:%S} UTC  {what}", ", ".join(entry.users), *entry.studies]
    return "  ".join([*parts, *([f"failed: {entry.words}"] if entry.outcome else [])])


@app.command()
def verify(
    context: typer.Context,
    begins_at: Annotated[
        int, typer.Option(min=1, help="Number of the first line, where older files were put into an archive.")
    ] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Find lines of the audit trail that were changed, taken away or moved.

    The node may run. Exit code 1 when something is found.
    """
    from dicom_node.audit.events import AuditLogUsed
    from dicom_node.audit.trail import audit_trail, operator_party, trail_folder
    from dicom_node.audit.verifying import verify as verify_trail

    settings = settings_of(context)
    folder = trail_folder(settings)
    with attempt_to_read_trail(context):
        report = verify_trail(folder, begins_at=begins_at)
    if report.lines:
        audit_trail(settings).record(AuditLogUsed(user=operator_party(), uri=folder.as_uri()))
    if json:
        print_json(report)
    else:
        for line in _lines(report):
            console().print(line, soft_wrap=True, markup=False)
    if not report.passed:
        raise typer.Exit(OPERATION_FAILED)


def _lines(report: "AuditReport") -> list[str]:
    """The report for people."""
    found = [f"{one.file}:{one.row}: {one.words}" for one in report.findings]
    cut = [f"{counted(report.cut_lines, 'line')} cut by a crash"] if report.cut_lines else []
    numbers = f"{report.first_number} to {report.last_number}"
    looked = f"{counted(report.lines, 'line')} in {counted(report.files, 'file')}, numbers {numbers}"
    return [*found, *cut, f"{looked}: {'ok' if report.passed else 'failed'}"]
