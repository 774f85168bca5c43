"""An asymmetric chest through every way of storing it: left stays left, the lesion stays where it is."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from scipy.spatial.transform import Rotation

from builders.analysis import build_context
from builders.ct_series import (
    LEFT_LUNG_CENTRE,
    LESION_CENTRE,
    RIGHT_LUNG_CENTRE,
    CtSeries,
    ct_images,
    write_images,
)
from builders.fake_engine import shape_engine
from dicom_node.results.write import write_result_set
from pipeline.findings import Analysis, Side
from pipeline.run import analyse_with
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, Float64Array, Grid, StudyFiles

TURN = np.radians(8.0)
ORIENTATIONS = {
    "head first supine": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "feet first supine": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "head first prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "feet first prone": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "rows along the back": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0),
    "turned in the plane": (np.cos(TURN), np.sin(TURN), 0.0, -np.sin(TURN), np.cos(TURN), 0.0),
    "leaning slices": (1.0, 0.0, 0.0, 0.0, np.cos(TURN), np.sin(TURN)),
}
SERIES = CtSeries(shape=(44, 76, 80), spacing_mm=(5.0, 4.5, 4.0))


def analyse_files(paths: list[Path]) -> Analysis:
    """The whole run with an engine that knows the shapes."""
    files = StudyFiles(study_instance_uid="1.2.3", acquired_at=datetime(2024, 5, 1, tzinfo=UTC), paths=tuple(paths))
    return analyse_with(shape_engine(), files, [], on_progress=lambda *_: None)


def value_at(mask: np.ndarray, grid: Grid, point: Float64Array) -> int:
    """Of the voxel nearest to a place in the patient."""
    index = np.rint(np.linalg.inv(grid.affine_lps_from_kji) @ [*point, 1.0])[:3].astype(int)
    return int(mask[tuple(index)])


def centre_of(mask: np.ndarray, grid: Grid) -> Float64Array:
    """LPS in mm of the centre of mass."""
    return grid.affine_lps_from_kji[:3] @ [*np.argwhere(mask).mean(axis=0), 1.0]


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_left_is_left_and_the_lesion_lies_where_it_lies(tmp_path: Path, name: str) -> None:
    """Masks on the grid of acquisition, read with nothing but the images' own geometry."""
    images = ct_images(replace(SERIES, orientation=ORIENTATIONS[name]))
    analysis = analyse_files(write_images(tmp_path, images))
    grid = analysis.volume.grid
    assert value_at(analysis.lung_mask, grid, RIGHT_LUNG_CENTRE) == RIGHT_LUNG
    assert value_at(analysis.lung_mask, grid, LEFT_LUNG_CENTRE) == LEFT_LUNG
    assert analysis.findings.lesions[0].side is Side.LEFT
    away = centre_of(analysis.lesion_labels == 1, grid) - LESION_CENTRE
    assert np.abs(away).max() < max(SERIES.spacing_mm)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_box_and_key_slice_meet_the_lesion(tmp_path: Path, name: str) -> None:
    """The box is in LPS around the lesion; the key slice is the source image that shows most of it."""
    images = ct_images(replace(SERIES, orientation=ORIENTATIONS[name]))
    analysis = analyse_files(write_images(tmp_path, images))
    lesion = analysis.findings.lesions[0]
    low, high = np.array(lesion.box_lps_mm[:3]), np.array(lesion.box_lps_mm[3:])
    assert np.all(low < LESION_CENTRE)
    assert np.all(high > LESION_CENTRE)
    areas = np.count_nonzero(analysis.lesion_labels == 1, axis=(1, 2))
    assert areas[lesion.key_slice] == areas.max()


AXES = [np.eye(3)[axis] * sign for axis in range(3) for sign in (1.0, -1.0)]
PLANES = [(row, column) for row in AXES for column in AXES if not np.any(row * column)]
"""All 24 ways in which rows and columns can lie along the axes of the patient."""

SMALL = CtSeries(shape=(48, 48, 48), spacing_mm=(7.0, 7.0, 7.0))


def turned(
    series: CtSeries, row: Float64Array, column: Float64Array, *, is_reversed: bool = False
) -> list[FileDataset]:
    """The chest in slices of any direction, numbered along the normal or against it."""
    images = ct_images(replace(series, orientation=tuple(map(float, (*row, *column)))))
    for image in images if is_reversed else ():
        image.InstanceNumber = len(images) + 1 - image.InstanceNumber
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{series.uid}.{image.InstanceNumber}"
    return images


def away_mm(analysis: Analysis) -> float:
    """Largest distance of the lesion's centroid from its place along an axis of the patient."""
    (lesion,) = analysis.findings.lesions
    centre = centre_of(analysis.lesion_labels == lesion.number, analysis.volume.grid)
    return float(np.abs(centre - LESION_CENTRE).max())


