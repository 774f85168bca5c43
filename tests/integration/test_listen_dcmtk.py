"""DCMTK's own senders, as modalities and routers have them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from builders.instances import compressed_ct_instance, ct_instance, dose_report, localizer
from builders.listener import (
    AE_TITLE,
    SENDER,
    RunningListener,
    data_set_bytes,
    listener_settings,
    running_listener,
)


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """One listener for all of it."""
    with running_listener(listener_settings(tmp_path_factory.mktemp("data"))) as running:
        yield running


def program(name: str) -> str:
    """Path of a program of DCMTK; skips the test where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} of DCMTK is not installed")
    return path


def call(name: str, listener: RunningListener, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the listener with a program of DCMTK."""
    command = [program(name), "-aet", SENDER, "-aec", AE_TITLE, *arguments[:-1], "127.0.0.1", str(listener.port)]
    return subprocess.run([*command, *arguments[-1:]], capture_output=True, text=True, timeout=60, check=False)


def folder_of(folder: Path, *datasets: Dataset) -> Path:
    """A folder with one file for each data set."""
    for number, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def test_echoscu_succeeds(listener: RunningListener) -> None:
    """C-ECHO from DCMTK."""
    command = [program("echoscu"), "-aet", SENDER, "-aec", AE_TITLE, "127.0.0.1", str(listener.port)]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_echoscu_of_a_stranger_fails(listener: RunningListener) -> None:
    """DCMTK prints our reason."""
    command = [program("echoscu"), "-aet", "STRANGER", "-aec", AE_TITLE, "127.0.0.1", str(listener.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stdout + done.stderr


def test_dcmsend_delivers_a_mixed_study(listener: RunningListener, tmp_path: Path) -> None:
    """Images, scout, report and a compressed image in one call."""
    compressed = compressed_ct_instance(b"opaque", study="8.1")
    compressed.SOPInstanceUID = compressed.file_meta.MediaStorageSOPInstanceUID = "8.1.99"
    folder_of(tmp_path, ct_instance(study="8.1"), localizer(study="8.1"), dose_report(study="8.1"), compressed)
    done = call("dcmsend", listener, "--decompress-never", "--scan-directories", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert len(listener.objects("8.1")) == 4


@pytest.mark.parametrize(
    ("option", "syntax"),
    [("-xe", ExplicitVRLittleEndian), ("-xi", ImplicitVRLittleEndian), ("-xv", JPEG2000Lossless)],
)
def test_storescu_delivers_in_the_syntax_it_offers(
    listener: RunningListener, tmp_path: Path, option: str, syntax: str
) -> None:
    """The stored data set is the one in the sender's file."""
    study = f"8.2.{len(syntax)}"
    dataset = compressed_ct_instance(b"opaque", study=study) if syntax == JPEG2000Lossless else ct_instance(study=study)
    dataset.file_meta.TransferSyntaxUID = syntax
    folder_of(tmp_path, dataset)
    done = call("storescu", listener, option, str(tmp_path / "0.dcm"))
    assert done.returncode == 0, done.stderr
    (path,) = listener.objects(study)
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert dcmread(path) == dcmread(tmp_path / "0.dcm")
    assert data_set_bytes(path)
