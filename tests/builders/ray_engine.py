"""The worker's side of a cluster, tended by a thread."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

from builders.deadline import until
from builders.ray_cluster import RayCluster
from config.ray import RaySettings
from dicom_node.cluster.engine import RayEngine
from dicom_node.cluster.plan import DriverPlan
from dicom_node.job_records import JobOutcome, JobSpec

QUICK_ACTOR = "builders.quick_actor:QuickActor"
_UP_WITHIN_S = 180


def driver_plan(
    cluster: RayCluster, data_dir: Path, *, time_limit_s: float = 120, actor: str = QUICK_ACTOR
) -> DriverPlan:
    """One actor for each CPU, with the engine for plain shapes."""
    settings = RaySettings(address=cluster.address, cpus_per_actor=1)
    return DriverPlan(
        ray=settings, device="cpu", time_limit_s=time_limit_s, memory_limit_bytes=0, data_dir=data_dir, actor=actor
    )


@contextmanager
def running_engine(plan: DriverPlan, *, places: int = 2) -> Iterator[RayEngine]:
    """An engine whose driver is started, again if it ends; with so many places at least when this is entered."""
    engine, end = RayEngine(plan), Event()

    def tend() -> None:
        with closing(engine):
            while not end.wait(0.2):
                engine.tend()

    tending = Thread(target=tend)
    tending.start()
    try:
        if places:
            what = f"{places} places; see ray.json and ray-driver.log in {plan.data_dir}"
            until(lambda: engine.places >= places, within_s=_UP_WITHIN_S, what=what)
        yield engine
    finally:
        end.set()
        tending.join()


def run(
    engine: RayEngine, spec: JobSpec, folder: Path, *, keep_going: Callable[[], bool] = lambda: True
) -> JobOutcome | None:
    """Run an attempt in a folder of its own."""
    folder.mkdir(parents=True)
    return engine.run(spec, folder, keep_going=keep_going, stop=Event())
