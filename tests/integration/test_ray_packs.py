"""The networks of a model pack on the actors of a Ray cluster."""

import json
import shutil
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event

import pytest

from builders.certificates import Authority
from builders.ct_series import CtSeries, ct_images, write_images
from builders.deadline import until
from builders.jobs import job
from builders.ray_cluster import RayCluster, needs_ray
from builders.ray_engine import driver_plan, run, running_engine
from config.ray import RaySettings
from config.settings import PipelineSettings, Settings
from dicom_node.cluster.checking import check_cluster
from dicom_node.cluster.library import ray_environment
from dicom_node.cluster.plan import ANALYSIS_ACTOR
from dicom_node.cluster.state import ClusterState
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.job_records import InputFile, JobSpec, OutcomeKind, StudySpec
from pipeline.pack_title import BUNDLED_PACK

pytestmark = needs_ray


def small_job(folder: Path) -> JobSpec:
    """A small study, to be analysed with the networks of the package."""
    paths = write_images(folder / "study", ct_images(CtSeries()))
    inputs = tuple(InputFile(path=path, sha256=sha256(path.read_bytes()).hexdigest()) for path in paths)
    return job(StudySpec(study_instance_uid="1.2.3", acquired_at=None, inputs=inputs))


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a result set."""
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


def weights_of(folder: Path) -> str:
    """Which weights a result names."""
    return str(json.loads((folder / "out" / "findings.json").read_bytes())["algorithm"]["weights_sha256"])


@pytest.mark.slow
def test_networks_give_the_same_bytes_and_a_new_pack_is_used_from_the_next_study_on(tmp_path: Path) -> None:
    """The real networks, here and on an actor; then another pack, which the same actor loads; then the first again."""
    spec = small_job(tmp_path)
    other_pack = shutil.copytree(BUNDLED_PACK, tmp_path / "other pack")
    description = json.loads((other_pack / "stnet.json").read_text())
    (other_pack / "stnet.json").write_text(json.dumps({**description, "version": "99"}))
    (tmp_path / "here").mkdir()
    with closing(LocalEngine(EngineLimits(time_limit_s=300, memory_limit_bytes=0))) as local:
        here = local.run(spec, tmp_path / "here", keep_going=lambda: True, stop=Event())
    assert here
    assert here.kind is OutcomeKind.SUCCEEDED
    with RayCluster(nodes=1) as cluster:
        plan = replace(driver_plan(cluster, tmp_path), actor=ANALYSIS_ACTOR)
        with running_engine(plan) as engine:
            pids = cluster.actor_pids("node 0")
            for name, pack in (("first", None), ("other", other_pack), ("again", None)):
                outcome = run(engine, replace(spec, model_pack=pack), tmp_path / name)
                assert outcome
                assert outcome.kind is OutcomeKind.SUCCEEDED
            assert cluster.actor_pids("node 0") == pids
    assert contents(tmp_path / "first") == contents(tmp_path / "here")
    assert contents(tmp_path / "again") == contents(tmp_path / "here")
    assert weights_of(tmp_path / "other") == sha256((other_pack / "stnet.json").read_bytes()).hexdigest()


def test_a_damaged_pack_fails_the_attempt_and_says_what_to_do(tmp_path: Path) -> None:
    """Before anything is sent, and on the actor, which compares the hashes of what it got."""
    spec = small_job(tmp_path)
    damaged = shutil.copytree(BUNDLED_PACK, tmp_path / "pack")
    with (damaged / "models" / "lungs.safetensors").open("r+b") as file:
        file.seek(5000)
        file.write(b"xxxx")
    with RayCluster(nodes=1) as cluster:
        plan = replace(driver_plan(cluster, tmp_path), actor=ANALYSIS_ACTOR)
        with running_engine(plan) as engine:
            changed = run(engine, replace(spec, model_pack=damaged), tmp_path / "changed")
            gone = run(engine, replace(spec, model_pack=tmp_path / "nowhere"), tmp_path / "gone")
    assert changed
    assert "sha256 differs" in changed.reason
    assert gone
    assert "holds no readable stnet.json" in gone.reason


def test_a_cluster_with_tls_and_a_token_takes_only_who_has_both(tmp_path: Path) -> None:
    """The whole way of a study; `check` names what is wrong with a stranger."""
    authority = Authority(tmp_path / "ca")
    issued = authority.issue("cluster", hosts=("localhost", "127.0.0.1", "127.0.0.2", "127.0.0.3"))
    token = tmp_path / "token"
    token.write_text("f" * 64)
    token.chmod(0o600)
    settings = RaySettings(
        tls_certificate=issued.certificate, tls_key=issued.key, tls_ca=authority.certificate, token_file=token
    )
    with RayCluster(nodes=1, environment=ray_environment(settings)) as cluster:
        settings = settings.model_copy(update={"address": cluster.address, "cpus_per_actor": 1})
        plan = replace(driver_plan(cluster, tmp_path), ray=settings)
        with running_engine(plan) as engine:
            outcome = run(engine, small_job(tmp_path), tmp_path / "there")
        assert outcome
        assert outcome.kind is OutcomeKind.SUCCEEDED
        site = Settings(pipeline=PipelineSettings(engine="ray", device="cpu"), ray=settings)
        assert [found for found in check_cluster(site) if found.is_failure or found.is_warning] == []
        stranger = site.model_copy(update={"ray": RaySettings(address=cluster.address)})
        assert [found.is_failure for found in check_cluster(stranger)] == [True]


def test_a_machine_with_another_dicom_node_gets_no_study(tmp_path: Path) -> None:
    """The driver says what to install; nothing is taken from the queue meanwhile."""
    with RayCluster(nodes=1) as cluster:
        plan = driver_plan(cluster, tmp_path, actor="builders.other_actor:OtherVersionActor")
        with running_engine(plan, places=0) as engine:

            def problem() -> str:
                state = ClusterState.read(tmp_path)
                return state.problem if state else ""

            words = until(problem, within_s=120, what="the driver says what is wrong")
            assert "dicom-node 0.0.1 (here" in words
            assert engine.places == 0
