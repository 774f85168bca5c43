"""The choice of the series, and the reason for and against each."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import SecondaryCaptureImageStorage

from builders.ct_series import CORONAL, CtSeries, ct_images, write_images
from pipeline.choose import choose_series
from pipeline.errors import NoSuitableSeriesError, UnreadableStudyError, WrongVolumeError
from pipeline.kernels import KernelUse, kernel_use
from pipeline.stack import build_stack, shares_plane
from pipeline.study import SeriesChoice
from pipeline.survey import survey_series

LUNG = CtSeries(uid="1.2.3.1", number=2, kernel="LUNG")
SOFT = CtSeries(uid="1.2.3.2", number=3, kernel="STANDARD")


def build_study(folder: Path, *series: list[FileDataset]) -> list[Path]:
    """Files of several series in one folder."""
    written = [write_images(folder, images, prefix=f"series{number}") for number, images in enumerate(series)]
    return [path for paths in written for path in paths]


def reason_against(choice: SeriesChoice, uid: str) -> str:
    """Why a series was passed over."""
    return next(series.reason for series in choice.passed_over if series.series_instance_uid == uid)


def test_lung_kernel_is_preferred_and_the_reason_names_both_kernels(tmp_path: Path) -> None:
    """Of two reconstructions of one scan, the one made for lung tissue is read."""
    choice = choose_series(build_study(tmp_path, ct_images(SOFT), ct_images(LUNG)))
    assert choice.series_instance_uid == LUNG.uid
    assert "lung kernel LUNG" in choice.reason
    assert "STANDARD" in reason_against(choice, SOFT.uid)


def test_the_order_of_files_does_not_change_the_choice(tmp_path: Path) -> None:
    """The same files backwards give the same choice, slices included."""
    paths = build_study(tmp_path, ct_images(SOFT), ct_images(LUNG))
    assert choose_series(paths) == choose_series(reversed(paths))


def test_slices_are_sorted_along_the_normal_however_they_are_numbered(tmp_path: Path) -> None:
    """Instance numbers that run against the normal do not turn the volume over."""
    images = ct_images(LUNG)
    for image in images:
        image.InstanceNumber = 100 - image.InstanceNumber
    heights = [header.image_position_mm[2] for header in choose_series(build_study(tmp_path, images)).slice_headers]
    assert heights == sorted(heights)


@pytest.mark.parametrize("orientation", [CORONAL, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)])
def test_scouts_inside_the_series_are_left_out_and_mentioned(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    """A localiser with the series' own UID does not spoil the volume."""
    scout = ct_images(LUNG)[0]
    scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1.999"
    scout.ImageOrientationPatient, scout.ImageType = list(orientation), ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    choice = choose_series(build_study(tmp_path, [*ct_images(LUNG), scout]))
    assert len(choice.slice_headers) == LUNG.shape[0]
    assert any("scout" in note for note in choice.qualifications)


def test_a_scout_of_its_own_is_passed_over_for_what_it_is(tmp_path: Path) -> None:
    """A scout with position and orientation is not said to lack them."""
    (scout,) = ct_images(CtSeries(uid="1.2.3.9", number=9, orientation=CORONAL, shape=(1, 64, 64)))
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    choice = choose_series(build_study(tmp_path, [*ct_images(LUNG), scout]))
    (passed_over,) = choice.passed_over
    assert "scout" in passed_over.reason
    assert "do not say where" not in passed_over.reason


def test_an_unnamed_scout_across_the_series_is_left_out(tmp_path: Path) -> None:
    """One coronal image among axial ones is a scout, whatever its Image Type says."""
    scout = ct_images(CtSeries(orientation=CORONAL))[20]
    scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1.999"
    choice = choose_series(build_study(tmp_path, [*ct_images(LUNG), scout]))
    assert len(choice.slice_headers) == LUNG.shape[0]


def test_reformats_are_passed_over_with_their_reason(tmp_path: Path) -> None:
    """Neither a coronal series nor an axial one that is called a reformat is read."""
    coronal = ct_images(CtSeries(uid="1.2.3.7", orientation=CORONAL))
    thick = ct_images(CtSeries(uid="1.2.3.8"))
    for image in thick:
        image.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]
    choice = choose_series(build_study(tmp_path, coronal, thick, ct_images(SOFT)))
    assert choice.series_instance_uid == SOFT.uid
    assert "coronal" in reason_against(choice, "1.2.3.7")
    assert "reformat" in reason_against(choice, "1.2.3.8")


def test_original_images_are_preferred_to_derived_ones(tmp_path: Path) -> None:
    """A derived series is read only where there is no original one."""
    derived = ct_images(LUNG)
    for image in derived:
        image.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    choice = choose_series(build_study(tmp_path, derived, ct_images(SOFT)))
    assert choice.series_instance_uid == SOFT.uid
    assert choose_series(build_study(tmp_path / "alone", derived)).series_instance_uid == LUNG.uid


