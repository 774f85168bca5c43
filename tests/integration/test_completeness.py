"""A study that comes as studies come: in several associations at once, with pauses, again, and late."""

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep

import pytest
from pydicom import Dataset, dcmread

from builders.instances import ct_instance
from builders.listener import send
from builders.node import AE_TITLE, Destination, NodeProcess
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import running_orthanc
from builders.pacs import destination, ledger_pacs
from builders.programs import program
from builders.small_patient import SmallPatient
from storage.lifecycle import Event, State
from storage.records import StudyView

pytestmark = pytest.mark.slow

STUDY = "1.2.3.4"
HELD_FOR_S = 8.0
"""Longer than two agreeing pieces of evidence need."""
QUIET_PERIOD_S = 120.0
WITHIN_S = 400


def dcmsend(node: NodeProcess, paths: Sequence[Path]) -> None:
    """One association of DCMTK's sender."""
    command = [program("dcmsend", "apt-get install dcmtk"), "-aet", "CT1", "-aec", AE_TITLE, "127.0.0.1"]
    subprocess.run([*command, str(node.port), *map(str, paths)], check=True, timeout=120)


def send_in_parallel(node: NodeProcess, paths: Sequence[Path]) -> None:
    """Four associations at the same time, each with every fourth image."""
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(lambda first: dcmsend(node, paths[first::4]), range(4)))


def completions(view: StudyView) -> list[str]:
    """Why the study was taken as complete, each time."""
    return [entry.why for entry in view.history if entry.event is Event.COMPLETED]


def inputs(report: Dataset) -> set[str]:
    """SOP Instance UIDs of the evidence of a report (PS3.3 C.17.2)."""
    return {
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def predecessors(report: Dataset) -> list[str]:
    """SOP Instance UIDs of the reports that it replaces (PS3.3 C.17.2)."""
    return [
        str(item.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]


def report_of(view: StudyView) -> Dataset:
    """The newest report on disk."""
    assert view.result is not None
    return dcmread(next(file.path for file in view.result.files if file.kind == "sr"))


def lung_slices(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The axial lung slices from top to bottom, and everything else of the study."""
    headers = {path: dcmread(path, stop_before_pixels=True) for path in paths}
    by_series: dict[str, list[Path]] = {}
    for path, header in headers.items():
        by_series.setdefault(header.SeriesInstanceUID, []).append(path)
    lung = max(
        by_series.values(), key=lambda found: ("LUNG" in str(headers[found[0]].SeriesDescription).upper(), len(found))
    )
    lung.sort(key=lambda path: headers[path].ImagePositionPatient[2])
    return lung, [path for path in paths if path not in lung]


def test_a_study_in_parallel_associations_has_one_result_for_each_revision(
    tmp_path: Path, small_patient: SmallPatient
) -> None:
    """Pauses, duplicates, late slices during and after the run: none is lost, none makes a second result."""
    study = small_patient.current
    lung, others = lung_slices(study.paths)
    during, after, first = lung[:1], lung[-1:], others + lung[1:-1]
    with (
        ledger_pacs(tmp_path / "pacs") as pacs,
        NodeProcess(folder=tmp_path, destinations=[destination(pacs)], quiet_period_s=QUIET_PERIOD_S) as node,
    ):
        send_in_parallel(node, first[: len(first) // 2])
        send_in_parallel(node, first[len(first) // 3 :])
        sent_at_s = monotonic()
        node.wait_for(study.study_instance_uid, State.PROCESSING, within_s=QUIET_PERIOD_S)
        assert monotonic() - sent_at_s < QUIET_PERIOD_S, "by evidence, not by the quiet period"
        dcmsend(node, [*during, *first[:5]])
        second = _delivered(node, study.study_instance_uid, revision=2)
        dcmsend(node, after)
        third = _delivered(node, study.study_instance_uid, revision=3)

    for view in (second, third):
        sent = [one for one in view.deliveries if one.role == "report" and one.state == "delivered"]
        assert len({(one.revision, one.sop_instance_uid) for one in sent}) == len({one.revision for one in sent})
    assert all("slices without a gap" in why and "released" in why for why in completions(third))
    assert len(completions(third)) == 3
    report = report_of(third)
    assert str(report_of(second).SOPInstanceUID) in predecessors(report)
    assert {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in lung} <= inputs(report)


def _delivered(node: NodeProcess, study_instance_uid: str, *, revision: int) -> StudyView:
    """The study once the result of a revision is delivered."""

    def look(view: StudyView | None) -> StudyView | None:
        is_there = view and view.state is State.DELIVERED and view.result and view.result.revision == revision
        return view if is_there else None

    return node.watch(study_instance_uid, look, within_s=WITHIN_S, what=f"revision {revision} is delivered")


def test_a_pacs_that_has_more_images_holds_the_quick_path(tmp_path: Path) -> None:
    """Of a real Orthanc: the study waits while images are missing, and goes on as soon as the last one is here."""
    images = [ct_instance(number, study=STUDY) for number in range(1, 21)]
    with running_orthanc(tmp_path) as orthanc:
        assert set(send(orthanc.dicom_port, *images, called_aet=ORTHANC_AE_TITLE)) == {0}
        pacs = Destination(name="orthanc", ae_title=ORTHANC_AE_TITLE, port=orthanc.dicom_port)
        node = NodeProcess(folder=tmp_path, destinations=[pacs], quiet_period_s=QUIET_PERIOD_S, count_peer="orthanc")
        with node:
            assert set(send(node.port, *images[:18], called_aet=AE_TITLE)) == {0}
            sleep(HELD_FOR_S)
            held = node.study(STUDY)
            assert held is not None
            assert held.state is State.RECEIVING

            assert set(send(node.port, *images[18:], called_aet=AE_TITLE)) == {0}
            sent_at_s = monotonic()
            view = node.watch(STUDY, _completed, within_s=QUIET_PERIOD_S, what="the study is complete")

    assert monotonic() - sent_at_s < QUIET_PERIOD_S
    assert "20 of 20 images that orthanc has are here" in completions(view)[0]


def _completed(view: StudyView | None) -> StudyView | None:
    return view if view and completions(view) else None
