"""The worker's lanes over an index and a Ray cluster, in which actors and a machine are killed on the way."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import text

from builders.clock import FakeClock
from builders.ct_series import CtSeries, ct_images, write_images
from builders.deadline import until
from builders.index import build_index, database_url, make_ready, received, view_of
from builders.ray_cluster import RayCluster, needs_ray
from builders.ray_engine import driver_plan
from config.settings import NodeSettings, PipelineSettings, Settings
from dicom_node.clock import SystemClock
from dicom_node.cluster.engine import RayEngine
from dicom_node.cluster.lanes import Lanes
from dicom_node.dispatch import Dispatcher
from storage.database import open_engine, reading
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import State
from storage.records import PatientKey

pytestmark = needs_ray
STUDIES = 12
_ENDED = {State.PROCESSED, State.PIPELINE_FAILED, State.SKIPPED}


def put_study(index: Index, data_dir: Path, number: int) -> str:
    """A study of plain shapes, received and ready."""
    uid = f"1.2.3.{number}"
    images = ct_images(CtSeries(study_uid=uid, uid=f"{uid}.1"))
    paths = write_images(data_dir / "objects" / uid, images)
    patient = PatientKey(patient_id=str(number), issuer="CITY")
    index.record_received(
        [
            replace(
                received(uid, count),
                patient=patient,
                sop_instance_uid=str(image.SOPInstanceUID),
                relative_path=str(path.relative_to(data_dir)),
                sha256=sha256(path.read_bytes()).hexdigest(),
            )
            for count, (path, image) in enumerate(zip(paths, images, strict=True))
        ]
    )
    make_ready(index, uid)
    return uid


@contextmanager
def running_lanes(index: Index, data_dir: Path, cluster: RayCluster) -> Iterator[None]:
    """The worker's lanes, with so many attempts for each study that only one that kills all its actors fails."""
    settings = Settings(node=NodeSettings(data_dir=data_dir), pipeline=PipelineSettings(engine="ray", attempts=6))
    stop, engine = Event(), RayEngine(driver_plan(cluster, data_dir))
    dispatcher = Dispatcher(settings, index, results=ResultStore(data_dir), engine=engine)
    lanes = Thread(target=Lanes(dispatcher, engine, stop).run)
    lanes.start()
    try:
        yield
    finally:
        stop.set()
        lanes.join()


@pytest.mark.slow
def test_every_study_ends_once_while_actors_and_a_machine_are_killed(tmp_path: Path) -> None:
    """Two machines; actors are killed, then one machine, which comes back; one study kills every actor it gets."""
    data_dir, orders = tmp_path / "data", tmp_path / "orders"
    data_dir.mkdir()
    orders.mkdir()
    build_index(data_dir, FakeClock())
    index = Index(open_engine(database_url(data_dir)), now=SystemClock().now)
    uids = [put_study(index, data_dir, number) for number in range(STUDIES)]
    (orders / "kills").write_text(uids[3])
    (orders / "slow").write_text("1.0")
    with (
        RayCluster(nodes=2, environment={"QUICK_ACTOR_FOLDER": str(orders)}) as cluster,
        running_lanes(index, data_dir, cluster),
    ):
        for machine, ended in ((0, 2), (1, 4), (0, 6)):
            wait_for(index, uids, ended)
            pids = until(partial(cluster.actor_pids, f"node {machine}"), within_s=120, what="there is an actor")
            os.kill(pids[0], signal.SIGKILL)
        cluster.kill("node 1")
        cluster.start_node(1)
        wait_for(index, uids, STUDIES)
    assert {uid: view_of(index, uid).state for uid in uids} == {
        uid: State.PIPELINE_FAILED if uid == uids[3] else State.PROCESSED for uid in uids
    }
    assert view_of(index, uids[3]).reason.startswith("the actor that had the study died")
    assert successes(data_dir) == STUDIES - 1
    assert len(list((data_dir / "results").glob("*/r1"))) == STUDIES - 1
    assert list((data_dir / "results").glob("*/r1-2")) == []
    assert list((data_dir / "jobs").iterdir()) == []


def wait_for(index: Index, uids: list[str], count: int) -> None:
    """Return once so many studies are done with."""
    until(lambda: len(ended_of(index, uids)) >= count, within_s=300, what=f"{count} studies ended")


def ended_of(index: Index, uids: list[str]) -> list[str]:
    """Those that are done with."""
    return [uid for uid in uids if view_of(index, uid).state in _ENDED]


def successes(data_dir: Path) -> int:
    """How many attempts left a result."""
    with reading(open_engine(database_url(data_dir))) as connection:
        return int(connection.execute(text("SELECT count(*) FROM attempt WHERE outcome = 'succeeded'")).scalar_one())
