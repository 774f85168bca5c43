"""What a node holds after an hour of work: memory, threads, descriptors of its listener and its worker.

    python tests/benchmarks/soak.py --minutes 60 [--samples soak.jsonl]

Three senders of studies, C-ECHO, senders that vanish inside an object, callers that are rejected, objects that are refused,
garbage, silent connections, and a CT study now and then that is analysed and sent on. Every 10 s one sample of each process;
the slope is the least-squares line through the memory after the warm-up. In the end the master check: whatever was
acknowledged is there. `--of FILE` computes the figures of samples that an earlier or a running call wrote. The last line is
one JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from soak_load import Load, under_load

from builders.deadline import until
from builders.faulty_node import FaultyNode
from builders.kill_cycle import faulty_node
from builders.ledger_scp import LedgerScp, ledger_scp
from builders.master_check import footprint, master_check

PARTS = ("listen", "work")
SAMPLE_EVERY_S = 10
SLOPE_BAR_MIB = 1.0
"""Growth in 10 minutes that is allowed."""
COUNT_BAR = 2
"""Threads or descriptors by which the median of the last fifth may differ from that of the first one."""
_REST_WITHIN_S = 300
_never = Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a process holds at one moment."""

    part: str
    at_s: float
    """Since the load began."""
    rss_mib: float
    threads: int
    descriptors: int


def main() -> int:
    """Work for an hour, or look at the samples of one."""
    arguments = _arguments()
    if arguments.of:
        samples = [Sample(**json.loads(line)) for line in arguments.of.read_text().splitlines()]
        outcome: dict[str, object] = {}
    else:
        samples, outcome = _soak(arguments)
    figures = {part: _figures([one for one in samples if one.part == part], arguments.warm_up) for part in PARTS}
    minutes = round(max(sample.at_s for sample in samples) / 60, 1)
    result = {"benchmark": "soak", "minutes": minutes, "warm_up_minutes": arguments.warm_up, **figures, **outcome}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if all(figures[part]["is_flat"] for part in PARTS) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=10, help="minutes that are left out of the slope")
    parser.add_argument("--pause-s", type=float, default=1.0, help="the shortest pause of a sender; the pace of all")
    parser.add_argument("--analyse-every-s", type=float, default=30.0)
    parser.add_argument("--samples", type=Path, help="file that gets each sample at once")
    parser.add_argument("--of", type=Path, help="only compute the figures of this file")
    return parser.parse_args()


def _soak(arguments: argparse.Namespace) -> tuple[list[Sample], dict[str, object]]:
    samples = []
    with (
        tempfile.TemporaryDirectory() as name,
        ledger_scp() as pacs,
        _samples_file(arguments.samples) as lines,
        faulty_node(Path(name), pacs, by_interpreter=True) as node,
    ):
        node.start("work")
        load = Load(port=node.port)
        with under_load(load, pause_s=arguments.pause_s, analyse_every_s=arguments.analyse_every_s):
            for sample in _watch(node, arguments.minutes * 60):
                samples.append(sample)
                lines.write(json.dumps(asdict(sample)) + "\n")
                lines.flush()
        return samples, _outcome(node, load, pacs)


@contextmanager
def _samples_file(path: Path | None) -> Iterator[TextIO]:
    with (path or Path("/dev/null")).open("w") as lines:
        yield lines


def _watch(node: FaultyNode, duration_s: float) -> Iterator[Sample]:
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < duration_s:
        for part in PARTS:
            held = footprint(node.pid(part))
            yield Sample(
                part=part,
                at_s=round(at_s, 1),
                rss_mib=_rss_mib(node.pid(part)),
                threads=held.threads,
                descriptors=held.descriptors,
            )
        _never.wait(SAMPLE_EVERY_S)


def _rss_mib(pid: int) -> float:
    """Resident memory of a process (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 2)


def _outcome(node: FaultyNode, load: Load, pacs: LedgerScp) -> dict[str, object]:
    """What was done, and whether all of it is there; the node has come to rest first."""
    until(lambda: not list(node.data_dir.glob("jobs/*")), within_s=_REST_WITHIN_S, what="the worker rests")
    checked = master_check(node.data_dir, load.sent, pacs)
    return {
        "done": dict(load.done),
        "problems": load.problems,
        "objects_acknowledged_and_found": checked.objects,
        "studies_delivered": checked.studies_delivered,
    }


def _figures(samples: Sequence[Sample], warm_up_minutes: float) -> dict[str, object]:
    """Of one process; the slope in MiB in 10 minutes."""
    counted = [sample for sample in samples if sample.at_s >= warm_up_minutes * 60]
    if len(counted) < 10:
        sys.exit("too few samples after the warm-up: take --minutes longer, or --warm-up shorter")
    tens_of_minutes = np.array([sample.at_s for sample in counted]) / 600
    slope = float(np.polyfit(tens_of_minutes, [sample.rss_mib for sample in counted], 1)[0])
    fifth = len(counted) // 5
    first, last = counted[:fifth], counted[-fifth:]
    threads = _medians([one.threads for one in first], [one.threads for one in last])
    descriptors = _medians([one.descriptors for one in first], [one.descriptors for one in last])
    return {
        "slope_mib_per_10_minutes": round(slope, 3),
        "bar_mib": SLOPE_BAR_MIB,
        "rss_mib": {"first": counted[0].rss_mib, "last": counted[-1].rss_mib, "most": max(s.rss_mib for s in counted)},
        "threads_first_and_last_fifth": threads,
        "descriptors_first_and_last_fifth": descriptors,
        "samples": len(counted),
        "is_flat": slope < SLOPE_BAR_MIB and all(abs(b - a) <= COUNT_BAR for a, b in (threads, descriptors)),
    }


def _medians(first: Sequence[int], last: Sequence[int]) -> tuple[float, float]:
    return float(np.median(first)), float(np.median(last))


if __name__ == "__main__":
    sys.exit(main())
