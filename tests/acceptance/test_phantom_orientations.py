"""A phantom stored in every way a scanner stores: its lungs and lesions come back in their places."""

from pathlib import Path

import numpy as np
import pytest

from builders.phantoms import LABEL, small_study
from builders.truth_engine import truth_engine
from pipeline.findings import Analysis
from pipeline.phantom import Course, PhantomStudy, SeriesLabel, StoredGeometry, write_dicom
from pipeline.run import analyse_with
from pipeline.study import Float64Array, Grid, StudyFiles

GEOMETRIES = [geometry for geometry in StoredGeometry if geometry is not StoredGeometry.CORONAL]


def analyse_phantom(folder: Path, truth: PhantomStudy, geometry: StoredGeometry) -> Analysis:
    """The whole run, with the truth for networks."""
    paths = write_dicom(truth, folder, label=LABEL, series=SeriesLabel(geometry=geometry))
    files = StudyFiles(study_instance_uid=LABEL.study_uid, acquired_at=LABEL.study_date_time, paths=paths)
    return analyse_with(truth_engine(truth), files, [], on_progress=lambda *_: None)


def truth_grid(truth: PhantomStudy) -> Grid:
    """Of the phantom's own arrays."""
    affine = np.diag([*truth.spacing_mm, 1.0])
    affine[:3, :3] = affine[:3, :3][::-1]
    affine[:3, 3] = truth.origin_lps_mm
    return Grid(shape=truth.volume_hu.shape, affine_lps_from_kji=affine)


def centre_of(mask: np.ndarray, grid: Grid) -> Float64Array:
    """LPS in mm of the centre of mass."""
    return grid.affine_lps_from_kji[:3] @ [*np.argwhere(mask).mean(axis=0), 1.0]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_lesion_and_both_lungs_lie_within_a_voxel_of_the_truth(tmp_path: Path, geometry: StoredGeometry) -> None:
    """Read with the geometry of the images alone."""
    truth = small_study(Course.ADVANCED)
    analysis = analyse_phantom(tmp_path, truth, geometry)
    grid, expected = analysis.volume.grid, truth_grid(truth)
    for side in (1, 2):
        away = centre_of(analysis.lung_mask == side, grid) - centre_of(truth.lung_mask == side, expected)
        assert np.abs(away).max() < 0.1
    away = centre_of(analysis.lesion_labels > 0, grid) - centre_of(truth.lesion_labels > 0, expected)
    assert np.abs(away).max() < max(truth.spacing_mm)


def test_the_findings_do_not_depend_on_how_the_scanner_stored_the_slices(tmp_path: Path) -> None:
    """Volumes, sides, changes and tracking UIDs are properties of the patient."""
    truth = small_study(Course.ADVANCED)
    seen = set()
    for geometry in GEOMETRIES:
        lesions = analyse_phantom(tmp_path / geometry, truth, geometry).findings.lesions
        seen.add(tuple((lesion.tracking_uid, lesion.side, round(lesion.volume_ml, 6)) for lesion in lesions))
    assert len(seen) == 1
    assert seen.pop()
