"""Kills a node many times, at every failpoint and at random moments, and writes down what came of it.

    python tests/faults/kills.py --points 20 --random 520 --report docs/reliability-report.md

The last line of stdout is one JSON object. Exit code 1 when anything was lost or doubled.
"""

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _pytest.outcomes import Failed

from builders.faulty_node import LISTEN_POINTS, FaultyNode
from builders.kill_cycle import faulty_node, kill_at
from builders.ledger_scp import LedgerScp, ledger_scp
from builders.master_check import Checked
from builders.random_kills import kill_listener_under_load, kill_node_at_work
from storage.failpoints import FAILPOINTS

SEED = 2026
_ONE_IN_FIVE = 5
"""Of the random kills, those of a node at work; the others are of a listener under load."""
_MOST_ARRIVALS = {
    "job.mid_inference": 3,
    "send.mid_object": 3,
    "send.after_rsp_before_commit": 3,
    "send.after_commit": 3,
}
_MOST_ARRIVALS |= {name: 12 for name in LISTEN_POINTS if name != "assoc.accepted"}


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was done, and what came of it."""

    asked_points: int
    asked_random: int
    started_at: str
    at_failpoints: Counter[str] = field(default_factory=Counter)
    random_listener: int = 0
    random_node: int = 0
    objects_acknowledged: int = 0
    results_delivered: int = 0
    failures: list[str] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def kills(self) -> int:
        """All of them."""
        return self.at_failpoints.total() + self.random_listener + self.random_node

    def note(self, checked: Checked) -> None:
        """Add what one master check looked at."""
        self.objects_acknowledged += checked.objects
        self.results_delivered += 1 if checked.studies_delivered else 0


@dataclass(slots=True, kw_only=True)
class Nodes:
    """The three nodes that are killed, each with a data folder of its own, all with one PACS."""

    pacs: LedgerScp
    at_points: FaultyNode
    under_load: FaultyNode
    at_work: FaultyNode


def main() -> int:
    """Kill as often as asked, or until the time is over."""
    arguments = _arguments()
    tally = Tally(
        asked_points=arguments.points,
        asked_random=arguments.random,
        started_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        nodes = _start(Path(folder), running)
        for kill in _kills(nodes, tally, points=arguments.points, randomly=arguments.random):
            if time.monotonic() - began_s > arguments.within_s:
                break
            _attempt(kill, tally)
    tally.duration_s = round(time.monotonic() - began_s)
    if arguments.report:
        arguments.report.write_text(_report(tally))
    print(json.dumps(asdict(tally) | {"kills": tally.kills}))  # noqa: T201  # what a benchmark's caller reads
    return 1 if tally.failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20, help="kills at each failpoint")
    parser.add_argument("--random", type=int, default=520, help="kills at random moments")
    parser.add_argument("--within-s", type=float, default=float("inf"), help="end early after so many seconds")
    parser.add_argument("--report", type=Path, help="Markdown file to write")
    return parser.parse_args()


def _start(folder: Path, running: ExitStack) -> Nodes:
    pacs = running.enter_context(ledger_scp())
    nodes = {}
    for name in ("at_points", "under_load", "at_work"):
        (folder / name).mkdir()
        nodes[name] = running.enter_context(faulty_node(folder / name, None if name == "under_load" else pacs))
    nodes["at_work"].start("work")
    return Nodes(pacs=pacs, **nodes)


def _kills(nodes: Nodes, tally: Tally, *, points: int, randomly: int) -> Iterator[Callable[[], Checked]]:
    """Round after round, so that an early end leaves the same number at each failpoint."""
    chance = random.Random(SEED)  # repeatable, hides nothing
    rounds = max(points, 1)
    done = 0
    for number in range(rounds):
        for failpoint in FAILPOINTS if number < points else ():
            yield lambda failpoint=failpoint, number=number: _kill_at(nodes, tally, failpoint, number)
        while done < randomly * (number + 1) // rounds:
            done += 1
            yield lambda kill=done: _kill_at_random(nodes, tally, chance, kill)


def _kill_at(nodes: Nodes, tally: Tally, failpoint: str, number: int) -> Checked:
    arrival = 1 + number % _MOST_ARRIVALS.get(failpoint, 1)
    uid = f"1.2.826.{FAILPOINTS.index(failpoint)}.{number}"
    checked = kill_at(nodes.at_points, failpoint, uid, arrival=arrival, pacs=nodes.pacs)
    tally.at_failpoints[failpoint] += 1
    return checked


def _kill_at_random(nodes: Nodes, tally: Tally, chance: random.Random, number: int) -> Checked:
    if number % _ONE_IN_FIVE:
        checked = kill_listener_under_load(nodes.under_load, chance, f"1.4.{number}")
        tally.random_listener += 1
        return checked
    checked = kill_node_at_work(nodes.at_work, chance, f"1.3.{number}", nodes.pacs)
    tally.random_node += 1
    return checked


def _attempt(kill: Callable[[], Checked], tally: Tally) -> None:
    """One kill; a promise that was broken is written down, and the next kill follows."""
    try:
        tally.note(kill())
    except (AssertionError, Failed, OSError) as failure:
        tally.failures.append(f"kill {tally.kills + 1}: {type(failure).__name__}: {failure}"[:500])


def _report(tally: Tally) -> str:
    rows = "".join(f"| `{name}` | {tally.at_failpoints[name]} |\n" for name in FAILPOINTS)
    failures = "".join(f"- {failure}\n" for failure in tally.failures) or "None.\n"
    return f"""# Kills: what was lost, what came twice

Written by `python tests/faults/kills.py --points {tally.asked_points} --random {tally.asked_random}`.

After each SIGKILL the node starts again, its senders send what was not acknowledged, and the master check
(`tests/builders/master_check.py`) compares what was acknowledged with files, index and the ledger of the PACS.

| | |
|---|---|
| Started | {tally.started_at} |
| Duration | {tally.duration_s:,.0f} s |
| Machine | {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, one disk, loopback; shared with other work |
| Kills asked for | {24 * tally.asked_points} at failpoints, {tally.asked_random} at random moments |
| **Kills done** | **{tally.kills}**: {tally.at_failpoints.total()} at failpoints, {tally.random_listener} of a listener under four senders, {tally.random_node} of listener, worker or both on the way of a study to its result |
| Objects acknowledged and found again | {tally.objects_acknowledged:,} |
| Results delivered, each object with the same bytes however often it came | {tally.results_delivered} |
| **Broken promises** | **{len(tally.failures)}** |

SIGKILL ends processes, not the machine: what the kernel had not written is not lost. That each step is on disk before the
next is shown by the order of system calls instead (F03, F04 in [faults.md](faults.md)).

## Broken promises

{failures}
## Kills at each failpoint

| failpoint | kills |
|---|---|
{rows}"""


if __name__ == "__main__":
    sys.exit(main())
