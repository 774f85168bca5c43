"""Phantom studies as DICOM files, read by plain pydicom and judged by dciodvfy."""

import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from builders.phantoms import LABEL, SMALL_SCAN, patient_with, small_study
from pipeline.phantom import (
    Course,
    SeriesLabel,
    StoredGeometry,
    write_coronal,
    write_dicom,
    write_multi_frame_dicom,
    write_scout,
    write_whole_study,
)

GEOMETRIES = list(StoredGeometry)


def _hu_at_lps(folder: Path) -> dict[tuple[float, float, float], int]:
    """HU by LPS position rounded to 0.01 mm, every 7th pixel of every 5th image."""
    found = {}
    for path in sorted(folder.iterdir())[::5]:
        image = pydicom.dcmread(path)
        row_step, column_step = (float(value) for value in image.PixelSpacing)
        across, down = np.array(image.ImageOrientationPatient, dtype=float).reshape(2, 3)
        hu = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        for row, column in np.ndindex(*(count // 7 for count in hu.shape)):
            place = down * 7 * row * row_step + across * 7 * column * column_step
            position = np.round(np.array(image.ImagePositionPatient, dtype=float) + place, 2) + 0.0
            found[tuple(position)] = int(hu[7 * row, 7 * column])
    return found


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_geometry_puts_the_anatomy_at_the_same_place(geometry: StoredGeometry, tmp_path: Path) -> None:
    """Each pixel's LPS position holds the HU that the volume has there."""
    study = small_study(Course.ADVANCED)
    write_dicom(study, tmp_path, label=LABEL, series=SeriesLabel(geometry=geometry))
    found = _hu_at_lps(tmp_path)
    assert len(found) > 200
    positions = np.array(list(found))
    index = np.rint((positions - study.origin_lps_mm)[:, ::-1] / study.spacing_mm).astype(int)
    assert np.array_equal(study.volume_hu[tuple(index.T)], list(found.values()))


@pytest.mark.parametrize(
    ("geometry", "position", "orientation"),
    [
        (StoredGeometry.STANDARD, "HFS", [1, 0, 0, 0, 1, 0]),
        (StoredGeometry.FEET_FIRST, "FFS", [-1, 0, 0, 0, 1, 0]),
        (StoredGeometry.PRONE, "HFP", [-1, 0, 0, 0, -1, 0]),
    ],
)
def test_patient_position_and_orientation_are_stated(
    geometry: StoredGeometry, position: str, orientation: list[int], tmp_path: Path
) -> None:
    """The header says how the patient lay and how the image is turned."""
    study = small_study(Course.ADVANCED)
    paths = write_dicom(study, tmp_path, label=LABEL, series=SeriesLabel(geometry=geometry))
    image = pydicom.dcmread(paths[0])
    assert image.PatientPosition == position
    assert list(image.ImageOrientationPatient) == orientation


@pytest.mark.parametrize(("geometry", "sign"), [(StoredGeometry.STANDARD, -1), (StoredGeometry.REVERSED, 1)])
def test_slices_are_numbered_from_the_end_the_geometry_names(
    geometry: StoredGeometry, sign: int, tmp_path: Path
) -> None:
    """Standard starts at the head, reversed at the feet."""
    study = small_study(Course.ADVANCED)
    paths = write_dicom(study, tmp_path, label=LABEL, series=SeriesLabel(geometry=geometry))
    heights = [float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in paths]
    assert np.all(np.diff(heights) * sign > 0)


def test_uids_follow_from_the_seed_alone(tmp_path: Path) -> None:
    """The same seed writes the same bytes, another seed shares no UID."""
    study = small_study(Course.ADVANCED)
    first = write_dicom(study, tmp_path / "a", label=LABEL)
    again = write_dicom(study, tmp_path / "b", label=LABEL)
    other = write_dicom(study, tmp_path / "c", label=replace(LABEL, uid_seed="other"))
    assert first[0].read_bytes() == again[0].read_bytes()
    one, two = pydicom.dcmread(first[0]), pydicom.dcmread(other[0])
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert one[keyword].value != two[keyword].value


def test_whole_study_has_the_series_a_scanner_sends(tmp_path: Path) -> None:
    """One scout, a lung and a soft series on the same grid, a coronal reformat; one study, one frame of reference."""
    written = write_whole_study(patient_with(Course.EARLY), 8.0, tmp_path, label=LABEL, scan=SMALL_SCAN)
    images = [pydicom.dcmread(path) for path in written.paths]
    slices = len(written.truth.volume_hu)
    assert Counter(int(image.SeriesNumber) for image in images) == {1: 1, 2: slices, 3: slices, 4: 80}
    assert {image.StudyInstanceUID for image in images} == {written.study_instance_uid}
    assert len({image.FrameOfReferenceUID for image in images}) == 1
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert {image.ConvolutionKernel for image in images if image.SeriesNumber == 2} == {"LUNG"}


def test_scout_shows_the_head_at_the_top(tmp_path: Path) -> None:
    """The lungs' dark apices are in the upper half, the bright abdomen below."""
    image = pydicom.dcmread(write_scout(small_study(Course.HEALTHY), tmp_path, label=LABEL))
    assert list(image.ImageType) == ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    assert image.pixel_array[-4:, 30:50].mean() > image.pixel_array[10:14, 20:60].mean()


def test_frames_of_an_enhanced_ct_are_the_images_of_the_series(tmp_path: Path) -> None:
    """Pixels and places, in the order the images are numbered."""
    study = small_study(Course.ADVANCED)
    images = [pydicom.dcmread(path) for path in write_dicom(study, tmp_path / "single", label=LABEL)]
    (path,) = write_multi_frame_dicom(study, tmp_path / "multi", label=LABEL)
    enhanced = pydicom.dcmread(path)
    assert np.array_equal(enhanced.pixel_array, [image.pixel_array for image in images])
    places = [
        groups.PlanePositionSequence[0].ImagePositionPatient for groups in enhanced.PerFrameFunctionalGroupsSequence
    ]
    assert places == [image.ImagePositionPatient for image in images]
    assert enhanced.SeriesInstanceUID == images[0].SeriesInstanceUID
    assert enhanced.SOPInstanceUID not in {image.SOPInstanceUID for image in images}


def test_dciodvfy_finds_nothing_in_an_enhanced_ct(tmp_path: Path) -> None:
    """Axial series of each geometry and a coronal reformat keep the Enhanced CT Image IOD."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    study = small_study(Course.ADVANCED)
    paths = [*write_coronal(study, tmp_path, label=LABEL, write_series=write_multi_frame_dicom)]
    for geometry in GEOMETRIES:
        series = SeriesLabel(geometry=geometry)
        paths += write_multi_frame_dicom(study, tmp_path / geometry, label=LABEL, series=series)
    for path in paths:
        judged = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        assert judged.stderr.split() == ["EnhancedCTImage"]


def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    """Axial images of each geometry, scout and coronal reformat keep the CT Image IOD."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    study = small_study(Course.ADVANCED)
    paths = [write_scout(study, tmp_path, label=LABEL), write_coronal(study, tmp_path, label=LABEL)[0]]
    for geometry in GEOMETRIES:
        paths.append(write_dicom(study, tmp_path / geometry, label=LABEL, series=SeriesLabel(geometry=geometry))[0])
    for path in paths:
        judged = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        assert "CTImage" in judged.stderr
        assert "Error" not in judged.stderr
