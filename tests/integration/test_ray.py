"""Attempts on a Ray cluster of separate processes, with its actors, nodes and head killed on the way."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread

import pytest

from builders.ct_series import CtSeries, ct_images, write_images
from builders.deadline import until
from builders.jobs import job
from builders.quick_worker import QUICK_SERVER
from builders.ray_cluster import RayCluster, needs_ray
from builders.ray_engine import driver_plan, run, running_engine
from dicom_node.cluster.engine import RayEngine
from dicom_node.cluster.plan import DriverPlan
from dicom_node.cluster.state import ClusterState
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.forking import ForkServer
from dicom_node.job_records import InputFile, JobOutcome, JobSpec, OutcomeKind, PriorSpec, StudySpec
from dicom_node.results.context import predecessor_from_folder

pytestmark = needs_ray
_IMPATIENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
"""How long Ray waits for a head that is gone; 60 s otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A cluster of two nodes with one CPU each, and an engine on it."""

    cluster: RayCluster
    engine: RayEngine
    plan: DriverPlan
    orders: Path
    """Files in it make trouble, see `builders.quick_actor`."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests: each leaves it with two actors."""
    folder = tmp_path_factory.mktemp("site")
    orders = tmp_path_factory.mktemp("orders")
    with (
        pytest.MonkeyPatch.context() as patch,
        RayCluster(nodes=2, environment={"QUICK_ACTOR_FOLDER": str(orders), **_IMPATIENT}) as cluster,
    ):
        patch.setenv(*next(iter(_IMPATIENT.items())))
        plan = driver_plan(cluster, folder, time_limit_s=60)
        with running_engine(plan, places=3) as engine:
            yield Site(cluster=cluster, engine=engine, plan=plan, orders=orders)


@pytest.fixture
def trouble(site: Site) -> Iterator[Path]:
    """Where a test makes trouble; over at its end, when both actors are there again."""
    yield site.orders
    for path in site.orders.iterdir():
        path.unlink()
    until(lambda: site.engine.places == 3, within_s=120, what="two actors")


def study(folder: Path, uid: str = "1.2.3") -> StudySpec:
    """A received study of plain shapes."""
    paths = write_images(folder / uid, ct_images(CtSeries(study_uid=uid, uid=f"{uid}.1")))
    inputs = tuple(InputFile(path=path, sha256=sha256(path.read_bytes()).hexdigest()) for path in paths)
    return StudySpec(study_instance_uid=uid, acquired_at=None, inputs=inputs)