def test_captures_and_reports_are_passed_over(tmp_path: Path) -> None:
    """Dose reports and secondary captures that a router sends along are named and not read."""
    capture, report = ct_images(CtSeries(uid="1.2.3.8"))[0], ct_images(CtSeries(uid="1.2.3.9"))[0]
    capture.SOPClassUID = SecondaryCaptureImageStorage
    report.Modality = "SR"
    choice = choose_series(build_study(tmp_path, [capture], [report], ct_images(LUNG)))
    assert "secondary capture" in reason_against(choice, "1.2.3.8")
    assert "SR, not CT" in reason_against(choice, "1.2.3.9")


def test_a_complete_series_wins_over_one_with_a_gap(tmp_path: Path) -> None:
    """A better kernel does not make up for a missing slice."""
    gapped = ct_images(LUNG)
    del gapped[17]
    choice = choose_series(build_study(tmp_path, gapped, ct_images(SOFT)))
    assert choice.series_instance_uid == SOFT.uid
    assert "1 slice is missing" in reason_against(choice, LUNG.uid)


@pytest.mark.parametrize(("spacing_mm", "expected"), [(12.0, "12.0 mm"), (10.5, "10.5 mm")])
def test_slices_too_thick_are_refused(tmp_path: Path, spacing_mm: float, expected: str) -> None:
    """Beyond ten millimetres the pipeline has nothing to say."""
    with pytest.raises(WrongVolumeError, match=expected):
        choose_series(build_study(tmp_path, ct_images(CtSeries(spacing_mm=(spacing_mm, 5.0, 5.0)))))


def test_thick_slices_are_read_with_a_qualification(tmp_path: Path) -> None:
    """Between five and ten millimetres the findings say that small lesions can be missed."""
    choice = choose_series(build_study(tmp_path, ct_images(CtSeries(spacing_mm=(8.0, 5.0, 5.0)))))
    assert any("Thick slices (8.0 mm)" in note for note in choice.qualifications)


def oblique(spacing_mm: float) -> list[FileDataset]:
    """Slices turned a little, whose distance is made of rounded positions."""
    turn = np.radians(7.0)
    orientation = (1.0, 0.0, 0.0, 0.0, np.cos(turn), np.sin(turn))
    images = ct_images(CtSeries(orientation=orientation, shape=(20, 32, 32), spacing_mm=(spacing_mm, 8.0, 8.0)))
    normal = np.array([0.0, -np.sin(turn), np.cos(turn)])
    for k, image in enumerate(images):
        image.ImagePositionPatient = [round(float(part), 6) for part in normal * k * (spacing_mm + 1e-6)]
    return images


@pytest.mark.parametrize("spacing_mm", [5.0, 10.0])
def test_a_distance_at_the_limit_is_not_beyond_it(tmp_path: Path, spacing_mm: float) -> None:
    """What is said to be 5.0 mm is no thick slice, and what is 10.0 mm apart is read."""
    choice = choose_series(write_images(tmp_path, oblique(spacing_mm)))
    assert any("Thick slices" in note for note in choice.qualifications) == (spacing_mm > 5.0)


def test_slices_of_5_mm_are_near_enough_whichever_way_they_are_turned(tmp_path: Path) -> None:
    """Beside thinner ones, the kernel decides."""
    lung = oblique(5.0)
    soft = ct_images(CtSeries(uid="1.2.3.2", number=2, shape=(34, 32, 32), spacing_mm=(3.0, 8.0, 8.0), kernel="SOFT"))
    assert choose_series(build_study(tmp_path, lung, soft)).series_instance_uid == "1.2.3.1"


def test_positions_rounded_by_the_scanner_are_even(tmp_path: Path) -> None:
    """Steps of 0.6 and 0.7 mm that mean 0.625 mm are no missing slices."""
    images = ct_images(CtSeries(spacing_mm=(0.625, 5.0, 5.0)))
    for image in images:
        image.ImagePositionPatient = [*image.ImagePositionPatient[:2], round(float(image.ImagePositionPatient[2]), 1)]
    assert len(choose_series(build_study(tmp_path, images)).slice_headers) == 40


def test_of_two_acquisitions_in_one_series_the_larger_is_read(tmp_path: Path) -> None:
    """Two passes over the same places are never mixed into one volume."""
    second = ct_images(CtSeries(shape=(20, 64, 64)))
    for image in second:
        image.AcquisitionNumber = 2
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.1.2.{image.InstanceNumber}"
        image.ImagePositionPatient = [*image.ImagePositionPatient[:2], image.ImagePositionPatient[2] + 2.5]
    choice = choose_series(build_study(tmp_path, [*second, *ct_images(LUNG)]))
    assert len(choice.slice_headers) == 40
    assert any("several acquisitions" in note for note in choice.qualifications)


def test_values_that_are_not_hounsfield_units_are_refused(tmp_path: Path) -> None:
    """Without rescale slope and intercept nothing is known about density."""
    images = ct_images(LUNG)
    for image in images:
        del image.RescaleSlope
    with pytest.raises(NoSuitableSeriesError, match="Hounsfield"):
        choose_series(build_study(tmp_path, images))


