"""A study sent by DCMTK's programs to a running node, its results in a real Orthanc."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from builders.node import AE_TITLE as NODE_AE_TITLE
from builders.node import Destination, NodeProcess
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import Orthanc, running_orthanc
from builders.small_patient import SmallPatient
from storage.lifecycle import State
from storage.records import StudyView

pytestmark = pytest.mark.slow

DELIVERED_WITHIN_S = 300


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A site's PACS."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def node(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that sends its results to Orthanc."""
    destination = Destination(name="orthanc", ae_title=ORTHANC_AE_TITLE, port=orthanc.dicom_port)
    with NodeProcess(folder=tmp_path_factory.mktemp("node"), destinations=[destination]) as running:
        yield running


def test_results_of_a_study_sent_by_storescu_are_returned_by_dicomweb_in_the_original_study(
    node: NodeProcess, orthanc: Orthanc, small_patient: SmallPatient
) -> None:
    """SR and SEG join the CT; WADO-RS gives them back as the node made them."""
    study = small_patient.earlier
    _dcmtk("storescu", study.folder, port=orthanc.dicom_port, called_aet=ORTHANC_AE_TITLE)
    _dcmtk("storescu", study.folder, port=node.port, called_aet=NODE_AE_TITLE)

    view = node.wait_for(study.study_instance_uid, State.DELIVERED, within_s=DELIVERED_WITHIN_S)

    assert {"CT", "SR", "SEG"} <= orthanc.modalities(study.study_instance_uid)
    _assert_returned_as_made(orthanc, view)


def test_results_of_a_study_sent_by_dcmsend_compare_it_with_the_earlier_one(
    node: NodeProcess, orthanc: Orthanc, small_patient: SmallPatient
) -> None:
    """The report that Orthanc returns names the prior's series among its evidence."""
    earlier, current = small_patient.earlier, small_patient.current
    _dcmtk("dcmsend", earlier.folder, port=node.port, called_aet=NODE_AE_TITLE)
    node.wait_for(earlier.study_instance_uid, State.DELIVERED, within_s=DELIVERED_WITHIN_S)
    _dcmtk("dcmsend", current.folder, port=node.port, called_aet=NODE_AE_TITLE)

    view = node.wait_for(current.study_instance_uid, State.DELIVERED, within_s=DELIVERED_WITHIN_S)

    _assert_returned_as_made(orthanc, view)
    (report,) = orthanc.instances_of_modality(current.study_instance_uid, "SR")
    assert earlier.study_instance_uid in str(report)


def test_check_finds_that_orthanc_answers_and_takes_both_kinds_of_result(node: NodeProcess) -> None:
    """As an administrator sees it before the first study."""
    report = json.loads(node.command("check", "--json").stdout)

    outcomes = {check["subject"]: check["outcome"] for check in report["checks"]}
    assert outcomes["peer orthanc"] == outcomes["peer orthanc, results"] == "passed"


def _dcmtk(program: str, folder: Path, *, port: int, called_aet: str) -> None:
    """Send every file below a folder with one of DCMTK's programs; fails on anything but success."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} not installed: apt install dcmtk")
    command = [path, "-aet", "SCANNER", "-aec", called_aet, "+sd", "+r", "127.0.0.1", str(port), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _assert_returned_as_made(orthanc: Orthanc, view: StudyView) -> None:
    """What WADO-RS returns equals the node's own files, element by element."""
    returned = {
        str(instance.SOPInstanceUID): instance
        for modality in ("SR", "SEG", "DOC")
        for instance in orthanc.instances_of_modality(view.study_instance_uid, modality)
    }
    assert view.result is not None
    delivered = {one.sop_instance_uid for one in view.deliveries if one.state == "delivered"}
    made = {file.kind: dcmread(file.path) for file in view.result.files if file.sop_instance_uid in delivered}
    assert {"sr", "seg-lungs", "pdf"} <= made.keys()
    for dataset in made.values():
        assert dataset.StudyInstanceUID == view.study_instance_uid
        assert returned[dataset.SOPInstanceUID] == dataset