def run_here(spec: JobSpec, folder: Path) -> JobOutcome:
    """The attempt in a process of this machine."""
    folder.mkdir()
    limits = EngineLimits(time_limit_s=300, memory_limit_bytes=0)
    with closing(LocalEngine(limits, server=ForkServer((str(QUICK_SERVER),)))) as engine:
        outcome = engine.run(spec, folder, keep_going=lambda: True, stop=Event())
    assert outcome
    return outcome


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a result set."""
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


def test_a_result_is_byte_for_byte_that_of_the_local_engine(site: Site, tmp_path: Path) -> None:
    """With an earlier study, its known lesions and a predecessor; and again on actors that have their networks."""
    earlier = study(tmp_path, "1.2.2")
    first = job(earlier)
    run_here(first, tmp_path / "first")
    prior = PriorSpec(study=earlier, result_folder=tmp_path / "first" / "out")
    predecessor = predecessor_from_folder(tmp_path / "first" / "out")
    spec = replace(job(study(tmp_path)), priors=(prior,), predecessor=predecessor)
    here = run_here(spec, tmp_path / "here")
    assert here.kind is OutcomeKind.SUCCEEDED
    for name in ("there", "there again"):
        there = run(site.engine, spec, tmp_path / name)
        assert there
        moved = tuple(replace(file, path=tmp_path / "here" / "out" / file.path.name) for file in there.files)
        assert replace(there, files=moved) == here
        assert contents(tmp_path / name) == contents(tmp_path / "here")
        assert len(contents(tmp_path / name)) >= 8


def test_a_refusal_reads_as_from_the_local_engine(site: Site, tmp_path: Path) -> None:
    """A study that is not analysed says the same words."""
    path = tmp_path / "text.dcm"
    path.write_bytes(b"no DICOM")
    inputs = (InputFile(path=path, sha256=sha256(b"no DICOM").hexdigest()),)
    spec = job(StudySpec(study_instance_uid="1.2.9", acquired_at=None, inputs=inputs))
    there = run(site.engine, spec, tmp_path / "there")
    assert there == run_here(spec, tmp_path / "here")
    assert there.kind is not OutcomeKind.SUCCEEDED


def test_a_stored_file_that_changed_is_never_read(site: Site, tmp_path: Path) -> None:
    """The actor compares the hashes of what it got."""
    spec = job(study(tmp_path))
    with spec.study.inputs[0].path.open("r+b") as file:
        file.seek(2000)
        file.write(b"x")
    there = run(site.engine, spec, tmp_path / "there")
    assert there
    assert "changed on disk" in there.reason


def test_a_stored_file_that_is_gone_is_named(site: Site, tmp_path: Path) -> None:
    """As by the local engine."""
    spec = job(study(tmp_path))
    spec.study.inputs[3].path.unlink()
    there = run(site.engine, spec, tmp_path / "there")
    assert there == run_here(spec, tmp_path / "here")
    assert "cannot be read" in there.reason


def test_a_study_that_kills_its_actor_is_a_failed_attempt(site: Site, tmp_path: Path, trouble: Path) -> None:
    """As a process that crashes here; the next study finds an actor."""
    (trouble / "kills").write_text("1.2.3")
    outcome = run(site.engine, job(study(tmp_path)), tmp_path / "killed")
    assert outcome
    assert (outcome.kind, outcome.retryable) == (OutcomeKind.FAILED, True)
    assert "died" in outcome.reason
    assert (tmp_path / "killed" / "job.log").read_text()
    (trouble / "kills").unlink()
    after = run(site.engine, job(study(tmp_path, "1.2.4")), tmp_path / "after")
    assert after
    assert after.kind is OutcomeKind.SUCCEEDED


def test_an_idle_actor_that_dies_costs_no_attempt(site: Site, tmp_path: Path, trouble: Path) -> None:
    """It is asked before it gets a study."""
    for name in ("node 0", "node 1"):
        for pid in site.cluster.actor_pids(name):
            os.kill(pid, signal.SIGKILL)
    outcome = run(site.engine, job(study(tmp_path)), tmp_path / "there")
    assert outcome
    assert outcome.kind is OutcomeKind.SUCCEEDED


def test_an_attempt_that_takes_too_long_is_ended(tmp_path: Path, site: Site, trouble: Path) -> None:
    """By an engine of its own: the limit is that of its settings."""
    (trouble / "hangs").write_text("1.2.3")
    with RayCluster(nodes=1, environment={"QUICK_ACTOR_FOLDER": str(trouble)}) as cluster:
        plan = driver_plan(cluster, tmp_path, time_limit_s=1)
        with running_engine(plan) as engine:
            outcome = run(engine, job(study(tmp_path)), tmp_path / "hung")
            assert outcome
            assert "not finished after 1 s" in outcome.reason
            assert (outcome.kind, outcome.retryable) == (OutcomeKind.FAILED, True)


def test_a_lost_lease_ends_the_attempt_on_its_actor(site: Site, tmp_path: Path, trouble: Path) -> None:
    """The actor that hung with it is replaced."""
    (trouble / "hangs").write_text("1.2.3")
    before = {*site.cluster.actor_pids("node 0"), *site.cluster.actor_pids("node 1")}
    busy = Event()

    def keep_going() -> bool:
        state = ClusterState.read(site.plan.data_dir)
        if state and any(actor.doing == "attempt 77" for actor in state.actors):
            busy.set()
        return not busy.is_set()

    assert run(site.engine, job(study(tmp_path)), tmp_path / "77", keep_going=keep_going) is None

    def replaced() -> bool:
        after = {*site.cluster.actor_pids("node 0"), *site.cluster.actor_pids("node 1")}
        return len(after) == 2 and bool(after - before)

    until(replaced, within_s=120, what="the actor that hung is gone, another one is there")


def test_a_machine_that_goes_down_takes_only_its_own_attempt_with_it(site: Site, tmp_path: Path, trouble: Path) -> None:
    """Its study fails for now and runs on the other one; when it is back it gets an actor again."""
    (trouble / "hangs").write_text("1.2.3")
    outcomes: list[JobOutcome | None] = []
    attempt = Thread(target=lambda: outcomes.append(run(site.engine, job(study(tmp_path)), tmp_path / "78")))
    attempt.start()

    def where() -> str:
        state = ClusterState.read(site.plan.data_dir)
        return next((actor.node for actor in state.actors if actor.doing == "attempt 78"), "") if state else ""

    address = until(where, within_s=60, what="the attempt is on an actor")
    number = int(address.rpartition(".")[2]) - 3
    site.cluster.kill(f"node {number}")
    attempt.join(120)
    try:
        assert [outcome and (outcome.kind, outcome.retryable) for outcome in outcomes] == [(OutcomeKind.FAILED, True)]
        other = run(site.engine, job(study(tmp_path, "1.2.4")), tmp_path / "79")
        assert other
        assert other.kind is OutcomeKind.SUCCEEDED
    finally:
        site.cluster.start_node(number)


def test_a_cluster_that_is_lost_fails_no_study_and_is_found_again(site: Site, tmp_path: Path, trouble: Path) -> None:
    """The head goes down with an attempt under way: the worker goes on without places, until it is back."""
    (trouble / "hangs").write_text("1.2.3")
    outcomes: list[JobOutcome | None] = []
    attempt = Thread(target=lambda: outcomes.append(run(site.engine, job(study(tmp_path)), tmp_path / "80")))
    attempt.start()
    until(lambda: (site.plan.data_dir / "ray.json").read_text().count("attempt 80"), within_s=60, what="it runs")
    site.cluster.kill("head")
    attempt.join(120)
    assert outcomes == [None]
    until(lambda: site.engine.places == 0, within_s=60, what="no places")
    for name in ("node 0", "node 1"):
        site.cluster.kill(name)
    site.cluster.start_head()
    for number in (0, 1):
        site.cluster.start_node(number)
