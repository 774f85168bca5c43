"""The command `status`."""

from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.cli.context import settings_of
from dicom_node.cli.output import console, print_json
from dicom_node.wording import readable_size

if TYPE_CHECKING:
    from dicom_node.status import DestinationStatus, NodeStatus, ProcessStatus


def status(
    context: typer.Context, json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False
) -> None:
    """Show how the node is doing.

    Its processes, its cluster, how many studies are in each state, batches under way, what is due to be sent, the disk.
    """
    from dicom_node.clock import SystemClock
    from dicom_node.index import open_index
    from dicom_node.status import node_status

    settings = settings_of(context)
    seen = node_status(settings, open_index(settings), clock=SystemClock())
    if json:
        print_json(seen)
        return
    out = console()
    for line in _lines(seen):
        out.print(line, soft_wrap=True, markup=False)


def _lines(seen: "NodeStatus") -> list[str]:
    """The status for people."""
    from dicom_node.batch.words import batch_in_short
    from dicom_node.cluster.words import cluster_lines
    from dicom_node.waiting_keys import waiting_in_words

    processes = [_process(process) for process in seen.processes] or ["no process has left a sign of life yet"]
    workers = [f"  {worker.name}: {'active' if worker.is_active else 'stands by'}" for worker in seen.workers]
    studies = [f"  {state}: {count}" for state, count in seen.studies.items() if count] or ["  none yet"]
    destinations = [line for destination in seen.destinations for line in _destination(destination)]
    disk = seen.disk
    cluster = cluster_lines(seen.cluster) if seen.cluster else []
    room = f"disk: {readable_size(disk.free_bytes)} of {readable_size(disk.total_bytes)} free"
    alerts = [f"ALERT: {alert}" for alert in seen.alerts]
    waiting = waiting_in_words(process.heartbeat for process in seen.processes)
    return [
        *alerts,
        *processes,
        *workers,
        *waiting,
        *cluster,
        "studies",
        *studies,
        *(batch_in_short(batch) for batch in seen.batches),
        *destinations,
        f"{room}, floor {readable_size(disk.floor_bytes)}",
    ]


def _destination(destination: "DestinationStatus") -> list[str]:
    """One destination for people."""
    from dicom_node.commitment.words import counts_in_words

    takes = "; ".join(choice.words for choice in destination.roles) or "nothing was sent to it yet"
    lines = [f"due to {destination.name}: {destination.due_deliveries}", f"  takes: {takes}"]
    if destination.outage:
        since, until = destination.outage.since, destination.outage.next_try_at
        lines.append(f"  down since {since:%Y-%m-%d %H:%M} UTC, next try {until:%H:%M:%S}: {destination.outage.words}")
    if destination.commitment:
        lines.append(f"  keeps: {counts_in_words(destination.commitment)}")
    return lines


def _process(process: "ProcessStatus") -> str:
    """One process for people."""
    age = f"last sign of life {process.silent_s:.0f} s ago"
    standing = age if process.is_alive else f"{age}: is it running?"
    beat = process.heartbeat
    return f"{beat.words}: {standing}, process {beat.pid} {beat.info}".rstrip()
