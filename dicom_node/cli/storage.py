"""The commands of the group `storage`."""

from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.cli.auditing import Attempt, attempt_to_change, note_change
from dicom_node.cli.context import settings_of
from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console, print_json, silence_logs
from dicom_node.wording import counted
from storage.errors import DatabaseAddressError

if TYPE_CHECKING:
    from dicom_node.index_move import MoveReport
    from dicom_node.reindex import ReindexReport
    from storage.verifying import VerifyReport

app = typer.Typer(help="Look after received files and the index.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def verify(context: typer.Context, json: _Json = False) -> None:
    """Compare files and index in both directions.

    Reads every file; the node may run. Exit code 1 when a file is missing or changed.
    """
    from dicom_node.index import open_index_engine
    from storage.verifying import verify as verify_storage

    settings = settings_of(context)
    report = verify_storage(open_index_engine(settings), settings.data_dir)
    if json:
        print_json(report)
    else:
        _print(_verified(report))
    if not report.passed:
        raise typer.Exit(OPERATION_FAILED)


@app.command()
def reindex(
    context: typer.Context,
    anew: Annotated[bool, typer.Option("--anew", help="Make a sound index anew as well.")] = False,
    json: _Json = False,
) -> None:
    """Make a lost or damaged index anew from the files.

    The node must be stopped, its pages too. A sound index only learns of files that it does not know. Nothing is
    deleted: the old index is kept beside the new one. What had a result, was fetched or skipped is not analysed by
    itself. An index on a database server is never made anew: it learns of files.
    """
    from dicom_node.clock import SystemClock
    from dicom_node.reindex import reindex as reindex_storage

    settings = settings_of(context)
    silence_logs()
    with _attempt(context, "index of the received files"):
        report = reindex_storage(settings, clock=SystemClock(), anew=anew)
    done = "made anew" if report.rebuilt else "completed"
    _note(context, f"index {done}, {counted(report.added, 'file')} added")
    if json:
        print_json(report)
    else:
        _print(_reindexed(report))


@app.command()
def move(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", help="Database to move to, as database_url names it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be moved.")] = False,
    json: _Json = False,
) -> None:
    """Move the index to another database, for instance from SQLite to PostgreSQL.

    The node must be stopped, its pages too. Counts and hashes of all tables are compared; the old index stays as it is.
    """
    from dicom_node.index_move import move_storage

    settings = settings_of(context)
    silence_logs()
    if dry_run:
        _check_address(to)
        report = move_storage(settings, to, dry_run=True)
    else:
        target = _place_of(to)
        with _attempt(context, f"index to {target}"):
            _check_address(to)
            report = move_storage(settings, to, dry_run=False)
        _note(context, f"index moved to {target}")
    if json:
        print_json(report)
    else:
        _print(_moved(report))


def _attempt(context: typer.Context, subject: str) -> Attempt:
    from dicom_node.audit.events import AlertKind

    return attempt_to_change(context, AlertKind.SOFTWARE_CONFIGURATION, subject)


def _note(context: typer.Context, subject: str) -> None:
    from dicom_node.audit.events import AlertKind

    note_change(context, AlertKind.SOFTWARE_CONFIGURATION, subject)


def _check_address(url: str) -> None:
    """What the setting would refuse is refused before the index is there."""
    from config.names import database_problem

    problem = database_problem(url) if url else "names no database"
    if problem:
        reason = f"--to: {problem}"
        raise DatabaseAddressError(reason)


def _place_of(url: str) -> str:
    """Where a database is, without any password that its address may have."""
    from storage.address import parse_address

    try:
        parsed = parse_address(url)
    except DatabaseAddressError:
        return "another database"
    return f"{parsed.get_backend_name()}://{parsed.host or ''}/{parsed.database or ''}"


def _print(lines: list[str]) -> None:
    out = console()
    for line in lines:
        out.print(line, soft_wrap=True, markup=False)


def _verified(report: "VerifyReport") -> list[str]:
    """The comparison for people."""
    findings = [
        *(f"missing: {path}" for path in report.missing),
        *(f"changed: {path}" for path in report.changed),
        *(f"not in the index: {path}" for path in report.unindexed),
    ]
    if report.missing or report.changed:
        findings.append("check the disk; restore the files from a backup, or send their studies again")
    if report.unindexed:
        findings.append("the index learns of them when the node is stopped: dicom-node storage reindex")
    looked = f"{counted(report.checked_objects, 'object')} and {counted(report.checked_results, 'result file')} read"
    partial = [f"{counted(report.partial_files, 'partial file')}: arriving, or removed by the next start"]
    return [*findings, *(partial if report.partial_files else []), f"{looked}: {'ok' if report.passed else 'failed'}"]


def _moved(report: "MoveReport") -> list[str]:
    """What was moved, for people."""
    tables = [f"  {table.name}: {counted(table.rows, 'row')}" for table in report.tables if table.rows]
    if not report.moved:
        return ["would be moved; nothing was changed", *tables]
    done = "moved; counts and hashes of all tables agree, the old index stays as it is"
    return [done, *tables, f"now set in the table [storage] of node.toml: {report.setting}"]


def _reindexed(report: "ReindexReport") -> list[str]:
    """What was done, for people."""
    lines = [f"not readable, left where it is: {path}" for path in report.unreadable]
    if not report.rebuilt:
        return [*lines, f"the index is sound; {counted(report.added, 'file')} added"]
    if report.old_index:
        lines.append(f"the old index is kept as {report.old_index}")
    if report.removed:
        lines.append(f"files of deleted studies that were still there, removed: {report.removed}")
    if report.not_run_again:
        lines.append(f"studies with a result, not analysed again by themselves: {report.not_run_again}")
    if report.not_run_as_before:
        lines.append(
            f"fetched, skipped, or of a batch that sends nothing, not analysed either: {report.not_run_as_before}"
        )
    if report.not_run_unknown:
        lines.append(
            "without a result, last image older than a day, and no index says whether they were to be analysed: "
            f"{report.not_run_unknown}; not analysed by themselves"
        )
        lines.append("to see them: dicom-node study list --state skipped; to analyse one: dicom-node study retry UID")
    return [*lines, f"the index was made anew; {counted(report.added, 'file')} added; start the node"]
