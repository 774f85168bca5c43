"""What the way through a Ray cluster costs, and what more actors bring.

    python tests/benchmarks/ray_overhead.py --cache FOLDER

Writes a phantom study (300 slices of 512 x 512) into the folder and analyses it with one CPU thread, in turns, by the local
engine (a process that loads the networks) and on an actor of a cluster of separate processes on this machine (which has
them from the second study on). `overhead_percent` is what an attempt on the cluster takes beside the job on its actor
(reading the files, object store, files on the actor's machine, the way back), against that job; `against_local_percent` is
the whole attempt against the whole local one. Then smaller studies go through 1, 2 and 3 actors with one CPU thread each;
`efficiency` is the rate against that of one actor times their number. It cannot be more than the cores of this machine
allow, and whatever else runs on it takes its share: the load is printed. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from speed_phantoms import StudySize, study_files, write_study

from builders.jobs import job
from builders.ray_cluster import RayCluster
from builders.ray_engine import driver_plan, run, running_engine
from dicom_node.cluster.engine import RayEngine
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.job_records import InputFile, JobSpec, OutcomeKind, StudySpec

MOST_OVERHEAD_PERCENT = 5.0
TIMED_ACTOR = "builders.timed_actor:TimedActor"
NO_LIMIT_S = 3600.0


def main() -> None:
    """Measure, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "dicom-node-speed")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--matrix", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=3, help="analyses by each engine, in turns")
    parser.add_argument("--small-slices", type=int, default=60, help="of the studies for 1, 2 and 3 actors")
    parser.add_argument("--studies-per-actor", type=int, default=3)
    arguments = parser.parse_args()
    large = job_of(arguments.cache, StudySize(slices=arguments.slices, matrix=arguments.matrix, slice_spacing_mm=1.0))
    small = job_of(arguments.cache, StudySize(slices=arguments.small_slices, matrix=256, slice_spacing_mm=5.0))
    with tempfile.TemporaryDirectory() as folder:
        overhead = measured_overhead(large, Path(folder), pairs=arguments.pairs)
        rates = {count: rate(small, Path(folder), count, arguments.studies_per_actor) for count in (1, 2, 3)}
    report = {
        "machine": {"cores": os.cpu_count(), "load_1_min": os.getloadavg()[0]},
        "slices": arguments.slices,
        **overhead,
        "most_overhead_percent": MOST_OVERHEAD_PERCENT,
        "studies_per_minute": {str(count): round(60 * per_s, 2) for count, per_s in rates.items()},
        "efficiency": {str(count): round(per_s / (count * rates[1]), 3) for count, per_s in rates.items()},
    }
    sys.stdout.write(json.dumps(report) + "\n")


def job_of(cache: Path, size: StudySize) -> JobSpec:
    """A job over a phantom study."""
    files = study_files(write_study(cache, size, 0))
    inputs = tuple(InputFile(path=path, sha256=sha256(path.read_bytes()).hexdigest()) for path in files.paths)
    return job(StudySpec(study_instance_uid=files.study_instance_uid, acquired_at=files.acquired_at, inputs=inputs))


def measured_overhead(spec: JobSpec, folder: Path, *, pairs: int) -> dict[str, Any]:
    """Seconds of attempts by both engines, the cluster's first one apart: it loads the networks."""
    local, whole, jobs = [], [], []
    with RayCluster(nodes=1) as cluster:
        plan = driver_plan(cluster, folder, time_limit_s=NO_LIMIT_S, actor=TIMED_ACTOR)
        limits = EngineLimits(time_limit_s=NO_LIMIT_S, memory_limit_bytes=0)
        with running_engine(plan) as engine, closing(LocalEngine(limits)) as local_engine:
            first_s = on_cluster(engine, spec, folder / "first")[0]
            for number in range(pairs):
                local.append(here(local_engine, spec, folder / f"local-{number}"))
                whole_s, job_s = on_cluster(engine, spec, folder / f"cluster-{number}")
                whole.append(whole_s)
                jobs.append(job_s)
    beside = [whole_s - job_s for whole_s, job_s in zip(whole, jobs, strict=True)]
    return {
        "local_s": local,
        "cluster_first_s": first_s,
        "cluster_s": whole,
        "cluster_job_s": jobs,
        "beside_the_job_s": beside,
        "overhead_percent": 100 * statistics.median(beside) / statistics.median(jobs),
        "against_local_percent": 100 * (statistics.median(whole) / statistics.median(local) - 1),
    }


def here(engine: LocalEngine, spec: JobSpec, folder: Path) -> float:
    """Seconds of an attempt by the local engine."""
    folder.mkdir()
    began_s = time.monotonic()
    outcome = engine.run(spec, folder, keep_going=lambda: True, stop=Event())
    assert outcome, folder
    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    return time.monotonic() - began_s


def on_cluster(engine: RayEngine, spec: JobSpec, folder: Path) -> tuple[float, float]:
    """Seconds of an attempt on the cluster, and of the job on its actor."""
    began_s = time.monotonic()
    outcome = run(engine, spec, folder)
    whole_s = time.monotonic() - began_s
    assert outcome, folder
    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    return whole_s, float((folder / "job.log").read_text().rsplit("job_s ", 1)[1])


def rate(spec: JobSpec, folder: Path, actors: int, per_actor: int) -> float:
    """Studies in a second on so many actors that hold their networks."""
    with RayCluster(nodes=actors) as cluster:
        plan = driver_plan(cluster, folder, time_limit_s=NO_LIMIT_S, actor=TIMED_ACTOR)
        plan = replace(plan, ray=plan.ray.model_copy(update={"studies_ahead": 1}))
        with running_engine(plan, places=actors + 1) as engine, ThreadPoolExecutor(actors + 1) as lanes:

            def go(number: int) -> None:
                on_cluster(engine, spec, folder / f"{actors}-{number}")

            list(lanes.map(go, range(-actors, 0)))
            began_s = time.monotonic()
            count = actors * per_actor
            list(lanes.map(go, range(count)))
            return count / (time.monotonic() - began_s)


if __name__ == "__main__":
    main()
