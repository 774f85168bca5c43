"""The commands of the group `batch`: studies of an archive, run beside the daily work."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.auditing import Attempt, attempt_to_change, attempt_to_search, note_change, note_search
from dicom_node.cli.configuring import values_from
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import console, error_console, print_json, print_table, silence_logs, table_of
from dicom_node.wording import counted, readable_size
from storage.batch_records import BatchPlan, BatchState, BatchView
from storage.disk import free_bytes_of

if TYPE_CHECKING:
    from config.settings import Peer
    from dicom_node.batch.order import BatchOrder, ListedStudies
    from dicom_node.batch.plan import BatchEstimate
    from dicom_node.batch.table import TableFormat
    from storage.index import Index

app = typer.Typer(help="Run studies of an archive through the node, beside the daily work.", no_args_is_help=True)

_Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Of the batch.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
_Values = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="studies=FILE, accession_numbers=FILE, or since= and until= (YYYY-MM-DD) with modality= and description=; "
        "name=, in_flight=, per_hour=, hours=HH:MM-HH:MM, answer_limit=.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchList:
    """What `batch status --json` prints."""

    batches: tuple[BatchView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTable:
    """What `batch table --json` prints."""

    path: Path
    """That was written."""
    rows: int
    """One for each study."""


@app.command()
def start(
    context: typer.Context,
    peer: Annotated[str, typer.Argument(help="Name of the PACS in the configuration; it has query_retrieve.")],
    values: _Values = None,
    deliver: Annotated[bool, typer.Option("--deliver", help="Send results; else nothing is sent anywhere.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only ask and count, fetch nothing.")] = False,
    json: _Json = False,
) -> None:
    """Ask a PACS which studies there are, and begin to run them.

    For example: batch start pacs since=2019-01-01 until=2024-12-31 description=*THORAX* hours=19:00-06:30 per_hour=60.
    The worker does the rest; `batch status` shows how far it is.
    """
    from dicom_node.batch.order import order_from
    from dicom_node.batch.plan import estimate

    silence_logs()
    given = {key: str(value) for key, value in values_from(values or []).items() if value is not None}
    order = order_from(given)
    pacs = _archive(context, peer)
    if dry_run:
        index, plan, listed = _ask(context, pacs, order, delivers=deliver)
        free_bytes = free_bytes_of(settings_of(context).data_dir)
        not_found = len(listed.not_found)
        expected = estimate(index.batches, plan, listed.studies, not_found=not_found, free_bytes=free_bytes)
        _show_estimate(expected, json=json)
        return
    with _attempt(context, f"batch of studies of {peer}"):
        index, plan, listed = _ask(context, pacs, order, delivers=deliver)
        number = _begun(index, plan, listed.studies, peer=peer)
    _note(context, f"batch {number} of studies of {peer}")
    _show(context, index.batches.view(number), json=json)


def _ask(
    context: typer.Context, pacs: "Peer", order: "BatchOrder", *, delivers: bool
) -> "tuple[Index, BatchPlan, ListedStudies]":
    """The studies of a PACS that fit an order, and how they would be run; says which were not found."""
    from dicom_node.batch.order import list_studies, plan_from

    index = _index(context)
    plan = plan_from(order, pacs, delivers=delivers)
    listed = list_studies(settings_of(context), pacs, order)
    for entry in listed.not_found:
        error_console().print(f"not found: {entry}", soft_wrap=True, markup=False)
    return index, plan, listed


def _begun(index: "Index", plan: BatchPlan, studies: Mapping[str, str], *, peer: str) -> int:
    """The number of a batch that was begun.

    Raises:
        BatchPlanError: No study fits.
    """
    if not studies:
        from dicom_node.batch.errors import BatchPlanError

        reason = f"{peer}: has no study that fits: nothing was begun"
        raise BatchPlanError(reason)
    return index.batches.begin(plan, studies)


@app.command()
def status(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(metavar="[NUMBER]", help="Of a batch; without it all.")] = None,
    json: _Json = False,
) -> None:
    """Show how far each batch is."""
    from dicom_node.batch.words import batch_lines

    ledger = _index(context).batches
    batches = ledger.views() if number is None else (ledger.view(number),)
    seen = tuple(_as_it_stands(context, batch) for batch in batches)
    if json:
        print_json(BatchList(batches=seen))
        return
    for line in [line for batch in seen for line in batch_lines(batch)] or ["no batch was begun"]:
        console().print(line, soft_wrap=True, markup=False)


@app.command()
def pause(context: typer.Context, number: _Number, json: _Json = False) -> None:
    """Ask for no more studies until `resume`; what is here is analysed."""
    _move(context, number, BatchState.PAUSED, json=json)


@app.command()
def resume(context: typer.Context, number: _Number, json: _Json = False) -> None:
    """Go on with a batch that was paused or cancelled, where it was."""
    _move(context, number, BatchState.RUNNING, json=json)


@app.command()
def cancel(context: typer.Context, number: _Number, json: _Json = False) -> None:
    """Fetch nothing more; what is here is analysed and stays in the table."""
    _move(context, number, BatchState.CANCELLED, json=json)


@app.command()
def retry(context: typer.Context, number: _Number, json: _Json = False) -> None:
    """Take up the studies that failed; a batch that is done runs on.

    What the PACS did not give is asked for again, what is here and failed in the pipeline is analysed again.
    """
    from dicom_node.batch.retry import retry_failed

    with _attempt(context, f"batch {number}"):
        batch = retry_failed(_index(context), number)
    _note(context, f"batch {number}")
    _show(context, batch, json=json)


@app.command()
def table(
    context: typer.Context,
    number: _Number,
    out: Annotated[Path, typer.Option(help="File to write: .csv, .jsonl or .parquet.")],
    with_patients: Annotated[
        bool, typer.Option("--with-patients", help="Also name the patients: ID, name, birth date, accession number.")
    ] = False,
    json: _Json = False,
) -> None:
    """Write a row for each study of a batch, with what the analysis found, as far as it is.

    Parquet needs the extra `table`. Without --with-patients the only identifier is the Study Instance UID.
    """
    from dicom_node.batch.table import table_rows, write_table

    query = f"batch={number} with_patients={with_patients}"
    with attempt_to_search(context, query):
        index = _index(context)
        index.batches.view(number)
    note_search(context, query)
    rows = table_rows(index, number, with_patients=with_patients)
    count = write_table(out, rows, _format_of(out), with_patients=with_patients)
    if json:
        print_json(BatchTable(path=out, rows=count))
        return
    console().print(f"{out}: {counted(count, 'row')}", soft_wrap=True, markup=False)


def _move(context: typer.Context, number: int, state: BatchState, *, json: bool) -> None:
    """Bring a batch into a state, and show it."""
    with _attempt(context, f"batch {number}"):
        batch = _index(context).batches.move(number, state)
    _note(context, f"batch {number}")
    _show(context, batch, json=json)


def _attempt(context: typer.Context, subject: str) -> Attempt:
    """Somebody tries to begin or to steer a batch."""
    from dicom_node.audit.events import AlertKind

    return attempt_to_change(context, AlertKind.RESTRICTED_FUNCTION, subject)


def _note(context: typer.Context, subject: str) -> None:
    """Somebody began or steered a batch."""
    from dicom_node.audit.events import AlertKind

    note_change(context, AlertKind.RESTRICTED_FUNCTION, subject)


def _format_of(path: Path) -> "TableFormat":
    from dicom_node.batch.table import TableFormat

    try:
        return TableFormat(path.suffix.lower().removeprefix("."))
    except ValueError as exc:
        message = f"must end in .csv, .jsonl or .parquet (got {path.name})"
        raise typer.BadParameter(message, param_hint="--out") from exc


def _archive(context: typer.Context, name: str) -> "Peer":
    """The PACS that is asked.

    Raises:
        NodeError: The configuration has none of this name, or the node may not ask it.
    """
    from dicom_node.batch.errors import BatchPlanError
    from dicom_node.peer_names import peer_named

    peer = peer_named(settings_of(context), name)
    if peer.query_retrieve == "none":
        reason = (
            f"{name} has no query_retrieve, so the node may not query it; set it: "
            f"`dicom-node ae change {name} query_retrieve=move`, or get where that is what it offers"
        )
        raise BatchPlanError(reason)
    return peer


def _show_estimate(expected: "BatchEstimate", *, json: bool) -> None:
    if json:
        print_json(expected)
        return
    years = table_of("year", "studies")
    for year, studies in expected.by_year.items():
        years.add_row(escape(year), str(studies))
    print_table(years)
    size = "not known yet" if expected.expected_bytes is None else f"about {readable_size(expected.expected_bytes)}"
    analysis = f"{expected.mean_analysis_s:.0f} s" if expected.mean_analysis_s else "not measured yet"
    for line in (
        f"{expected.studies} studies, {expected.to_fetch} to fetch, {expected.not_found} not found",
        f"size of what is to fetch: {size}; {readable_size(expected.free_bytes)} are free in the data folder",
        f"analysis of a study: {analysis}; at most {expected.studies_per_hour:.1f} studies an hour",
        f"{expected.hours:.1f} hours of work, over {expected.days:.1f} days; new studies go first and come on top",
    ):
        console().print(line, soft_wrap=True, markup=False)


def _show(context: typer.Context, batch: BatchView, *, json: bool) -> None:
    from dicom_node.batch.words import batch_lines

    seen = _as_it_stands(context, batch)
    if json:
        print_json(seen)
        return
    for line in batch_lines(seen):
        console().print(line, soft_wrap=True, markup=False)


def _as_it_stands(context: typer.Context, batch: BatchView) -> BatchView:
    """With the reason why it does not go on."""
    from dicom_node.batch.standstill import with_standstill
    from dicom_node.clock import SystemClock

    return with_standstill(batch, settings_of(context), now=SystemClock().now())


def _index(context: typer.Context) -> "Index":
    """The index of the node that the configuration names."""
    from dicom_node.index import open_index

    return open_index(settings_of(context))
