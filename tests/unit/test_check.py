"""What `check` says about packages, disk, database, device and peers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from pydicom.uid import (
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from builders.clock import FakeClock
from builders.index import build_index, database_url, received
from builders.ports import free_port
from builders.scripted_scp import scripted_scp
from config.settings import Peer, Settings
from dicom_node.check import (
    Outcome,
    check_codecs,
    check_data_folder,
    check_database,
    check_device,
    check_model_pack,
    check_packages,
    check_peer,
)


def test_the_four_packages_belong_to_this_distribution_alone() -> None:
    """The installed tree is the one that is tested."""
    assert check_packages().outcome is Outcome.PASSED


def test_a_package_that_another_distribution_overwrote_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyPI has a distribution called config that installs itself over ours."""
    owners = {name: ["dicom-node"] for name in ("dicom_node", "pipeline", "storage")} | {
        "config": ["dicom-node", "config"]
    }
    monkeypatch.setattr("dicom_node.check.packages_distributions", lambda: owners)

    result = check_packages()

    assert result.outcome is Outcome.FAILED
    assert "config also belongs to config" in result.detail


def test_a_data_folder_that_is_still_to_be_made_is_a_warning_and_is_not_made(tmp_path: Path) -> None:
    """The node makes it when it starts for the first time; a check leaves nothing behind."""
    result = check_data_folder(tmp_path / "absent", free_floor_bytes=0)

    assert result.outcome is Outcome.WARNING
    assert "made when the node starts" in result.detail
    assert not (tmp_path / "absent").exists()


def test_a_data_folder_that_cannot_be_made_fails(tmp_path: Path) -> None:
    """Its parent is not there, or it is a file."""
    (tmp_path / "file").touch()
    for data_dir in (tmp_path / "absent" / "data", tmp_path / "file"):
        result = check_data_folder(data_dir, free_floor_bytes=0)
        assert result.outcome is Outcome.FAILED
        assert "create it" in result.detail


def test_a_disk_below_the_floor_fails(tmp_path: Path) -> None:
    """Senders would be refused."""
    result = check_data_folder(tmp_path, free_floor_bytes=2**60)

    assert result.outcome is Outcome.FAILED
    assert "0xA700" in result.detail


def test_a_data_folder_with_room_passes_and_stays_empty(tmp_path: Path) -> None:
    """The file that is written to try it is gone."""
    assert check_data_folder(tmp_path, free_floor_bytes=0).outcome is Outcome.PASSED
    assert not list(tmp_path.iterdir())


def test_a_database_is_opened_and_its_studies_counted(tmp_path: Path) -> None:
    """The version of SQLite is named, since it decides whether two processes may write."""
    build_index(tmp_path, FakeClock()).record_received([received()])

    result = check_database(database_url(tmp_path))

    assert result.outcome is Outcome.PASSED
    assert result.detail.startswith("SQLite 3.")
    assert "1 studies" in result.detail


def test_a_damaged_database_fails(tmp_path: Path) -> None:
    """A file that is no database is found before the first study."""
    (tmp_path / "index.sqlite").write_bytes(b"no database at all, but long enough to be taken for one " * 40)

    assert check_database(database_url(tmp_path)).outcome is Outcome.FAILED


def test_a_database_that_does_not_exist_yet_passes_and_is_not_made(tmp_path: Path) -> None:
    """The first start makes it."""
    assert check_database(database_url(tmp_path)).outcome is Outcome.PASSED
    assert not (tmp_path / "index.sqlite").exists()


def test_a_model_pack_that_is_not_there_fails(tmp_path: Path) -> None:
    """A wrong path is found before the first study."""
    assert check_model_pack(tmp_path).outcome is Outcome.FAILED


def test_a_gpu_that_is_not_there_fails() -> None:
    """No machine has a hundred."""
    result = check_device("cuda:99")

    assert result.outcome is Outcome.FAILED
    assert "[pipeline].device" in result.detail


