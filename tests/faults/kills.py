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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock

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
    done: Counter[str] = field(default_factory=Counter)
    """Kills of each kind."""
    objects_acknowledged: int = 0
    results_delivered: int = 0
    failures: list[str] = field(default_factory=list)
    duration_s: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    @property
    def kills(self) -> int:
        """All of them."""
        return self.done.total()

    @property
    def kills_at_failpoints(self) -> int:
        """Those at a named place."""
        return sum(self.done[name] for name in FAILPOINTS)

    def count(self, kind: str) -> None:
        """Add one kill, whatever comes of it: `kind` is a failpoint, or random_listener, or random_node."""
        with self._lock:
            self.done[kind] += 1

    def note(self, checked: Checked) -> None:
        """Add what one master check looked at."""
        with self._lock:
            self.objects_acknowledged += checked.objects
            self.results_delivered += 1 if checked.studies_delivered else 0

    def fail(self, words: str) -> None:
        """Add a broken promise."""
        with self._lock:
            self.failures.append(words)

    def record(self) -> dict[str, object]:
        """As the last line of stdout has it."""
        names = ("asked_points", "asked_random", "started_at", "objects_acknowledged", "results_delivered", "failures")
        record = {name: getattr(self, name) for name in (*names, "duration_s", "kills")}
        return record | {"done": dict(self.done)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A node with a data folder of its own, and the kills that it suffers one after the other."""

    node: FaultyNode
    pacs: LedgerScp
    tally: Tally
    ends_at_s: float

    def run(self, kills: Sequence[Callable[["Lane"], Checked]]) -> None:
        """Kill until there is nothing left to do, or the time is over."""
        for kill in kills:
            if time.monotonic() > self.ends_at_s:
                return
            self._attempt(kill)

    def _attempt(self, kill: Callable[["Lane"], Checked]) -> None:
        """One kill; a promise that was broken is written down, and the next kill follows."""
        try:
            checked = kill(self)
        except (AssertionError, Failed, OSError) as failure:
            self.tally.fail(f"{type(failure).__name__}: {failure}"[:500])
        else:
            self.tally.note(checked)


def main() -> int:
    """Kill as often as asked, or until the time is over."""
    arguments = _arguments()
    tally = Tally(
        asked_points=arguments.points,
        asked_random=arguments.random,
        started_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )
    began_s = time.monotonic()
    ends_at_s = began_s + arguments.within_s
    lanes = _lanes(points=arguments.points, randomly=arguments.random)
    with (
        tempfile.TemporaryDirectory() as folder,
        ExitStack() as running,
        ThreadPoolExecutor(len(lanes)) as side_by_side,
    ):
        pacs = running.enter_context(ledger_scp())
        futures = []
        for name, kills in lanes.items():
            (Path(folder) / name).mkdir()
            node = running.enter_context(faulty_node(Path(folder) / name, pacs))
            lane = Lane(node=node, pacs=pacs, tally=tally, ends_at_s=ends_at_s)
            futures.append(side_by_side.submit(lane.run, kills))
        for future in futures:
            future.result()
    tally.duration_s = round(time.monotonic() - began_s)
    if arguments.report:
        arguments.report.write_text(_report(tally))
    print(json.dumps(tally.record()))  # noqa: T201  # what a benchmark's caller reads
    return 1 if tally.failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20, help="kills at each failpoint")
    parser.add_argument("--random", type=int, default=520, help="kills at random moments")
    parser.add_argument("--within-s", type=float, default=float("inf"), help="end early after so many seconds")
    parser.add_argument("--report", type=Path, help="Markdown file to write")
    return parser.parse_args()


def _lanes(*, points: int, randomly: int) -> dict[str, list[Callable[[Lane], Checked]]]:
    """What each node suffers; round after round, so that an early end leaves the same number at each failpoint."""
    at_points = [(name, number) for number in range(points) for name in FAILPOINTS]
    at_random = range(1, randomly + 1)
    return {
        "listen": [partial(_kill_at, name, number) for name, number in at_points if name in LISTEN_POINTS],
        "work": [partial(_kill_at, name, number) for name, number in at_points if name not in LISTEN_POINTS],
        "load": [partial(_kill_listener, number) for number in at_random if number % _ONE_IN_FIVE],
        "node": [partial(_kill_node, number) for number in at_random if not number % _ONE_IN_FIVE],
    }


def _kill_at(failpoint: str, number: int, lane: Lane) -> Checked:
    lane.tally.count(failpoint)
    arrival = 1 + number % _MOST_ARRIVALS.get(failpoint, 1)
    return kill_at(
        lane.node, failpoint, f"1.2.826.{FAILPOINTS.index(failpoint)}.{number}", arrival=arrival, pacs=lane.pacs
    )


def _kill_listener(number: int, lane: Lane) -> Checked:
    lane.tally.count("random_listener")
    return kill_listener_under_load(lane.node, random.Random(f"{SEED}.{number}"), f"1.4.{number}")


def _kill_node(number: int, lane: Lane) -> Checked:
    lane.tally.count("random_node")
    if not lane.node.is_running("work"):
        lane.node.start("work")
    return kill_node_at_work(lane.node, random.Random(f"{SEED}.{number}"), f"1.3.{number}", lane.pacs)


def _report(tally: Tally) -> str:
    rows = "".join(f"| `{name}` | {tally.done[name]} |\n" for name in FAILPOINTS)
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
| **Kills done** | **{tally.kills}**: {tally.kills_at_failpoints} at failpoints, {tally.done["random_listener"]} of a listener under four senders, {tally.done["random_node"]} of listener, worker or both on the way of a study to its result |
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
