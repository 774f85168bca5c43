"""Kills a node many times, at every failpoint and at random moments, and writes down what came of it.

    python tests/faults/kills.py --points 20 --random 520 --journal kills.jsonl --report docs/kills-report.md

The journal gets a line for each kill at once; the same command again goes on after the last one, and the report is
about all that the journal has. The last line of stdout is one JSON object. Exit code 1 when anything was lost or doubled.
"""

import argparse
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
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
RANDOM_LISTENER, RANDOM_NODE = "random_listener", "random_node"
_ONE_IN_FIVE = 5
"""Of the random kills, those of a node at work; the others are of a listener under load."""
_MOST_ARRIVALS = {
    "job.mid_inference": 3,
    "send.mid_object": 3,
    "send.after_rsp_before_commit": 3,
    "send.after_commit": 3,
}
_MOST_ARRIVALS |= {name: 12 for name in LISTEN_POINTS if name != "assoc.accepted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One of the kills that were asked for."""

    kind: str
    """A failpoint, or random_listener, or random_node."""
    number: int
    """Among those of its kind: what it does follows from it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one kill: a line of the journal."""

    kind: str
    number: int
    ended_at: str
    objects: int = 0
    """Acknowledged, and found again."""
    delivered: int = 0
    """Results in the PACS once this kill was over, 1 or 0."""
    failure: str = ""
    """The promise that was broken."""


@dataclass(slots=True, kw_only=True)
class Journal:
    """What was done, one line for each kill, on disk as soon as it is known."""

    path: Path | None
    outcomes: list[Outcome] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def read(self) -> None:
        """Take in what an earlier run did."""
        if self.path and self.path.exists():
            lines = self.path.read_text().splitlines()
            self.outcomes = [Outcome(**json.loads(line)) for line in lines]

    def lacks(self, kill: Kill) -> bool:
        """Whether this kill is still to be done."""
        return all((done.kind, done.number) != (kill.kind, kill.number) for done in self.outcomes)

    def note(self, kill: Kill, checked: Checked | None, failure: str = "") -> None:
        """Add one kill, whatever came of it."""
        outcome = Outcome(
            kind=kill.kind,
            number=kill.number,
            ended_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            objects=checked.objects if checked else 0,
            delivered=1 if checked and checked.studies_delivered else 0,
            failure=failure,
        )
        with self._lock:
            self.outcomes.append(outcome)
            if self.path:
                with self.path.open("a") as lines:
                    lines.write(json.dumps(asdict(outcome)) + "\n")

    @property
    def done(self) -> Counter[str]:
        """Kills of each kind."""
        return Counter(outcome.kind for outcome in self.outcomes)

    @property
    def failures(self) -> list[str]:
        """Every broken promise."""
        return [f"{one.kind} {one.number}: {one.failure}" for one in self.outcomes if one.failure]

    def record(self) -> dict[str, object]:
        """As the last line of stdout has it."""
        return {
            "kills": len(self.outcomes),
            "objects_acknowledged": sum(outcome.objects for outcome in self.outcomes),
            "results_delivered": sum(outcome.delivered for outcome in self.outcomes),
            "failures": self.failures,
            "done": dict(self.done),
        }


@dataclass(slots=True, kw_only=True)
class Lane:
    """A node with a data folder of its own, which suffers one kill of the queue after the other."""

    folder: Path
    pacs: LedgerScp
    journal: Journal
    queue: SimpleQueue[Kill]
    ends_at_s: float
    _nodes: int = 0

    def run(self) -> None:
        """Kill until there is nothing left to do, or the time is over; after a broken promise on a node made anew."""
        with suppress(Empty):
            while time.monotonic() < self.ends_at_s:
                self._run_one_node(self.queue.get_nowait())

    def _run_one_node(self, kill: Kill) -> None:
        """Kill one node until it breaks a promise; its folder is left for whoever looks for the reason."""
        self._nodes += 1
        folder = self.folder / str(self._nodes)
        folder.mkdir(parents=True)
        with faulty_node(folder, self.pacs) as node:
            while self._keeps_its_promises(node, kill) and time.monotonic() < self.ends_at_s:
                kill = self.queue.get_nowait()

    def _keeps_its_promises(self, node: FaultyNode, kill: Kill) -> bool:
        try:
            checked = _do(kill, node, self.pacs)
        except (AssertionError, Failed, OSError) as failure:
            self.journal.note(kill, None, f"{type(failure).__name__}: {failure} ({node.folder})"[:500])
            return False
        self.journal.note(kill, checked)
        return True


def main() -> int:
    """Kill as often as asked, or until the time is over."""
    arguments = _arguments()
    journal = Journal(path=arguments.journal)
    journal.read()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    _run_lanes(folder, journal, arguments)
    if journal.failures:
        sys.stderr.write(f"The folders of the nodes are kept in {folder}.\n")
    else:
        shutil.rmtree(folder)
    if arguments.report:
        arguments.report.write_text(_report(journal, points=arguments.points, randomly=arguments.random))
    sys.stdout.write(json.dumps(journal.record()) + "\n")
    return 1 if journal.failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20, help="kills at each failpoint")
    parser.add_argument("--random", type=int, default=520, help="kills at random moments")
    parser.add_argument("--lanes", type=int, default=2, help="nodes side by side of each of two kinds")
    parser.add_argument("--within-s", type=float, default=float("inf"), help="end early after so many seconds")
    parser.add_argument("--journal", type=Path, help="file with a line for each kill; what it has is not done again")
    parser.add_argument("--report", type=Path, help="Markdown file to write")
    return parser.parse_args()