def test_a_gpu_that_does_not_answer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is full, or its driver has an error that stays; the checks after it go on."""

    said = "CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"

    def broken(_device: object) -> tuple[int, int]:
        raise RuntimeError(said)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    result = check_device("auto")
    assert result.outcome is Outcome.FAILED
    assert "CUDA error: out of memory: " in result.detail
    assert "[pipeline].device" in result.detail


def test_the_processor_is_always_there() -> None:
    """Whatever the machine has."""
    assert check_device("cpu").outcome is Outcome.PASSED


def test_a_destination_that_takes_the_best_of_each_role_passes() -> None:
    """All are asked for by negotiation, nothing is sent."""
    with _peer([ComprehensiveSRStorage, SegmentationStorage, EncapsulatedPDFStorage]) as peer:
        answers, results = check_peer(peer, Settings())

    assert (answers.outcome, results.outcome) == (Outcome.PASSED, Outcome.PASSED)
    assert results.detail == "report as Comprehensive SR; segmentations as Segmentation; PDF as Encapsulated PDF"


def test_a_destination_that_takes_only_what_stands_in_is_a_warning_that_names_both() -> None:
    """It gets something for each role, but not the best."""
    with _peer([EnhancedSRStorage, SecondaryCaptureImageStorage, EncapsulatedPDFStorage]) as peer:
        *_, result = check_peer(peer, Settings())

    assert result.outcome is Outcome.WARNING
    assert "report as Enhanced SR (refuses Comprehensive SR)" in result.detail
    assert "segmentations as Secondary Capture Image (refuses Segmentation)" in result.detail


def test_a_destination_that_takes_nothing_for_a_role_fails_and_the_classes_are_named() -> None:
    """The administrator learns what to switch on."""
    with _peer([ComprehensiveSRStorage, EncapsulatedPDFStorage]) as peer:
        *_, result = check_peer(peer, Settings())

    assert result.outcome is Outcome.FAILED
    assert "segmentations declined (refuses Segmentation, Secondary Capture Image)" in result.detail


def test_segmentations_may_be_refused_where_the_capture_is_wanted_anyway() -> None:
    """The capture makes up for them."""
    with _peer([ComprehensiveSRStorage, SecondaryCaptureImageStorage]) as peer:
        *_, result = check_peer(peer.model_copy(update={"results": ("sr", "seg", "capture")}), Settings())

    assert result.outcome is Outcome.WARNING


def test_a_silent_destination_fails_and_a_silent_sender_only_warns() -> None:
    """A scanner that listens on no port can still send."""
    absent = Peer(name="gone", ae_title="GONE", host="127.0.0.1", port=free_port(), receives_results=True)
    sender = absent.model_copy(update={"receives_results": False})

    outcomes = [result.outcome for peer in (absent, sender) for result in check_peer(peer, Settings())]

    assert outcomes == [Outcome.FAILED, Outcome.WARNING]


def test_a_peer_that_is_not_there_is_named_once_with_its_address() -> None:
    """The subject names it; the words say where nobody listens."""
    peer = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=free_port(), receives_results=True)
    (found,) = check_peer(peer, Settings())
    assert found.subject == "peer pacs"
    assert found.detail.startswith(f"127.0.0.1:{peer.port} refused the connection")


@contextmanager
def _peer(sop_class_uids: list[str]) -> Iterator[Peer]:
    with scripted_scp(lambda _: 0x0000, sop_class_uids=sop_class_uids) as scp:
        yield scp.peer


def test_the_compressed_syntaxes_that_can_be_read_are_listed() -> None:
    """From JPEG to HTJ2K, by the names that administrators use."""
    result = check_codecs()
    assert result.outcome is Outcome.PASSED
    for name in ("JPEG lossless", "JPEG-LS lossless", "JPEG 2000", "HTJ2K lossless", "RLE lossless"):
        assert name in result.detail


def test_a_codec_that_is_not_installed_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning: the node works, but such studies fail."""
    monkeypatch.setattr("pipeline.syntaxes.is_readable", lambda uid: uid != "1.2.840.10008.1.2.4.201")
    result = check_codecs()
    assert result.outcome is Outcome.WARNING
    assert "not read: HTJ2K lossless: " in result.detail
    assert "install pylibjpeg" in result.detail
