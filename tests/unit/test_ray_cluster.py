"""The rules of the Ray cluster that need no cluster."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from unittest import mock

import pytest

from builders.jobs import job
from config.errors import ConfigError
from config.load import settings_from_text
from config.ray import RaySettings
from config.settings import PipelineSettings, Settings
from dicom_node.cluster.checking import check_cluster, findings_of
from dicom_node.cluster.gate import ByteGate
from dicom_node.cluster.parcel import READ_OF_A_RESULT, parcel_of, read_payload, unpack
from dicom_node.cluster.places import Room, cluster_nodes, room_in
from dicom_node.cluster.probe import Probe, ProbedNode
from dicom_node.cluster.scratch import ScratchFolder
from dicom_node.cluster.security import open_cluster_warning
from dicom_node.cluster.state import ClusterActor, ClusterNode, ClusterState
from dicom_node.cluster.versions import own_versions
from dicom_node.cluster.words import cluster_alerts, cluster_lines, cluster_trouble
from dicom_node.job_records import InputFile, PriorSpec, StudySpec
from dicom_node.results.write import FINDINGS_NAME, MASKS_NAME
from pipeline.errors import UnreadableStudyError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ray.md"
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def node(address: str = "10.0.0.1", *, cpus: float = 8, gpus: float = 0) -> ClusterNode:
    """A machine."""
    return ClusterNode(address=address, cpus=cpus, gpus=gpus, object_store_bytes=1 << 30)


def study(folder: Path, uid: str, *names: str) -> StudySpec:
    """Files of a few bytes; what they hold is their name."""
    paths = [folder / uid / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{uid} {path}".encode())
    return StudySpec(
        study_instance_uid=uid, acquired_at=None, inputs=tuple(InputFile(path=path, sha256="") for path in paths)
    )


def test_a_parcel_brings_every_file_that_an_attempt_reads(tmp_path: Path) -> None:
    """Studies and what was reported of them before; names stay, also where two are the same."""
    result = tmp_path / "result"
    result.mkdir()
    for name in (*READ_OF_A_RESULT, "seg-lungs.dcm"):
        (result / name).write_text(name)
    prior = PriorSpec(study=study(tmp_path, "1.2", "a/1.dcm", "b/1.dcm"), result_folder=result)
    spec = replace(job(study(tmp_path, "1.3", "1.dcm")), priors=(prior,), reported_folder=result)
    parcel = parcel_of(spec)
    got = unpack(parcel, read_payload(parcel), tmp_path / "job")
    for sent, came in zip((spec.study, prior.study), (got.study, got.priors[0].study), strict=True):
        pairs = list(zip(sent.inputs, came.inputs, strict=True))
        assert [came.path.read_bytes() for _, came in pairs] == [sent.path.read_bytes() for sent, _ in pairs]
        assert [came.path.name for _, came in pairs] == [sent.path.name for sent, _ in pairs]
        assert all(came.path.is_relative_to(tmp_path / "job") for _, came in pairs)
    for folder in (got.priors[0].result_folder, got.reported_folder):
        assert folder and folder.is_relative_to(tmp_path / "job")
        assert {path.name for path in folder.iterdir()} == set(READ_OF_A_RESULT)


def test_a_parcel_has_the_files_that_are_read_of_a_result() -> None:
    """Under the names that `dicom_node.results` gives them."""
    assert set(READ_OF_A_RESULT) == {FINDINGS_NAME, MASKS_NAME}


def test_a_file_that_goes_while_a_parcel_is_read_is_named(tmp_path: Path) -> None:
    """As by the local engine."""
    parcel = parcel_of(job(study(tmp_path, "1.2", "1.dcm")))
    (tmp_path / "1.2" / "1.dcm").unlink()
    with pytest.raises(UnreadableStudyError, match=r"1\.dcm cannot be read"):
        read_payload(parcel)


@pytest.mark.parametrize(
    ("nodes", "device", "maximum", "expected"),
    [
        ([node(cpus=8), node(cpus=7), node(cpus=3)], "auto", 0, (3, "cpu")),
        ([node(cpus=8), node(gpus=2)], "auto", 0, (2, "cuda")),
        ([node(cpus=8), node(cpus=4, gpus=2)], "cpu", 0, (3, "cpu")),
        ([node(gpus=4)], "cuda", 3, (3, "cuda")),
    ],
)
def test_each_gpu_gets_an_actor_else_each_share_of_cpus(
    nodes: list[ClusterNode], device: str, maximum: int, expected: tuple[int, str]
) -> None:
    """A share lies on one machine; the site may want fewer, or the CPU."""
    settings = RaySettings(cpus_per_actor=4, maximum_actors=maximum)
    count, named = expected
    assert room_in(nodes, settings, device=device) == Room(count=count, device=named)


@pytest.mark.parametrize(("device", "words"), [("cuda", "has a GPU"), ("auto", "lower [ray].cpus_per_actor")])
def test_a_cluster_without_room_says_what_to_do(device: str, words: str) -> None:
    """No actor waits for ever in silence."""
    room = room_in([node(cpus=2)], RaySettings(cpus_per_actor=4), device=device)
    assert room.count == 0
    assert words in room.problem


def test_the_page_keeps_analyses_off_the_head_and_ray_off_the_ports_of_the_node() -> None:
    """A GPU that Ray counts gets an actor, whatever the CPUs; Ray's own range of ports has the listener's in it."""
    assert room_in([node(cpus=0, gpus=1)], RaySettings(), device="auto").count == 1
    commands = re.findall(r"=0 (ray start .*?)\n   [^ ]", PAGE.read_text(), re.DOTALL)
    head, other = (command.split() for command in commands)
    assert {"--head", "--num-cpus=0", "--num-gpus=0"} <= set(head)
    for command in (head, other):
        first, last = (
            int(word.partition("=")[2]) for word in command if word.startswith(("--min-worker", "--max-worker"))
        )
        settings = Settings()
        ports = (settings.listen.port, settings.listen.tls.port, settings.web.port)
        assert not [port for port in ports if first <= port <= last]


def test_machines_that_are_down_are_not_counted() -> None:
    """As Ray lists them."""
    raw = {"NodeID": "a", "NodeManagerAddress": "10.0.0.1", "Resources": {"CPU": 4.0, "object_store_memory": 5.0}}
    nodes = cluster_nodes([{**raw, "Alive": True}, {**raw, "NodeID": "b", "Alive": False}])
    assert nodes == {"a": ClusterNode(address="10.0.0.1", cpus=4.0, gpus=0.0, object_store_bytes=5)}


def test_studies_wait_until_their_bytes_fit(tmp_path: Path) -> None:
    """The second comes in when the first is gone."""
    gate, entered, leave = ByteGate(), Event(), Event()
    gate.limit_bytes = 100
    order: list[str] = []

    def second() -> None:
        entered.wait(10)
        with gate.hold(60, is_wanted=lambda: True):
            order.append("second")

    waiting = Thread(target=second)
    waiting.start()
    with gate.hold(60, is_wanted=lambda: True) as is_in:
        assert is_in
        entered.set()
        leave.wait(0.3)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]
    assert gate.held_bytes == 0


def test_a_study_that_is_larger_than_the_limit_goes_alone() -> None:
    """It would wait for ever otherwise; one that is not wanted any more gives up."""
    gate = ByteGate()
    gate.limit_bytes = 100
    with gate.hold(500, is_wanted=lambda: True) as is_in, gate.hold(1, is_wanted=lambda: False) as is_second_in:
        assert is_in
        assert not is_second_in
    assert gate.held_bytes == 0


def test_what_a_killed_actor_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """Patients' images stay in no temporary folder; what a living actor has stays."""
    (tmp_path / "dead" / "job").mkdir(parents=True)
    (tmp_path / "dead" / "lock").touch()
    living = ScratchFolder(tmp_path)
    (living.path / "image.dcm").touch()
    next_one = ScratchFolder(tmp_path)
    assert not (tmp_path / "dead").exists()
    assert (living.path / "image.dcm").exists()
    assert tmp_path.stat().st_mode & 0o077 == 0
    for folder in (living, next_one):
        folder.close()
        folder.close()
        assert not folder.path.exists()


