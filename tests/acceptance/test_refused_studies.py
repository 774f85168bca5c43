"""Studies with a catch, sent to a running node: each ends with a plain reason or a qualification, the node goes on."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from builders.ct_series import BODY_HU, CtSeries, ct_images, write_images
from builders.node import NodeProcess, node_peer, run_dicom_node
from builders.phantoms import LABEL
from builders.shared_data import shared_data
from dicom_node.demo.send import send_files
from dicom_node.peers import echo
from pipeline.phantom import Course, Scan, build_patient, write_whole_study
from pipeline.study import Float64Array
from storage.lifecycle import State
from storage.records import StudyView

pytestmark = pytest.mark.slow

ENDED_WITHIN_S = 120
ENDS = {State.SKIPPED, State.PIPELINE_FAILED, State.PROCESSED, State.DELIVERED}
REAL = {
    "gantrytilting/001": "gantry tilt",
    "notavolume/001": "not a volume",
    "slicecount/001": "no CT images, only objects of modality 2 MR",
    "sliceincrement/001": "slice is missing",
    "sliceincrement/002": "gantry tilt",
    "sliceorientation/001": "no CT images, only objects of modality [0-9]+ MR",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for all of them: none may harm it for the next."""
    with NodeProcess(folder=tmp_path_factory.mktemp("node"), quiet_period_s=0.5) as running:
        yield running