def _run_lanes(folder: Path, journal: Journal, arguments: argparse.Namespace) -> None:
    """Two queues: what a listener alone suffers, and what needs a worker too."""
    asked = _asked(points=arguments.points, randomly=arguments.random)
    kills = [kill for kill in asked if journal.lacks(kill)]
    ends_at_s = time.monotonic() + arguments.within_s
    of_listener = _queue([kill for kill in kills if _is_of_listener(kill)])
    of_node = _queue([kill for kill in kills if not _is_of_listener(kill)])
    with ledger_scp() as pacs, ThreadPoolExecutor(2 * arguments.lanes) as side_by_side:
        lanes = [
            Lane(folder=folder / f"{name}{number}", pacs=pacs, journal=journal, queue=queue, ends_at_s=ends_at_s)
            for number in range(arguments.lanes)
            for name, queue in (("listener", of_listener), ("node", of_node))
        ]
        for running in [side_by_side.submit(lane.run) for lane in lanes]:
            running.result()


def _asked(*, points: int, randomly: int) -> list[Kill]:
    """In rounds, so that an early end leaves as many kills at each failpoint, and random ones in their proportion."""
    kinds = [(Kill(kind=name, number=number), number / points) for number in range(points) for name in FAILPOINTS]
    for number in range(1, randomly + 1):
        kind = RANDOM_LISTENER if number % _ONE_IN_FIVE else RANDOM_NODE
        kinds.append((Kill(kind=kind, number=number), number / randomly))
    return [kill for kill, _ in sorted(kinds, key=lambda pair: pair[1])]


def _is_of_listener(kill: Kill) -> bool:
    return kill.kind in {RANDOM_LISTENER, *LISTEN_POINTS}


def _queue(kills: Sequence[Kill]) -> SimpleQueue[Kill]:
    queue: SimpleQueue[Kill] = SimpleQueue()
    for kill in kills:
        queue.put(kill)
    return queue


def _do(kill: Kill, node: FaultyNode, pacs: LedgerScp) -> Checked:
    special: dict[str, Callable[[int, FaultyNode, LedgerScp], Checked]] = {
        RANDOM_LISTENER: _kill_listener,
        RANDOM_NODE: _kill_node,
    }
    if kill.kind in special:
        return special[kill.kind](kill.number, node, pacs)
    arrival = 1 + kill.number % _MOST_ARRIVALS.get(kill.kind, 1)
    study_uid = f"1.2.826.{FAILPOINTS.index(kill.kind)}.{kill.number}"
    return kill_at(node, kill.kind, study_uid, arrival=arrival, pacs=pacs)


def _kill_listener(number: int, node: FaultyNode, _pacs: LedgerScp) -> Checked:
    return kill_listener_under_load(node, random.Random(f"{SEED}.{number}"), f"1.4.{number}")


def _kill_node(number: int, node: FaultyNode, pacs: LedgerScp) -> Checked:
    if not node.is_running("work"):
        node.start("work")
    return kill_node_at_work(node, random.Random(f"{SEED}.{number}"), f"1.3.{number}", pacs)


def _report(journal: Journal, *, points: int, randomly: int) -> str:
    done, record = journal.done, journal.record()
    at_points = sum(done[name] for name in FAILPOINTS)
    rows = "".join(f"| `{name}` | {done[name]} |\n" for name in FAILPOINTS)
    failures = "".join(f"- {failure}\n" for failure in journal.failures) or "None.\n"
    ended = sorted(outcome.ended_at for outcome in journal.outcomes) or [""]
    return f"""# Kills: what was lost, what came twice

Written by `python tests/faults/kills.py --points {points} --random {randomly} --journal kills.jsonl --report docs/kills-report.md`.

A node (listener, worker, index, data folder) gets CT studies over DICOM and sends its results to a PACS. Its processes are
ended by SIGKILL: at each of 24 named places of the program (failpoints: the instructions between which an object, a job or
a result could be lost), and at random moments under load. After each kill the node starts again, its senders send what was
not acknowledged, and the master check (`tests/builders/master_check.py`) compares what was acknowledged with the files (by
hash, bit by bit), the index and the ledger of the PACS. *Lost* is an object that was acknowledged and is not there with its
bytes; *doubled* is an object with two rows, a second result of one revision, or a resend with other bytes.

| | |
|---|---|
| First and last kill | {ended[0]}, {ended[-1]} |
| Machine | {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, one disk, loopback; beside other load |
| Kills asked for | {len(FAILPOINTS) * points} at failpoints, {randomly} at random moments |
| **Kills done** | **{record["kills"]}**: {at_points} at failpoints, {done[RANDOM_LISTENER]} of a listener under four senders, {done[RANDOM_NODE]} of listener, worker or both on the way of a study to its result |
| Objects acknowledged and found again | {record["objects_acknowledged"]:,} |
| Results delivered, each object with the same bytes however often it came | {record["results_delivered"]} |
| **Lost, doubled or otherwise broken** | **{len(journal.failures)}** |

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
