"""Series of a tilted gantry, straightened on the site's word."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from builders.analysis import build_context
from builders.ct_series import LESION_CENTRE, LUNG_HU, CtSeries, chest_hu, ct_images, write_images
from builders.fake_engine import ShapeSegmenter, shape_engine
from dicom_node.results.write import write_result_set
from pipeline.choose import choose_series
from pipeline.errors import WrongVolumeError
from pipeline.findings import Analysis
from pipeline.lung_checks import coverage_notes
from pipeline.orient import lps_from_source, lps_mask_from_source, source_from_lps
from pipeline.padding import imaged_part
from pipeline.run import analyse_with
from pipeline.shear import shear_of
from pipeline.study import Float64Array, Grid, StudyFiles
from pipeline.survey import survey_series
from pipeline.volume import read_volume

SERIES = CtSeries(shape=(44, 80, 84), spacing_mm=(5.0, 4.0, 4.0))


def tilted(folder: Path, degrees: float, *, rows: int = SERIES.shape[1]) -> list[Path]:
    """Slices that lean, stacked along the patient: each is drawn where it lies."""
    turn = np.radians(degrees)
    shape = (SERIES.shape[0], rows, SERIES.shape[2])
    leaning = replace(SERIES, shape=shape, orientation=(1.0, 0.0, 0.0, 0.0, np.cos(turn), np.sin(turn)))
    step = np.array([0.0, 0.0, SERIES.spacing_mm[0] / np.cos(turn)])
    return _write(folder, leaning, step)


def _write(folder: Path, leaning: CtSeries, step: Float64Array) -> list[Path]:
    """One series of one slice at each place, put together."""
    flat = replace(leaning, shape=(1, *leaning.shape[1:]))
    middle = (leaning.shape[0] - 1) / 2
    images = []
    for k in range(leaning.shape[0]):
        shift = step * (k - middle)
        (image,) = ct_images(flat, lambda points, shift=shift: chest_hu(points + shift))
        image.ImagePositionPatient = [float(a + b) for a, b in zip(image.ImagePositionPatient, shift, strict=True)]
        image.InstanceNumber = k + 1
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.1.{k + 1}"
        images.append(image)
    return write_images(folder, images)


def analyse_tilted(paths: list[Path]) -> Analysis:
    """The whole run, straightened, with an engine that knows the shapes."""
    acquired_at = datetime(2024, 5, 1, tzinfo=UTC)
    files = StudyFiles(study_instance_uid="1.2.3", acquired_at=acquired_at, paths=tuple(paths), corrects_tilt=True)
    return analyse_with(shape_engine(), files, [], on_progress=lambda *_: None)


def test_a_tilt_is_refused_unless_the_site_says_otherwise(tmp_path: Path) -> None:
    """The default says how far the slices lean."""
    paths = tilted(tmp_path, 15.0)
    with pytest.raises(WrongVolumeError, match=r"gantry tilt \(its slices lean by 15.0 degrees\)"):
        choose_series(paths)


def test_no_gantry_tilts_by_forty_degrees(tmp_path: Path) -> None:
    """What leans so is not straightened."""
    with pytest.raises(WrongVolumeError, match="more than a gantry tilts"):
        choose_series(tilted(tmp_path, 40.0), corrects_tilt=True)


def test_the_note_on_straightening_is_not_made_where_nothing_is_straightened(tmp_path: Path) -> None:
    """The dry run of a refused series."""
    survey = survey_series(tilted(tmp_path, 15.0))
    assert survey.verdict(survey.judged[0]).notes == ()


@pytest.mark.parametrize("degrees", [-20.0, 8.0, 25.0])
def test_the_lesion_of_a_straightened_series_lies_where_it_lies(tmp_path: Path, degrees: float) -> None:
    """On the grid of acquisition, read with the images' own geometry; the findings say what was done."""
    analysis = analyse_tilted(tilted(tmp_path, degrees))
    label = np.argwhere(analysis.lesion_labels == 1)
    centre = analysis.volume.grid.affine_lps_from_kji[:3] @ [*label.mean(axis=0), 1.0]
    assert np.abs(centre - LESION_CENTRE).max() < max(SERIES.spacing_mm)
    sphere_ml = 4 / 3 * np.pi * 1.5**3
    assert analysis.findings.lesions[0].volume_ml == pytest.approx(sphere_ml, rel=0.25)
    assert any(f"gantry tilt of {abs(degrees):.1f} degrees" in note for note in analysis.findings.qualifications)


