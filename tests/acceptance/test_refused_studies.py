"""Studies that a node must not analyse, sent to a running one: each ends with a plain reason, and the node goes on."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from builders.ct_series import BODY_HU, CtSeries, ct_images, write_images
from builders.deadline import until
from builders.node import NodeProcess, node_peer
from builders.shared_data import shared_data
from dicom_node.demo.send import send_files
from dicom_node.peers import echo
from pipeline.study import Float64Array
from storage.lifecycle import State
from storage.records import StudyView

pytestmark = pytest.mark.slow

ENDED_WITHIN_S = 120
ENDS = {State.SKIPPED, State.PIPELINE_FAILED, State.PROCESSED, State.DELIVERED}
REAL = {
    "gantrytilting/001": "gantry tilt",
    "notavolume/001": "not a volume",
    "slicecount/001": "MR, not CT",
    "sliceincrement/001": "slice is missing",
    "sliceincrement/002": "gantry tilt",
    "sliceorientation/001": "MR, not CT",
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

    def ended() -> StudyView | None:
        view = node.study(uid)
        return view if view and view.state in ENDS else None

    view = until(ended, within_s=ENDED_WITHIN_S, what="the study ends")
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
