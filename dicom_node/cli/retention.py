"""The commands of the group `retention`."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.auditing import attempt_to_change
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import console, print_json, print_table, silence_logs, table_of
from dicom_node.wording import readable_size

if TYPE_CHECKING:
    from dicom_node.retention import Decision, Retention
    from dicom_node.retention_report import Removed

app = typer.Typer(help="Delete what need not be kept any longer, by the rules of [retention].", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStudy:
    """One study in `retention plan --json`."""

    study_instance_uid: str
    state: str
    was_fetched: bool
    """Whether it is an earlier study that the node got from a PACS itself."""
    last_at: datetime
    """When the last thing happened to it."""
    size_bytes: int
    """Of what goes with it: its received objects and its results."""
    is_deleted: bool
    """Whether the rules delete it now."""
    why: str
    """Why it is deleted, or why it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan:
    """What `retention plan --json` prints."""

    deleted_studies: int
    deleted_bytes: int
    last: "Removed | None"
    """The last run that deleted something; null where none did yet."""
    studies: tuple[PlannedStudy, ...]
    """The oldest first; those that something still happens to, and the youngest, are not listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionDone:
    """What `retention run --json` prints."""

    deleted_studies: int


@app.command()
def plan(
    context: typer.Context,
    kept: Annotated[bool, typer.Option("--kept", help="List those that are kept too.")] = False,
    json: _Json = False,
) -> None:
    """Show what the rules would delete now, and why; nothing is deleted."""
    from dicom_node.retention_report import read_report

    retention = _retention(context)
    decisions = tuple(retention.decisions())
    report = read_report(settings_of(context).data_dir)
    last = report.last if report else None
    deleted = [decision for decision in decisions if decision.is_deleted]
    size_bytes = sum(retention.size_of(decision.study) for decision in deleted)
    if json:
        studies = tuple(_planned(retention, decision) for decision in decisions if kept or decision.is_deleted)
        print_json(RetentionPlan(deleted_studies=len(deleted), deleted_bytes=size_bytes, last=last, studies=studies))
        return
    if not settings_of(context).retention.is_on:
        console().print("no rule of [retention] is set: every study is kept", markup=False)
        return
    table = table_of("study", "state", "last (UTC)", "size", "", "why")
    for decision in decisions:
        if kept or decision.is_deleted:
            study, fate = decision.study, "deleted" if decision.is_deleted else "kept"
            at, size = f"{study.last_at:%Y-%m-%d %H:%M}", readable_size(retention.size_of(study))
            table.add_row(study.study_instance_uid, study.state, at, size, fate, escape(decision.why))
    print_table(table)
    console().print(f"to be deleted: {len(deleted)} of {len(decisions)} studies, {readable_size(size_bytes)}")
    if last:
        console().print(
            f"deleted last, on {last.at:%Y-%m-%d %H:%M} UTC: {last.studies}, {readable_size(last.size_bytes)}"
        )


@app.command()
def run(context: typer.Context, json: _Json = False) -> None:
    """Delete now what the rules say; the worker does the same by itself, every sweep_interval_s."""
    from dicom_node.audit.events import AlertKind

    with attempt_to_change(context, AlertKind.RESTRICTED_FUNCTION, "studies that [retention] deletes"):
        count = _retention(context).run()
    if json:
        print_json(RetentionDone(deleted_studies=count))
    else:
        console().print(f"studies deleted: {count}")


def _retention(context: typer.Context) -> "Retention":
    from dicom_node.audit.trail import audit_trail, operator_party
    from dicom_node.clock import SystemClock
    from dicom_node.index import open_index_engine
    from dicom_node.retention import Retention

    settings, clock = settings_of(context), SystemClock()
    silence_logs()
    trail = audit_trail(settings, clock=clock)
    return Retention(settings, open_index_engine(settings), clock=clock, trail=trail, by=operator_party())


def _planned(retention: "Retention", decision: "Decision") -> PlannedStudy:
    study = decision.study
    return PlannedStudy(
        study_instance_uid=study.study_instance_uid,
        state=study.state,
        was_fetched=study.was_fetched,
        last_at=study.last_at,
        size_bytes=retention.size_of(study),
        is_deleted=decision.is_deleted,
        why=decision.why,
    )