def test_an_open_cluster_is_warned_of(tmp_path: Path) -> None:
    """Loopback or TLS are none."""
    assert open_cluster_warning(RaySettings(address="127.0.0.1:6379")) == ""
    assert "without TLS" in open_cluster_warning(RaySettings(address="192.0.2.9:6379"))
    assert open_cluster_warning(RaySettings(address="192.0.2.9:6379", tls_certificate=tmp_path / "a.pem")) == ""


def state(**changes: object) -> ClusterState:
    """A cluster with one busy actor."""
    actor = ClusterActor(node="10.0.0.1", device="cuda", doing="attempt 7", stage="Finding lungs", fraction=0.25)
    return replace(
        ClusterState(at=NOW, address="10.0.0.1:6379", problem="", nodes=(node(),), actors=(actor,)), **changes
    )


def test_a_cluster_that_works_is_shown_without_an_alert() -> None:
    """Machines, actors, what they do."""
    assert cluster_trouble(state(), now=NOW) == ""
    assert cluster_lines(state()) == [
        "Ray cluster 10.0.0.1:6379: 1 machines, 1 actors",
        "  machine 10.0.0.1: 8 CPUs, 0 GPUs",
        "  actor on 10.0.0.1, cuda: attempt 7, Finding lungs 25%",
    ]


