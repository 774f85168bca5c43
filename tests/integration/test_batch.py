"""An archive run against Orthanc, with the node killed in the middle."""

import csv
import json
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from builders.ct_series import CtSeries, ct_images
from builders.deadline import until
from builders.faulty_node import FaultyNode
from builders.listener import send
from builders.node import AE_TITLE, Destination
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import KnownNode, Orthanc, running_orthanc
from builders.ports import free_port
from storage.batch_records import BatchState, BatchView
from storage.lifecycle import Event, State

DAYS = tuple(f"20{year}03{day}" for year in range(21, 24) for day in ("04", "18"))
"""Six studies of three years, each of a patient of its own."""
UIDS = {f"1.2.3.7.{day}": day for day in DAYS}


def fill(orthanc: Orthanc) -> None:
    """Six chest CTs, and one of the knee."""
    for number, (uid, day) in enumerate(UIDS.items()):
        store(orthanc, uid, day, description="CT THORAX", patient=f"P{number}")
    store(orthanc, "1.2.3.8.1", DAYS[0], description="CT KNIE", patient="P99")


def store(orthanc: Orthanc, uid: str, day: str, *, description: str, patient: str) -> None:
    """One study of 20 images."""
    images = ct_images(CtSeries(study_uid=uid, uid=f"{uid}.1", shape=(20, 32, 32), spacing_mm=(10.0, 10.0, 10.0)))
    for image in images:
        image.SOPInstanceUID = f"{uid}.1.{image.InstanceNumber}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.StudyDate = image.AcquisitionDate = day
        image.StudyDescription, image.PatientID, image.PatientName = description, patient, f"Name^{patient}"
    assert set(send(orthanc.dicom_port, *images, called_aet=ORTHANC_AE_TITLE)) == {0}


@pytest.mark.timeout(1200)
def test_a_batch_of_years_goes_on_after_a_kill_and_sends_nothing(tmp_path: Path) -> None:
    """The table is complete, each study was analysed once, the PACS has no more than before."""
    port = free_port()
    (tmp_path / "orthanc").mkdir()
    known = KnownNode(ae_title=AE_TITLE, port=port)
    with running_orthanc(tmp_path / "orthanc", node=known) as orthanc:
        fill(orthanc)
        images_before = json.loads(orthanc.get("/statistics"))["CountInstances"]
        pacs = Destination(name="pacs", ae_title=ORTHANC_AE_TITLE, port=orthanc.dicom_port, query_retrieve="move")
        node = FaultyNode(folder=tmp_path, destinations=[pacs], parts=("listen", "work"), port=port, quiet_period_s=1.0)
        with node:
            begin(node)
            until(lambda: batch(node).studies.get("analysed", 0) >= 2, within_s=500, what="two studies are analysed")
            node.kill("work")
            node.kill("listen")
            assert batch(node).state is BatchState.RUNNING
            node.start_again("listen")
            node.start("work")
            until(lambda: batch(node).state is BatchState.DONE, within_s=600, what="the batch is done")
            check_studies(node)
            check_table(node, tmp_path / "out.csv")
        assert json.loads(orthanc.get("/statistics"))["CountInstances"] == images_before


def begin(node: FaultyNode) -> None:
    """Count first, then begin."""
    query = ("start", "pacs", "since=2021-01-01", "until=2023-12-31", "description=*THORAX*", "per_hour=1000")
    expected = json.loads(node.command("batch", *query, "--dry-run", "--json").stdout)
    assert (expected["studies"], expected["to_fetch"]) == (6, 6)
    assert expected["by_year"] == {f"20{year}": 2 for year in range(21, 24)}
    assert json.loads(node.command("batch", *query, "--json").stdout)["number"] == 1


def batch(node: FaultyNode) -> BatchView:
    """How far it is."""
    with closing(node.index()) as index:
        return index.batches.view(1)


def check_studies(node: FaultyNode) -> None:
    """Each is of the batch, analysed once, and has nothing to send."""
    for uid in UIDS:
        view = node.study(uid)
        assert view is not None
        assert (view.state, view.batch, view.deliveries) == (State.PROCESSED, 1, ())
        assert view.history[0].why == "first instance received, asked for by batch 1"
        assert Counter(entry.event for entry in view.history)[Event.ATTEMPT_SUCCEEDED] == 1
    assert node.study("1.2.3.8.1") is None
    assert "batch        1" in node.command("study", "show", next(iter(UIDS))).stdout


def check_table(node: FaultyNode, path: Path) -> None:
    """A row for each study, oldest first, with findings and without a patient."""
    node.command("batch", "table", "1", "--out", str(path))
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [row["study_instance_uid"] for row in rows] == list(UIDS)
    assert {row["state"] for row in rows} == {"analysed"}
    assert all(float(row["patient_score"]) >= 0 and int(row["images"]) == 20 for row in rows)
    assert "Name" not in path.read_text(encoding="utf-8")
