"""What 1, 10 and 100 GPUs take in a day, and what saturates first, by simulation from measured costs.

    python tests/benchmarks/scaling_plan.py [--burst 8] [--stream 30] [--solo 3]

First a real node with the engine for plain shapes takes a few studies alone, which gives the model its costs, then a burst,
then a stream at random times; the model foretells both, and is printed beside what was measured. `--burst 0` leaves that out.
The last line is one JSON object.
"""

import argparse
import json
import random
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scaling_held import burst_beside_model, node_alone, stream_beside_model
from scaling_model import Passed, SimulatedStudy, Station, day_of_studies, run_through

IMAGE_BYTES = 512 * 512 * 2
LISTENER_IMAGES_PER_S = 630.0
"""Measured: durable, four associations, two cores (tests/benchmarks/ingest.py)."""
DISK_IMAGES_PER_S = 1407.0
"""Measured: the C program that writes durably and does nothing else, same machine and run: what the disk gives."""
SQLITE_IMAGES_PER_S = 1590.0
"""Measured: two receiving processes with their files in memory, so index and Python together: the index alone does more."""
POSTGRESQL_IMAGES_PER_S = 736.0
"""Measured in the same way, the server on the same two cores (docs/postgresql.md): several hosts need PostgreSQL."""
LINK_BITS_PER_S = 1e9
PACS_IMAGES_PER_S = 100.0
"""Assumption: what a PACS sends by C-MOVE for earlier studies, over one association."""
FETCHED_SHARE = 0.3
"""Assumption: studies of which one earlier study has to be fetched."""
ATTEMPT_FAILURE = 0.01
"""Assumption: analyses that are done again, a GPU that dies among them."""
GPU_S = {"network alone (measured)": 1.4, "5 s (assumption)": 5.0, "goal of the design": 15.0}
"""Seconds of a GPU for 300 slices with 3 earlier studies. Only the network was measured; decoding, alignment and results
were not, on a GPU machine: the truth lies between."""
SIZES = ((1, 1_500, 1), (10, 15_000, 1), (100, 150_000, 4))
"""GPUs, studies a day, listener hosts."""
LOADS = (0.5, 0.8)
"""Of the engine, in the streams."""


def main() -> None:
    """Measure, foretell, extrapolate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--solo", type=int, default=3)
    parser.add_argument("--burst", type=int, default=8)
    parser.add_argument("--stream", type=int, default=30)
    options = parser.parse_args()
    held = hold_against_a_node(options.solo, options.burst, options.stream) if options.burst else None
    plan = [row for size in SIZES for row in plan_rows(*size)]
    for row in plan:
        sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.write(json.dumps({"held_against_a_node": held, "plan": plan}) + "\n")


def hold_against_a_node(solo: int, burst: int, stream: int) -> dict[str, object]:
    """What the model foretells of a real node beside what it does."""
    with node_alone(solo) as (node, costs):
        found: dict[str, object] = {"costs": asdict(costs), "burst": burst_beside_model(node, costs, burst)}
        for load in LOADS:
            found[f"stream at {load}"] = stream_beside_model(node, costs, stream, load=load)
    for name, figures in found.items():
        sys.stdout.write(f"{name}: {figures}\n")
    return found


def plan_rows(gpus: int, studies_a_day: int, hosts: int) -> list[dict[str, object]]:
    """A row for each cost of a study on the GPU."""
    day = day_of_studies(studies_a_day, random.Random(7))
    return [plan_row(day, gpus, hosts, kind) for kind in GPU_S]


def plan_row(day: list[SimulatedStudy], gpus: int, hosts: int, kind: str) -> dict[str, object]:
    """One day through one installation."""
    passed = run_through(day, stations_of(gpus, hosts, GPU_S[kind]), random.Random(11))
    busy = {name: round(share, 2) for name, share in passed.busiest_hour.items()}
    return {
        "gpus": gpus,
        "studies_a_day": len(day),
        "listener_hosts": hosts,
        "gpu_cost": kind,
        "median_s": round(quantile(passed, 0.5), 1),
        "p95_s": round(quantile(passed, 0.95), 1),
        "saturates_first": max(busy, key=lambda name: busy[name]),
        "busiest_hour": busy,
    }


def index_images_per_s(hosts: int) -> float:
    """What the index takes of all hosts together: SQLite is for one alone (docs/listeners.md)."""
    return SQLITE_IMAGES_PER_S if hosts == 1 else POSTGRESQL_IMAGES_PER_S


def stations_of(gpus: int, hosts: int, gpu_s: float) -> list[Station]:
    """The installation; each host has a link and a disk of its own, the index is one."""
    chance = random.Random(3)
    return [
        Station(name="network", servers=hosts, seconds=lambda one: 8 * IMAGE_BYTES * one.images / LINK_BITS_PER_S),
        Station(name="listener CPU", servers=hosts, seconds=lambda one: one.images / LISTENER_IMAGES_PER_S),
        Station(name="disk", servers=hosts, seconds=lambda one: one.images / DISK_IMAGES_PER_S),
        Station(name="index", servers=1, seconds=lambda one: one.images / index_images_per_s(hosts)),
        Station(
            name="PACS",
            servers=1,
            seconds=lambda one: one.images / PACS_IMAGES_PER_S if chance.random() < FETCHED_SHARE else 0.0,
        ),
        Station(name="GPU", servers=gpus, seconds=lambda one: gpu_s * one.images / 300, failure=ATTEMPT_FAILURE),
    ]


def quantile(passed: Passed, share: float) -> float:
    """Of the seconds from the first image to the result."""
    ordered = sorted(passed.waits_s)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


if __name__ == "__main__":
    main()