def test_what_keeps_studies_waiting_is_an_alert(tmp_path: Path) -> None:
    """The extra is missing, no worker, a silent one, a problem of the cluster."""
    assert "never connected" in cluster_trouble(None, now=NOW)
    assert "for 60 s" in cluster_trouble(state(), now=NOW + timedelta(minutes=1))
    assert cluster_trouble(state(problem="no machine", actors=()), now=NOW) == "no machine"
    site = Settings(pipeline=PipelineSettings(engine="ray"), ray=RaySettings(address="192.0.2.9:6379"))
    with mock.patch("dicom_node.cluster.words.is_ray_installed", return_value=False):
        (_, missing), (_, is_open) = cluster_alerts(site, state(), now=NOW)
    assert "pip install" in missing
    assert "without TLS" in is_open
    assert list(cluster_alerts(Settings(), None, now=NOW)) == []


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    """By other processes."""
    assert ClusterState.read(tmp_path) is None
    state().write(tmp_path)
    assert ClusterState.read(tmp_path) == state()


def test_check_says_that_the_extra_is_missing() -> None:
    """And nothing of a node that analyses by itself."""
    with mock.patch("dicom_node.cluster.checking.is_ray_installed", return_value=False):
        (found,) = check_cluster(Settings(pipeline=PipelineSettings(engine="ray")))
    assert found.is_failure
    assert "pip install" in found.words
    assert list(check_cluster(Settings())) == []


def test_check_names_machines_with_other_software() -> None:
    """Another dicom-node is a failure, another torch a warning, none at all a failure."""
    own = own_versions()
    probe = Probe(
        problem="",
        nodes=(
            ProbedNode(node=node("10.0.0.1"), versions=own),
            ProbedNode(node=node("10.0.0.2"), versions={**own, "dicom-node": "0.0.1"}),
            ProbedNode(node=node("10.0.0.3"), versions={**own, "torch": "1.0"}),
            ProbedNode(node=node("10.0.0.4"), versions={}),
        ),
    )
    cluster, old, other, bare = findings_of(probe, Settings(pipeline=PipelineSettings(engine="ray", device="cpu")))
    assert "4 machines, room for 8 actors" in cluster.words
    assert (old.is_failure, "dicom-node 0.0.1" in old.words) == (True, True)
    assert (other.is_warning, "torch 1.0" in other.words) == (True, True)
    assert (bare.is_failure, "not installed" in bare.words) == (True, True)


def test_check_says_why_there_is_no_connection() -> None:
    """The words of the probe."""
    (found,) = findings_of(Probe(problem="nothing answers"), Settings())
    assert (found.is_failure, found.words) == (True, "nothing answers")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('address = "ray://10.0.0.1:10001"', "[ray].address: "),
        ('address = "10.0.0.1"', "[ray].address: "),
        ('tls_key = "/etc/key.pem"', "[ray].tls_ca: is missing"),
    ],
)
def test_mistakes_in_the_settings_are_named(line: str, problem: str) -> None:
    """Each with its key."""
    with pytest.raises(ConfigError, match="ray") as caught:
        settings_from_text(f"[ray]\n{line}\n", name="node.toml")
    assert any(str(one).startswith(problem) for one in caught.value.problems)