def end_of(node: NodeProcess, paths: Sequence[Path]) -> StudyView:
    """Send a study, wait for its end; the node still answers then."""
    uid = str(dcmread(paths[0], stop_before_pixels=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    send_files(paths, node_peer(node), own_aet="SCANNER", on_sent=lambda _: None)

    def ended(view: StudyView | None) -> StudyView | None:
        return view if view and view.state in ENDS else None

    view = node.watch(uid, ended, within_s=ENDED_WITHIN_S, what="the study ends")
    echo(node_peer(node), own_aet="SCANNER")
    return view


def soft_tissue_hu(points: Float64Array) -> NDArray[np.int16]:
    """A body without lungs, 300 mm wide, in air."""
    inside = np.hypot(points[..., 0], points[..., 1] * 1.4) < 150.0
    return np.where(inside, BODY_HU, -1000).astype(np.int16)


@pytest.mark.parametrize("name", REAL)
def test_real_sets_are_skipped_with_their_reason(node: NodeProcess, name: str) -> None:
    """Tilt, gaps, mixed orientation, too few slices, no volume, MR."""
    folder = shared_data("refuse") / "dicom2nifti-failing" / name
    view = end_of(node, sorted(path for path in folder.rglob("*") if path.is_file()))
    assert view.state is State.SKIPPED
    assert re.search(REAL[name], view.reason)


def test_a_body_without_lungs_is_skipped_as_no_chest(node: NodeProcess, tmp_path: Path) -> None:
    """The reason names what was looked for."""
    paths = write_images(tmp_path, ct_images(CtSeries(study_uid="1.2.31", uid="1.2.31.1"), soft_tissue_hu))
    view = end_of(node, paths)
    assert view.state is State.SKIPPED
    assert "lung" in view.reason.lower()


def test_a_single_slice_is_skipped(node: NodeProcess, tmp_path: Path) -> None:
    """One image is no volume."""
    images = ct_images(CtSeries(study_uid="1.2.32", uid="1.2.32.1"))[:1]
    view = end_of(node, write_images(tmp_path, images))
    assert view.state is State.SKIPPED
    assert "only 1 image" in view.reason


def test_truncated_pixel_data_fails_with_the_image_named(node: NodeProcess, tmp_path: Path) -> None:
    """The sender is asked to send it again."""
    images = ct_images(CtSeries(study_uid="1.2.33", uid="1.2.33.1"))
    images[20].PixelData = images[20].PixelData[:-1000]
    view = end_of(node, write_images(tmp_path, images))
    assert view.state in {State.SKIPPED, State.PIPELINE_FAILED}
    assert view.reason


def test_a_study_without_ct_is_skipped(node: NodeProcess) -> None:
    """Other software's segmentations and reports start no analysis."""
    files = [path for path in (shared_data("reference-objects") / "dcmqi").rglob("*.dcm") if path.is_file()]
    reports = [path for path in files if dcmread(path, stop_before_pixels=True).Modality in {"SR", "RWV"}]
    assert reports
    view = end_of(node, reports[:1])
    assert view.state is State.SKIPPED
    assert "CT" in view.reason


def chosen_by(node: NodeProcess, uid: str) -> dict[str, Any]:
    """The dry run, as an administrator's script reads it."""
    done = run_dicom_node("--config", str(node.config_path), "study", "choose", uid, "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def result_file(view: StudyView, name: str) -> Path:
    """One file of the newest result."""
    assert view.result
    return next(file.path for file in view.result.files if file.path.name == name)


def text_of(report: Path) -> str:
    """All text of a structured report, by plain pydicom."""
    return " ".join(str(element.value) for element in dcmread(report).iterall() if element.keyword == "TextValue")


@pytest.mark.parametrize("patient", ["A002304", "A072894"])
def test_studies_of_single_slices_and_reformats_are_skipped_with_each_reason(node: NodeProcess, patient: str) -> None:
    """Axial, coronal and sagittal: one image each; the dry run says of the reformats that they are."""
    by_study: dict[str, list[Path]] = {}
    for path in sorted((shared_data("covid-19-ny-sbu") / patient).rglob("*.dcm")):
        uid = str(dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
        by_study.setdefault(uid, []).append(path)
    assert len(by_study) == 2
    for uid, paths in by_study.items():
        view = end_of(node, paths)
        assert view.state is State.SKIPPED
        assert "only 1 image, at least 10 are needed" in view.reason
        report = chosen_by(node, uid)
        assert report["chosen"] is None
        assert report["refused_because"] == view.reason
        reformats = [series for series in report["series"] if series["plane"] in {"coronal", "sagittal"}]
        assert reformats
        assert all("it is a reformat, not the acquired slices" in series["speaks_against"] for series in reformats)


@pytest.mark.parametrize("name", ["LIDC-IDRI-0001", "LIDC-IDRI-0002", "LIDC-IDRI-0003"])
def test_a_block_of_a_chest_is_analysed_and_the_report_says_what_is_not_covered(node: NodeProcess, name: str) -> None:
    """Partial coverage: both ends of the lungs lie outside the images."""
    view = end_of(node, sorted((shared_data("lidc-small") / "small" / name).rglob("*.dcm")))
    assert view.state is State.PROCESSED
    words = "The lungs end outside the images at the bottom and the top"
    assert any(words in note for note in json.loads(result_file(view, "findings.json").read_text())["qualifications"])
    assert words in text_of(result_file(view, "sr.dcm"))


def test_a_scout_under_the_lung_series_uid_is_set_aside_and_said(node: NodeProcess, tmp_path: Path) -> None:
    """The rest is analysed; the report, `study show` and the dry run name what was left out and why not the others."""
    patient = build_patient(11, course=Course.ADVANCED)
    scan = Scan(matrix=144, fov_mm=400.0, slice_spacing_mm=6.0)
    written = write_whole_study(patient, 8.0, tmp_path, label=LABEL, scan=scan)
    for path in written.paths:
        image = dcmread(path)
        if "LOCALIZER" in image.ImageType:
            image.SeriesInstanceUID = written.lung_series_uid
            image.save_as(path)
    view = end_of(node, written.paths)
    assert view.state is State.PROCESSED
    assert "1 scout image within the series left out." in text_of(result_file(view, "sr.dcm"))
    report = chosen_by(node, view.study_instance_uid)
    assert report["chosen"] == written.lung_series_uid
    (chosen,) = [series for series in report["series"] if series["outcome"] == "chosen"]
    assert chosen["image_count"] == chosen["slice_count"] + 1
    shown = run_dicom_node("--config", str(node.config_path), "study", "show", view.study_instance_uid).stdout
    assert re.search(r"series\n  series \d+: Original axial CT", shown)
    assert "not series" in shown
    assert "reformat" in shown