def test_a_damaged_file_is_named_when_it_leaves_a_gap(tmp_path: Path) -> None:
    """What is missing is not the sender's slice but a file that broke on the way."""
    paths = build_study(tmp_path, ct_images(LUNG))
    paths[9].write_bytes(paths[9].read_bytes()[:900])
    with pytest.raises(UnreadableStudyError, match=r"series0-0009\.dcm"):
        choose_series(paths)


def test_a_damaged_file_beside_the_chosen_series_is_a_qualification(tmp_path: Path) -> None:
    """The study goes on without it, and says so."""
    paths = build_study(tmp_path, ct_images(LUNG), ct_images(SOFT))
    paths[50].write_bytes(paths[50].read_bytes()[:900])
    choice = choose_series(paths)
    assert choice.series_instance_uid == LUNG.uid
    assert any("series1-0010.dcm" in note for note in choice.qualifications)


def test_a_damaged_file_hides_no_reason_against_what_can_be_read(tmp_path: Path) -> None:
    """Sent again the study would be refused all the same."""
    tilted = ct_images(LUNG)
    for image in tilted:
        image.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 0.978148, 0.207912]
    paths = build_study(tmp_path, tilted, ct_images(SOFT)[:1])
    paths[-1].write_bytes(paths[-1].read_bytes()[:900])
    with pytest.raises(
        UnreadableStudyError,
        match=r"1 of 41 files cannot be read: series1-0000\.dcm .* Send the study again\. Of what can be read: Series 2: .* gantry tilt",
    ):
        choose_series(paths)


@pytest.mark.parametrize("content", [b"", b"not DICOM at all", b"\0" * 128 + b"DICM" + b"\xff" * 300])
def test_files_without_dicom_are_unreadable(tmp_path: Path, content: bytes) -> None:
    """A study of rubbish ends with a reason, not with a stack trace."""
    path = tmp_path / "rubbish"
    path.write_bytes(content)
    with pytest.raises(UnreadableStudyError, match="rubbish"):
        choose_series([path])


def test_reasons_hold_no_values_of_the_patient(tmp_path: Path) -> None:
    """A name in the header, even in broken elements, never reaches a message."""
    images = ct_images(CtSeries(shape=(3, 64, 64), description="SECRET"))
    for image in images:
        image.PatientName, image.PatientID = "SECRET^NAME", "SECRET"
    with pytest.raises(WrongVolumeError) as refusal:
        choose_series(build_study(tmp_path, images))
    assert "SECRET" not in refusal.value.reason


@pytest.mark.parametrize(
    ("kernel", "use"),
    [
        ("LUNG", KernelUse.LUNG),
        ("L", KernelUse.LUNG),
        ("B70f", KernelUse.LUNG),
        ("Bl57d", KernelUse.LUNG),
        ("I70f", KernelUse.LUNG),
        ("FC51", KernelUse.LUNG),
        ("BONEPLUS", KernelUse.SHARP),
        ("FC30", KernelUse.SHARP),
        ("B40f", KernelUse.OTHER),
        ("STANDARD", KernelUse.OTHER),
        ("FC07", KernelUse.OTHER),
        ("H60s", KernelUse.OTHER),
        ("B", KernelUse.OTHER),
        ("", KernelUse.OTHER),
    ],
)
def test_kernels_of_all_makers_are_told_apart(kernel: str, use: KernelUse) -> None:
    """The words of GE, Siemens, Philips and Toshiba, as files hold them."""
    assert kernel_use(kernel) is use


@pytest.mark.parametrize(
    "orientation",
    [(0.5, 0.0, 0.0, 0.0, 0.5, 0.0), (1.0, 0.0, 0.0, 0.5, 0.866, 0.0), (0.0,) * 6, (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)],
)
def test_directions_that_are_no_right_angle_of_unit_vectors_are_refused(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    """The size of voxels and the volume of a lesion would be wrong without a word."""
    images = ct_images(CtSeries(shape=(12, 16, 16)))
    for image in images:
        image.ImageOrientationPatient = list(orientation)
    with pytest.raises(WrongVolumeError, match="the orientation of its images makes no sense"):
        choose_series(build_study(tmp_path, images))


@pytest.mark.parametrize("digits", [2, 3, 4, 6])
def test_directions_that_a_scanner_rounds_are_read(tmp_path: Path, digits: int) -> None:
    """A hundred ways to lie, to two digits and more."""
    (image,) = survey_series(write_images(tmp_path, ct_images(CtSeries(shape=(1, 8, 8))))).judged
    assert image.stack is not None
    for seed in range(100):
        row, column, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
        rounded = tuple(round(float(cosine), digits) for cosine in (*row, *column))
        assert shares_plane(build_stack([replace(image.stack.slices[0], image_orientation=rounded)]))