@pytest.mark.parametrize("is_reversed", [False, True])
def test_all_axis_permutations_and_flips_leave_the_lesion_where_it_is(tmp_path: Path, is_reversed: bool) -> None:
    """24 ways to lay rows and columns, slices numbered up or down: 48, each within one voxel."""
    assert len(PLANES) == 24
    for number, (row, column) in enumerate(PLANES):
        paths = write_images(tmp_path / str(number), turned(SMALL, row, column, is_reversed=is_reversed))
        analysis = analyse_files(paths)
        assert away_mm(analysis) < max(SMALL.spacing_mm)
        assert value_at(analysis.lung_mask, analysis.volume.grid, RIGHT_LUNG_CENTRE) == RIGHT_LUNG
        assert value_at(analysis.lung_mask, analysis.volume.grid, LEFT_LUNG_CENTRE) == LEFT_LUNG


def test_a_hundred_random_obliques_leave_the_lesion_where_it_is(tmp_path: Path) -> None:
    """Slices of any direction whatever, each within one voxel."""
    for number, rotation in enumerate(Rotation.random(100, random_state=5).as_matrix()):
        paths = write_images(tmp_path / str(number), turned(SMALL, rotation[0], rotation[1]))
        assert away_mm(analyse_files(paths)) < max(SMALL.spacing_mm), number


@pytest.mark.parametrize("axis", [0, 1])
def test_a_series_acquired_in_sagittal_or_coronal_slices_is_read_and_said_to_be(tmp_path: Path, axis: int) -> None:
    """Where it is the only one; the findings are qualified."""
    across = np.eye(3)[1 - axis]
    analysis = analyse_files(write_images(tmp_path, turned(SMALL, across, np.array([0.0, 0.0, -1.0]))))
    plane = ("sagittal", "coronal")[axis]
    assert plane in analysis.findings.series_reason
    assert any(f"acquired in {plane} slices" in note for note in analysis.findings.qualifications)


OBLIQUE = Rotation.from_euler("xyz", [40.0, 10.0, 30.0], degrees=True).as_matrix()[:2].ravel()
DIRECTIONS = {"coronal": (1, 0, 0, 0, 0, -1), "sagittal": (0, 1, 0, 0, 0, -1), "oblique": OBLIQUE}


def segment_centre(segmentation: FileDataset) -> Float64Array:
    """Centroid of all frames in LPS, by nothing but what the file itself says."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    points = []
    for frame, groups in zip(segmentation.pixel_array, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        rows, columns = np.nonzero(frame)
        corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        points.append(corner + np.outer(columns * column_mm, cosines[:3]) + np.outer(rows * row_mm, cosines[3:]))
    return np.asarray(np.concatenate(points).mean(axis=0), dtype=np.float64)


@pytest.mark.parametrize("plane", DIRECTIONS)
def test_segmentations_of_slices_in_any_plane_are_read_back_in_their_place(tmp_path: Path, plane: str) -> None:
    """A stranger finds the lesion where it lies, and the report names the plane."""
    series = replace(SMALL, orientation=tuple(map(float, DIRECTIONS[plane])))
    analysis = analyse_files(write_images(tmp_path / "ct", ct_images(series)))
    write_result_set(analysis, build_context(), folder=tmp_path)
    away = segment_centre(dcmread(tmp_path / "seg-lesions.dcm")) - LESION_CENTRE
    assert np.abs(away).max() < max(SMALL.spacing_mm)
    texts = [str(one.value) for one in dcmread(tmp_path / "sr.dcm").iterall() if one.keyword == "TextValue"]
    assert any(f"acquired in {plane} slices" in text for text in texts)


def test_the_order_of_files_changes_nothing(tmp_path: Path) -> None:
    """Forwards, backwards and shuffled: findings and masks are identical."""
    paths = write_images(tmp_path, ct_images(SERIES))
    first, backwards, shuffled = (analyse_files(order) for order in (paths, paths[::-1], [*paths[1::2], *paths[::2]]))
    assert first.findings == backwards.findings == shuffled.findings
    assert np.array_equal(first.lesion_labels, backwards.lesion_labels)
    assert np.array_equal(first.lesion_labels, shuffled.lesion_labels)


def test_reversed_instance_numbers_change_no_place(tmp_path: Path) -> None:
    """Numbering from the feet upwards or downwards is a habit of the scanner, not a property of the patient."""
    images = ct_images(SERIES)
    for image in images:
        image.InstanceNumber = len(images) + 1 - image.InstanceNumber
    reversed_numbers = analyse_files(write_images(tmp_path / "reversed", images))
    plain = analyse_files(write_images(tmp_path / "plain", ct_images(SERIES)))
    assert reversed_numbers.findings == plain.findings
