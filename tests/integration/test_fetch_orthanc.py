"""A node whose PACS, a real Orthanc, alone has the earlier study."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from builders.node import AE_TITLE as NODE_AE_TITLE
from builders.node import Destination, NodeProcess
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import KnownNode, Orthanc, running_orthanc
from builders.ports import free_port
from builders.small_patient import SmallPatient, SmallStudy
from storage.lifecycle import State

pytestmark = pytest.mark.slow

DELIVERED_WITHIN_S = 400


@pytest.fixture(scope="module")
def node_port() -> int:
    """Where Orthanc sends what it is asked to move."""
    return free_port()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, node_port: int, small_patient: SmallPatient) -> Iterator[Orthanc]:
    """A PACS that has the earlier study of the patient."""
    known = KnownNode(ae_title=NODE_AE_TITLE, port=node_port)
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), node=known) as running:
        _dcmsend(small_patient.earlier, port=running.dicom_port, called_aet=ORTHANC_AE_TITLE)
        yield running


@pytest.mark.parametrize("service", ["move", "get"])
def test_an_earlier_study_of_the_pacs_is_fetched_compared_with_and_named_in_the_report(
    service: str, orthanc: Orthanc, node_port: int, small_patient: SmallPatient, tmp_path: Path
) -> None:
    """With its date and the interval in days; it is not analysed for itself, and nothing is sent about it."""
    earlier, current = small_patient.earlier, small_patient.current
    pacs = Destination(name="orthanc", ae_title=ORTHANC_AE_TITLE, port=orthanc.dicom_port, query_retrieve=service)
    with NodeProcess(folder=tmp_path, destinations=[pacs], port=node_port) as node:
        _dcmsend(current, port=node.port, called_aet=NODE_AE_TITLE)
        view = node.wait_for(current.study_instance_uid, State.DELIVERED, within_s=DELIVERED_WITHIN_S)
        fetched = node.study(earlier.study_instance_uid)
        shown = node.command("study", "show", current.study_instance_uid).stdout
        printed = json.loads(node.command("study", "show", current.study_instance_uid, "--json").stdout)
        checked = json.loads(node.command("check", "--json").stdout)

    assert fetched is not None
    assert (fetched.state, fetched.origin, fetched.result, fetched.deliveries) == (State.SKIPPED, "fetched", None, ())
    series = Counter(dcmread(path, stop_before_pixels=True).SeriesDescription for path in earlier.paths)
    assert series.keys() == {"Scout", "Chest coronal", "Chest lung", "Chest soft"}
    assert fetched.instance_count == series["Chest lung"] + series["Chest soft"]
    assert view.result is not None
    report = next(dcmread(file.path) for file in view.result.files if file.kind == "sr")
    (used,) = [item for item in _items(report) if _concept(item) == "Comparison study used"]
    said = {_concept(item): item for item in used.ContentSequence}
    dates = [dcmread(study.paths[0]).StudyDate for study in (earlier, current)]
    then, now = (datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC) for date in dates)
    assert earlier.study_instance_uid == said["Procedure Study Instance UID"].UID
    assert said["Study Date"].Date == dates[0]
    interval = float(said["Interval since that study"].MeasuredValueSequence[0].NumericValue)
    assert interval == pytest.approx((now - then).days, abs=1)
    assert f"fetched  {earlier.study_instance_uid}" in shown
    assert printed["prior_fetches"][0]["found"][0]["state"] == "fetched"
    outcomes = {check["subject"]: check["outcome"] for check in checked["checks"]}
    assert outcomes["peer orthanc, earlier studies"] == "passed"


def _concept(item: Dataset) -> str:
    """What a content item says, in words."""
    return str(item.ConceptNameCodeSequence[0].CodeMeaning) if "ConceptNameCodeSequence" in item else ""


def _items(dataset: Dataset) -> Iterator[Dataset]:
    for item in dataset.get("ContentSequence", []):
        yield item
        yield from _items(item)


def _dcmsend(study: SmallStudy, *, port: int, called_aet: str) -> None:
    """Send every file of a study; fails on anything but success."""
    program = shutil.which("dcmsend")
    if program is None:
        pytest.skip("dcmsend not installed: apt install dcmtk")
    command = [program, "-aec", called_aet, "+sd", "+r", "127.0.0.1", str(port), str(study.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
