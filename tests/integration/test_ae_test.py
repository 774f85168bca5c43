"""The labelled test set that `dicom-node ae test` sends."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ComprehensiveSRStorage

from builders.node import run_dicom_node
from builders.ports import free_port
from builders.scripted_scp import ScriptedScp, scripted_scp
from config.settings import NodeSettings, Peer, Settings
from dicom_node.ae_test.send import PeerTest, send_test_set
from dicom_node.clock import SystemClock
from dicom_node.demo.pacs import SmallPacs


@pytest.fixture(scope="module")
def outcome(pacs: SmallPacs) -> PeerTest:
    """How a PACS that takes everything took the set."""
    return send_to(Peer(name="pacs", ae_title="DEMOPACS", host="127.0.0.1", port=pacs.port, results=("sr", "seg")))


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallPacs]:
    """Takes everything."""
    with SmallPacs(tmp_path_factory.mktemp("pacs")) as running:
        yield running


@pytest.fixture(scope="module")
def taken(pacs: SmallPacs, outcome: PeerTest) -> list[Dataset]:
    """Every object of the set as the PACS has it."""
    return [dcmread(kept.path) for kept in pacs.kept(outcome.study_instance_uid)]


def send_to(peer: Peer, *, with_images: bool = True) -> PeerTest:
    """Send the set from a node whose data folder does not exist."""
    settings = Settings(node=NodeSettings(data_dir=Path("/nonexistent")), peers=(peer,))
    return send_test_set(settings, peer, with_images=with_images, clock=SystemClock())


def configuration(folder: Path, scp: ScriptedScp) -> Path:
    """A configuration with one peer that is to get SR and SEG."""
    path = folder / "node.toml"
    peer = (
        f'name = "pacs"\nae_title = "SCRIPTED"\nhost = "127.0.0.1"\nport = {scp.peer.port}\nresults = ["sr", "seg"]\n'
    )
    path.write_text(f'[node]\ndata_dir = "{folder}/data"\n[[peers]]\n{peer}')
    return path


def test_a_peer_that_takes_everything_passes_with_every_object_named(outcome: PeerTest, pacs: SmallPacs) -> None:
    """What the outcome says is what the PACS has."""
    assert outcome.passed
    assert outcome.images is not None
    assert outcome.images.count == outcome.images.taken > 20
    kept = {entry.sop_instance_uid for entry in pacs.kept(outcome.study_instance_uid)}
    named = {sent.sop_instance_uid for sent in outcome.objects if sent.state == "delivered"}
    assert {sent.kind for sent in outcome.objects} >= {"sr", "seg-lungs", "seg-lesions"}
    assert named <= kept
    assert len(kept) == len(named) + outcome.images.taken


def test_every_object_says_that_it_is_a_test(taken: list[Dataset]) -> None:
    """Patient, study and series: nobody takes it for a patient's."""
    assert {str(dataset.PatientName) for dataset in taken} == {"DICOM-NODE^TEST"}
    assert {dataset.PatientID for dataset in taken} == {"DICOM-NODE-TEST"}
    assert {dataset.StudyDescription for dataset in taken} == {"dicom-node test, please delete"}
    assert all(dataset.SeriesDescription.startswith("TEST ") for dataset in taken)


def test_the_report_and_the_segmentations_refer_to_the_images_that_were_sent(taken: list[Dataset]) -> None:
    """A viewer opens them on these."""
    images = {dataset.SOPInstanceUID for dataset in taken if dataset.Modality == "CT"}
    referred = [
        item.ReferencedSOPInstanceUID
        for dataset in taken
        if dataset.Modality == "SEG"
        for item in dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    ]
    assert set(referred) <= images
    assert referred


def test_each_run_is_another_study_and_images_can_be_left_out(outcome: PeerTest, pacs: SmallPacs) -> None:
    """A PACS that keeps deleted UIDs away still takes the next one."""
    peer = Peer(name="pacs", ae_title="DEMOPACS", host="127.0.0.1", port=pacs.port, results=("sr",))
    again = send_to(peer, with_images=False)
    assert again.passed
    assert again.images is None
    assert again.study_instance_uid != outcome.study_instance_uid
    assert {str(kept.sop_class_uid) for kept in pacs.kept(again.study_instance_uid)} == {str(ComprehensiveSRStorage)}


def test_a_role_without_a_taker_ends_with_1_and_says_what_is_refused(tmp_path: Path) -> None:
    """On the command line, as an administrator or a script sees it; the data folder is not made."""
    with scripted_scp(lambda _: 0, sop_class_uids=[ComprehensiveSRStorage]) as scp:
        path = configuration(tmp_path, scp)
        done = run_dicom_node("--config", str(path), "ae", "test", "pacs", "--json", timeout_s=300)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert not told["passed"]
    assert told["images"]["taken"] == 0
    assert "does not accept CT Image Storage" in told["images"]["status"]
    states = {sent["kind"]: sent["state"] for sent in told["objects"] if sent["state"] != "held"}
    assert (states["sr"], states["seg-lungs"], states["capture"]) == ("delivered", "declined", "failed")
    assert not (tmp_path / "data").exists()


def test_a_peer_that_is_not_there_ends_with_1_before_anything_is_made(tmp_path: Path) -> None:
    """Within seconds, with what to check."""
    with scripted_scp(lambda _: 0, sop_class_uids=[]) as scp:
        path = configuration(tmp_path, scp)
    path.write_text(path.read_text().replace(f"port = {scp.peer.port}", f"port = {free_port()}"))
    done = run_dicom_node("--config", str(path), "ae", "test", "pacs", timeout_s=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused the connection: does the PACS run" in done.stderr


def test_an_unknown_name_is_wrong_usage_and_names_the_peers(tmp_path: Path) -> None:
    """A typing error is told apart from a peer that refuses."""
    with scripted_scp(lambda _: 0, sop_class_uids=[]) as scp:
        path = configuration(tmp_path, scp)
    done = run_dicom_node("--config", str(path), "ae", "test", "pcas", timeout_s=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pacs" in done.stderr
