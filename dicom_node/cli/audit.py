"""The commands of the group `audit`."""

from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.cli.context import settings_of
from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console, print_json
from dicom_node.wording import counted

if TYPE_CHECKING:
    from dicom_node.audit.verifying import AuditReport

app = typer.Typer(help="Look after the audit trail.", no_args_is_help=True)


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
