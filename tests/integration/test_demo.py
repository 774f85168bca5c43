"""The demo from end to end, with the command as people call it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from builders.deadline import until
from builders.node import run_dicom_node
from builders.small_patient import SmallPatient

pytestmark = pytest.mark.slow

RESULTS = {"sr.dcm", "seg-lungs.dcm", "findings.json", "preview-overview.png"}


@pytest.fixture(scope="module")
def demo_folder(small_patient: SmallPatient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo leaves after a small patient's two studies; the folder of each is named by its UID."""
    out = tmp_path_factory.mktemp("demo")
    source = small_patient.earlier.folder.parent
    done = run_dicom_node("demo", "--input", str(source), "--out", str(out), timeout_s=550)
    assert done.returncode == 0, done.stderr + (out / "node.log").read_text()
    (out / "stdout").write_text(done.stdout)
    return out


def test_both_studies_have_their_results_and_the_paths_are_told(demo_folder: Path, small_patient: SmallPatient) -> None:
    """The last lines are what a newcomer opens."""
    told = (demo_folder / "stdout").read_text()

    for study in (small_patient.earlier, small_patient.current):
        folder = demo_folder / study.study_instance_uid
        assert {path.name for path in folder.iterdir()} >= RESULTS
        assert str(folder / "sr.dcm") in told


def test_the_later_study_is_compared_with_the_earlier_one_lesion_by_lesion(
    demo_folder: Path, small_patient: SmallPatient
) -> None:
    """Each lesion of the second study says what became of it; the first study had nothing to compare with."""
    earlier = json.loads((demo_folder / small_patient.earlier.study_instance_uid / "findings.json").read_text())
    current = json.loads((demo_folder / small_patient.current.study_instance_uid / "findings.json").read_text())

    assert earlier["priors_used"] == []
    assert [prior["study_instance_uid"] for prior in current["priors_used"]] == [
        small_patient.earlier.study_instance_uid
    ]
    assert {lesion["change"] for lesion in current["lesions"]} <= {"new", "grown", "stable", "shrunk"}
    assert len(current["lesions"]) > 0


def test_results_travelled_by_c_store_into_the_original_study(demo_folder: Path, small_patient: SmallPatient) -> None:
    """What lies in the folder is what the PACS received."""
    uid = small_patient.earlier.study_instance_uid
    received = {dcmread(path).SOPInstanceUID: path for path in (demo_folder / "pacs" / uid).glob("*.dcm")}

    for path in (demo_folder / uid).glob("*.dcm"):
        result = dcmread(path)
        assert result.StudyInstanceUID == uid
        assert received[result.SOPInstanceUID].read_bytes() == path.read_bytes()


def test_a_stranger_finds_no_error_in_what_the_pacs_received(demo_folder: Path) -> None:
    """dciodvfy, over both studies."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy not installed: apt install dicom3tools")
    paths = sorted((demo_folder / "pacs").glob("*/*.dcm"))

    said = {path.name: subprocess.run([program, path], capture_output=True, text=True, check=False) for path in paths}

    assert len(paths) >= 4
    assert not [(name, done.stderr) for name, done in said.items() if "Error" in done.stderr + done.stdout]


def test_the_log_of_the_node_names_no_patient(demo_folder: Path) -> None:
    """Neither name nor number."""
    log = (demo_folder / "node.log").read_text()

    assert "Phantom" not in log
    assert "PHANTOM" not in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_no_process_behind(
    tmp_path: Path, small_patient: SmallPatient, number: signal.Signals
) -> None:
    """Ctrl-C while the pipeline runs ends the node, its workers, and the data folder."""
    command = [sys.executable, "-m", "dicom_node", "demo", "--input", str(small_patient.earlier.folder), "--out"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    # Whoever runs the tests in the background has the signal ignored, and what is started inherits that.
    demo = subprocess.Popen(
        [*command, str(tmp_path / "out")],
        env=environment,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    try:
        log = tmp_path / "out" / "node.log"
        until(lambda: log.exists() and "started, revision" in log.read_text(), within_s=120, what="the pipeline runs")
        processes = _descendants(demo.pid)
        demo.send_signal(number)
        assert demo.wait(timeout=60) != 0
    finally:
        demo.kill()
        demo.wait()

    assert len(processes) >= 3
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert not list(tmp_path.glob("dicom-node-demo-*"))


def _descendants(pid: int) -> list[int]:
    """Every process below a process."""
    children = [
        int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
    ]
    return [*children, *(below for child in children for below in _descendants(child))]
