"""What was drawn outside of the CT: the study is refused, since its lesions would be taught as healthy lung."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from builders.ct_series import LESION_CENTRE, RIGHT_LUNG_CENTRE
from builders.site_data import ct_of, lesion_at, lesion_square, write_dicom
from builders.site_segments import LIVER, drawn_on, highdicom_seg, square_mm, structure_set
from builders.site_store import imported, only_study, rows_of, values_of

HALF_MM = 20.0


@pytest.fixture
def images() -> list[FileDataset]:
    """A series from inferior to superior, some of whose slices show the lesion."""
    return sorted(ct_of("A"), key=lambda image: float(image.ImagePositionPatient[2]))


def shown(images: list[FileDataset]) -> list[int]:
    """Slices that show the lesion."""
    return [number for number, image in enumerate(images) if lesion_square(image)]


def write_contours(path: Path, images: list[FileDataset]) -> None:
    """Squares around the lesion."""
    contours = [square_mm(images[number], LESION_CENTRE, HALF_MM) for number in shown(images)]
    structure_set(path, images, {"GGO": contours})


def write_segment(path: Path, images: list[FileDataset]) -> None:
    """The lesion as a segmentation."""
    highdicom_seg(path, images, lesion_at)


WRITERS = pytest.mark.parametrize(
    ("name", "write"), [("dicom-rtstruct", write_contours), ("dicom-seg", write_segment)], ids=["contours", "segment"]
)


@WRITERS
@pytest.mark.parametrize("part", ["half", "none"])
def test_a_lesion_that_is_not_wholly_on_the_ct_refuses_the_study(
    tmp_path: Path, images: list[FileDataset], name: str, write: Callable[[Path, list[FileDataset]], None], part: str
) -> None:
    """An export without the lowest slices: what is left of the lesion, if anything, is not the lesion."""
    on = shown(images)
    write(tmp_path / "in" / "drawn.dcm", images)
    write_dicom(tmp_path / "in", images[on[len(on) // 2] if part == "half" else on[-1] + 1 :])
    report = imported(name, tmp_path / "in", tmp_path / "store")
    assert not report.outcomes
    assert "of its CT" in report.refused[0].reason
    assert "Export the whole series." in report.refused[0].reason


@WRITERS
def test_a_lesion_that_is_wholly_on_the_ct_comes_in(
    tmp_path: Path, images: list[FileDataset], name: str, write: Callable[[Path, list[FileDataset]], None]
) -> None:
    """Slices that are missing elsewhere do not matter."""
    write(tmp_path / "in" / "drawn.dcm", images)
    write_dicom(tmp_path / "in", images[shown(images)[0] :])
    assert not imported(name, tmp_path / "in", tmp_path / "store").refused
    assert rows_of(tmp_path / "store")[0]["label"] == "lesion"
    planes = (values_of(only_study(tmp_path / "store") / "lesion.nii.gz") > 0).any(axis=(1, 2))
    assert np.flatnonzero(planes).tolist() == [number - shown(images)[0] for number in shown(images)]


def test_one_contour_on_a_missing_slice_is_enough(tmp_path: Path, images: list[FileDataset]) -> None:
    """The lowest."""
    write_contours(tmp_path / "in" / "drawn.dcm", images)
    write_dicom(tmp_path / "in", images[shown(images)[0] + 1 :])
    (refusal,) = imported("dicom-rtstruct", tmp_path / "in", tmp_path / "store").refused
    assert "region `GGO` lies outside of its CT" in refusal.reason


def test_a_contour_beside_the_image_refuses_the_study(tmp_path: Path, images: list[FileDataset]) -> None:
    """It was drawn on a series with a larger field of view."""
    write_dicom(tmp_path / "in", images)
    beside = square_mm(images[5], LESION_CENTRE + np.array([2000.0, 0, 0]), HALF_MM)
    structure_set(tmp_path / "in" / "rs.dcm", images, {"GGO": [beside]})
    assert imported("dicom-rtstruct", tmp_path / "in", tmp_path / "store").refused


def test_what_reaches_a_voxel_beyond_the_ct_is_cut_off(tmp_path: Path, images: list[FileDataset]) -> None:
    """Segmentations that were resampled reach beyond their CT by a part of a voxel."""
    write_segment(tmp_path / "in" / "seg.dcm", images)
    write_dicom(tmp_path / "in", images[shown(images)[0] + 1 :])
    imported("dicom-seg", tmp_path / "in", tmp_path / "store")
    voxels = (values_of(only_study(tmp_path / "store") / "lesion.nii.gz") > 0).sum()
    assert voxels == drawn_on(images[shown(images)[0] + 1 :], lesion_at).sum()


def test_what_means_nothing_here_may_lie_anywhere(tmp_path: Path, images: list[FileDataset]) -> None:
    """The liver lies below the lungs, the heart beside them."""
    missing, on = 2, shown(images)[0]
    write_dicom(tmp_path / "seg", images[missing:])
    write_segment(tmp_path / "seg" / "lesion.dcm", images)
    below = float(images[missing].ImagePositionPatient[2])
    highdicom_seg(
        tmp_path / "seg" / "liver.dcm", images, lambda points: points[..., 2] < below, code=LIVER, label="Liver"
    )
    assert not imported("dicom-seg", tmp_path / "seg", tmp_path / "store").refused
    write_dicom(tmp_path / "rt", images[missing:])
    regions = {
        "GGO": [square_mm(images[on], LESION_CENTRE, HALF_MM)],
        "Heart": [square_mm(images[0], RIGHT_LUNG_CENTRE, HALF_MM)],
    }
    structure_set(tmp_path / "rt" / "rs.dcm", images, regions)
    assert not imported("dicom-rtstruct", tmp_path / "rt", tmp_path / "store").refused
