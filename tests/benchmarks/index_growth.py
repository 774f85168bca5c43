"""Whether an image costs the same whatever the index holds: a listener receives beside 0 and beside a million instances.

    python tests/benchmarks/index_growth.py [--rows 0 10000 100000 1000000] [--instances 500] [--rounds 3]

Each listener is a fresh one whose index was filled beforehand (rows, not files); it gets CT images of 512 x 512 over one
association with TCP_NODELAY, everything durable, each round other images. Figures are medians of the rounds. The last line
is one JSON object.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from index_filling import INSTANCES_PER_STUDY, fill
from ingest import ROWS, STUDY, WARM_UP, Load, _compile, _send
from ingest_objects import write_objects
from ingest_receivers import Receiver, node_command, running

CPU_BAR = 1.2
"""CPU time of an image beside a million instances over that beside none."""


def main() -> int:
    """Fill, send, compare."""
    arguments = _arguments()
    figures = {}
    with tempfile.TemporaryDirectory(dir=arguments.disk) as name:
        folder = Path(name)
        _compile(folder / "programs")
        count = WARM_UP + arguments.rounds * arguments.instances
        objects = write_objects(folder / "objects", count=count, rows=ROWS, study=STUDY)
        for rows in arguments.rows:
            figures[rows] = _measure(folder, rows, objects, arguments.instances)
            sys.stdout.write(f"{rows:10} rows {figures[rows]}\n")
            sys.stdout.flush()
    fewest, most = min(figures), max(figures)
    cpu = figures[most]["cpu_s_per_1000"] / figures[fewest]["cpu_s_per_1000"]
    result = {
        "benchmark": "index growth",
        "instances": arguments.instances,
        "rounds": arguments.rounds,
        "figures": figures,
        "cpu_of_most_over_fewest": round(cpu, 3),
        "rate_of_most_over_fewest": round(figures[most]["images_per_s"] / figures[fewest]["images_per_s"], 3),
        "cpu_bar": CPU_BAR,
        "is_reached": cpu <= CPU_BAR,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 10_000, 100_000, 1_000_000])
    parser.add_argument("--instances", type=int, default=500, help="images of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--disk", type=Path, help="a folder on a disk; the system's for temporary files otherwise")
    return parser.parse_args()


def _measure(folder: Path, rows: int, objects: Sequence[Path], instances: int) -> dict[str, float]:
    """One listener whose index holds so many rows."""

    def command(received: Path, port: int) -> list[str]:
        (received / "data").mkdir()
        if rows:
            fill(f"sqlite:///{received / 'data' / 'index.sqlite'}", studies=rows // INSTANCES_PER_STUDY)
        return node_command(received, port)

    load = Load(medium="disk", associations=1, nagle="nodelay")
    rates, cpu_s = [], []
    with running(Receiver(name="node", share=1, is_durable=True, command=command), folder / "received") as peer:
        assert peer is not None
        _send(folder / "programs", peer, objects[:WARM_UP], load)
        for first in range(WARM_UP, len(objects), instances):
            before_s = peer.cpu_s()
            rates.append(instances / _send(folder / "programs", peer, objects[first : first + instances], load))
            cpu_s.append((peer.cpu_s() - before_s) / instances * 1000)
        rss_mib = peer.rss_mib()
    return {
        "images_per_s": round(statistics.median(rates), 1),
        "cpu_s_per_1000": round(statistics.median(cpu_s), 3),
        "rss_mib": round(rss_mib, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
