"""What 1, 10 and 100 GPUs take in a day, and what saturates first, by simulation from measured costs.

    python tests/benchmarks/scaling_plan.py [--burst 6] [--solo 3]

First a real node with the engine for plain shapes takes a few studies alone, which gives the model its costs, and then a
burst; the model is to foretell the burst, and both are printed. `--burst 0` leaves that out. The last line is one JSON object.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scaling_model import Passed, SimulatedStudy, Station, day_of_studies, run_through

from builders.ct_series import CtSeries, ct_images
from builders.faulty_node import FaultyNode
from builders.listener import send
from builders.node import AE_TITLE
from storage.lifecycle import Event, State

IMAGE_BYTES = 512 * 512 * 2
LISTENER_IMAGES_PER_S = 410.0
"""Measured: durable, four associations, two cores (tests/benchmarks/ingest.py)."""
DISK_IMAGES_PER_S = 1378.0
"""Measured: the C program that writes durably and does nothing else, same machine and run: what the disk gives."""
INDEX_IMAGES_PER_S = 640.0
"""Measured: the node with files in memory: what its index and Python can do on one host, an upper bound for the index."""
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
IMAGES = 20


def main() -> None:
    """Measure, foretell, extrapolate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--solo", type=int, default=3)
    parser.add_argument("--burst", type=int, default=6)
    options = parser.parse_args()
    burst = compare_burst(options.solo, options.burst) if options.burst else None
    plan = [row for size in SIZES for row in plan_rows(*size)]
    for row in plan:
        sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.write(json.dumps({"burst": burst, "plan": plan}) + "\n")


def compare_burst(solo: int, burst: int) -> dict[str, float]:
    """A burst as the model foretells it from studies that came alone, and as it was."""
    with (
        tempfile.TemporaryDirectory() as folder,
        FaultyNode(folder=Path(folder), parts=("listen", "work"), quiet_period_s=1.0) as node,
    ):
        alone = [take(node, [f"1.2.5.1.{number}"]) for number in range(solo)]
        receive_s = statistics.median(one["receive_s"] for one in alone)
        before_s = statistics.median(one["before_s"] for one in alone)
        analyse_s = statistics.median(one["analyse_s"] for one in alone)
        real = take(node, [f"1.2.5.2.{number}" for number in range(burst)])
    stations = [
        Station(name="listener", servers=1, seconds=lambda _: receive_s),
        Station(name="completeness", servers=burst, seconds=lambda _: before_s),
        Station(name="engine", servers=1, seconds=lambda _: analyse_s),
    ]
    studies = [SimulatedStudy(at_s=0.0, images=IMAGES)] * burst
    foretold = run_through(studies, stations, random.Random(1))
    found = {
        "receive_s": receive_s,
        "before_s": before_s,
        "analyse_s": analyse_s,
        "burst": burst,
        "foretold_s": foretold.last_end_s,
        "measured_s": real["whole_s"],
        "foretold_over_measured": foretold.last_end_s / real["whole_s"],
    }
    sys.stdout.write(f"burst: { {key: round(value, 2) for key, value in found.items()} }\n")
    return {key: round(value, 3) for key, value in found.items()}


def take(node: FaultyNode, uids: list[str]) -> dict[str, float]:
    """Send studies one after the other, wait for all; seconds, of the last one where it is about one."""
    prepared = [ct_images(_series(uid)) for uid in uids]
    for uid, images in zip(uids, prepared, strict=True):
        for image in images:
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{uid}.1.{image.InstanceNumber}"
            image.PatientID = uid
    began_s = time.monotonic()
    for images in prepared:
        if set(send(node.port, *images, called_aet=AE_TITLE)) != {0}:
            message = "the node refused an image"
            raise RuntimeError(message)
    received_s = time.monotonic()
    views = [node.wait_for(uid, State.PROCESSED, within_s=600) for uid in uids]
    # Of the history, not of this loop, which looks at one study after the other.
    steps = {entry.event: entry.at for entry in views[-1].history}
    first = min(view.history[0].at for view in views)
    last = max(entry.at for view in views for entry in view.history if entry.event is Event.ATTEMPT_SUCCEEDED)
    return {
        "receive_s": (received_s - began_s) / len(uids),
        "before_s": (steps[Event.CLAIMED] - views[-1].last_instance_at).total_seconds(),
        "analyse_s": (steps[Event.ATTEMPT_SUCCEEDED] - steps[Event.CLAIMED]).total_seconds(),
        "whole_s": (last - first).total_seconds(),
    }


def _series(uid: str) -> CtSeries:
    return CtSeries(study_uid=uid, uid=f"{uid}.1", shape=(IMAGES, 32, 32), spacing_mm=(10.0, 10.0, 10.0))


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


def stations_of(gpus: int, hosts: int, gpu_s: float) -> list[Station]:
    """The installation; each host has a link and a disk of its own, the index is one."""
    chance = random.Random(3)
    return [
        Station(name="network", servers=hosts, seconds=lambda one: 8 * IMAGE_BYTES * one.images / LINK_BITS_PER_S),
        Station(name="listener CPU", servers=hosts, seconds=lambda one: one.images / LISTENER_IMAGES_PER_S),
        Station(name="disk", servers=hosts, seconds=lambda one: one.images / DISK_IMAGES_PER_S),
        Station(name="index", servers=1, seconds=lambda one: one.images / INDEX_IMAGES_PER_S),
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