def test_each_slice_of_a_tilted_grid_lies_at_its_image_s_position(tmp_path: Path) -> None:
    """Results refer to the images as they are, not to a resampled series."""
    volume = read_volume(choose_series(tilted(tmp_path, 15.0), corrects_tilt=True))
    corners = np.array([[k, 0, 0, 1] for k in range(SERIES.shape[0])]) @ volume.grid.affine_lps_from_kji.T
    positions = [header.image_position_mm for header in volume.slice_headers]
    assert np.allclose(corners[:, :3], positions, atol=1e-4)
    assert volume.grid.slice_spacing_mm == pytest.approx(5.0)
    assert volume.grid.voxel_volume_ml == pytest.approx(0.08)


def test_masks_go_there_and_back_unchanged(tmp_path: Path) -> None:
    """Whole voxels are moved, so none is lost."""
    volume = read_volume(choose_series(tilted(tmp_path, 15.0), corrects_tilt=True))
    lps = lps_from_source(volume)
    mask = (np.random.default_rng(1).random(volume.grid.shape) > 0.5).astype(np.uint8)
    assert np.array_equal(source_from_lps(lps_mask_from_source(mask, lps), lps), mask)


def test_straight_grids_are_not_touched() -> None:
    """Whatever way their axes point."""
    affine = np.diag([2.0, -1.0, 1.0, 1.0])[[2, 0, 1, 3]]
    assert shear_of(Grid(shape=(100, 10, 10), affine_lps_from_kji=affine)) is None


def test_nothing_of_the_image_is_lost_beside_the_straight_box(tmp_path: Path) -> None:
    """The box has room for the first and the last slice, and what was not imaged is air."""
    volume = read_volume(choose_series(tilted(tmp_path, 25.0), corrects_tilt=True))
    lps = lps_from_source(volume)
    imaged, straight = (float((one.astype(np.int64) + 1024).sum()) for one in (volume.volume_hu, lps.volume_hu))
    assert straight == pytest.approx(imaged, rel=0.001)
    assert lps.volume_hu.min() >= -1024


@pytest.mark.parametrize("degrees", [0.0, 15.0])
@pytest.mark.parametrize(("rows", "words"), [(80, ""), (28, "the front and the back")])
def test_lungs_cut_by_the_edges_of_a_tilted_series_are_said_to_be(
    tmp_path: Path, degrees: float, rows: int, words: str
) -> None:
    """As those of an upright one, at the same sides; whole ones are not."""
    chest = lps_from_source(read_volume(choose_series(tilted(tmp_path, degrees, rows=rows), corrects_tilt=True)))
    lungs = (abs(chest.volume_hu - LUNG_HU) <= 20) * ShapeSegmenter().segment(chest.volume_hu, chest.spacing_mm)
    notes = coverage_notes(lungs, chest, imaged_part(chest))
    assert [note.partition(": what")[0] for note in notes] == [f"The lungs end outside the images at {words}"] * bool(
        words
    )


def test_what_lies_beside_straightened_slices_was_not_imaged(tmp_path: Path) -> None:
    """The box has room for all slices, so each leaves some of it empty."""
    volume = read_volume(choose_series(tilted(tmp_path, 15.0), corrects_tilt=True))
    shown = lps_mask_from_source(np.ones(volume.grid.shape, np.uint8), lps_from_source(volume)) > 0
    assert np.mean(imaged_part(lps_from_source(volume)) != shown) < 0.02
    assert shown.mean() < 0.9


def test_results_of_a_tilted_series_lie_on_its_images(tmp_path: Path) -> None:
    """Segmentation frames have the positions of the images that they refer to; the report says what was done."""
    paths = tilted(tmp_path / "ct", 15.0)
    write_result_set(analyse_tilted(paths), build_context(), folder=tmp_path)
    images = {image.SOPInstanceUID: image for image in map(dcmread, paths)}
    segmentation = dcmread(tmp_path / "seg-lesions.dcm")
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        position = images[source.ReferencedSOPInstanceUID].ImagePositionPatient
        assert np.allclose(frame.PlanePositionSequence[0].ImagePositionPatient, position, atol=1e-4)
    report = dcmread(tmp_path / "sr.dcm")
    text = " ".join(str(element.value) for element in report.iterall() if element.keyword == "TextValue")
    assert "gantry tilt of 15.0 degrees" in text
