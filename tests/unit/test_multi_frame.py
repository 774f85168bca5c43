"""Enhanced CT is read as the single images that its frames stand for."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from unittest import mock

import highdicom
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from builders.ct_series import CORONAL, CtSeries, chest_hu, ct_images, write_images
from builders.enhanced_ct import change_frames, enhanced_from, own_frame_type, write_enhanced
from pipeline.choose import choose_series
from pipeline.errors import NoSuitableSeriesError, PipelineError, UnreadableStudyError, WrongVolumeError
from pipeline.study import AIR_HU, SeriesChoice, Volume
from pipeline.volume import read_slice, read_volume

SERIES = CtSeries(shape=(14, 32, 40), spacing_mm=(4.0, 8.0, 7.0))


def read(folder: Path, *objects: FileDataset) -> Volume:
    """The objects written, chosen from and read."""
    return read_volume(choose_series(write_enhanced(folder, *objects)))


def choose(folder: Path, *objects: FileDataset) -> SeriesChoice:
    """The objects written and chosen from."""
    return choose_series(write_enhanced(folder, *objects))


def single_frame_volume(folder: Path, series: CtSeries = SERIES) -> Volume:
    """What the same series gives image by image."""
    return read_volume(choose_series(write_images(folder, ct_images(series))))


def test_frames_give_the_volume_that_single_images_give(tmp_path: Path) -> None:
    """Values, place and qualifications are equal, and slice k knows its frame."""
    single, multi = single_frame_volume(tmp_path / "single"), read(tmp_path, enhanced_from(ct_images(SERIES)))
    assert np.array_equal(multi.volume_hu, single.volume_hu)
    assert np.array_equal(multi.grid.affine_lps_from_kji, single.grid.affine_lps_from_kji)
    assert multi.qualifications == single.qualifications
    assert [header.frame_number for header in multi.slice_headers] == list(range(1, 15))
    assert {header.sop_instance_uid for header in multi.slice_headers} == {"1.2.3.1.9.1"}


def test_a_legacy_converted_enhanced_ct_is_read(tmp_path: Path) -> None:
    """As highdicom converts single images (PS3.3 A.70), not as our own writer does."""
    images = ct_images(SERIES)
    for image in images:
        image.PatientName = image.PatientID = image.PatientBirthDate = image.PatientSex = ""
        image.StudyDate = image.StudyTime = image.AccessionNumber = image.StudyID = image.ReferringPhysicianName = ""
        image.Manufacturer, image.FrameOfReferenceUID, image.PositionReferenceIndicator = "TEST", "1.2.3.7", ""
        image.AcquisitionDate, image.AcquisitionTime, image.KVP = "20240305", "101500", "120"
    legacy = highdicom.legacy.LegacyConvertedEnhancedCTImage(
        images, series_instance_uid="1.2.3.8", series_number=8, sop_instance_uid="1.2.3.8.1", instance_number=1
    )
    volume = read(tmp_path, legacy)
    assert np.array_equal(volume.volume_hu, single_frame_volume(tmp_path / "single").volume_hu)


def test_frames_are_sorted_along_the_normal_however_they_are_numbered(tmp_path: Path) -> None:
    """Scanners write from the head down as well as from the feet up."""
    backwards = read(tmp_path, enhanced_from(ct_images(SERIES)[::-1]))
    assert np.array_equal(backwards.volume_hu, single_frame_volume(tmp_path / "single").volume_hu)
    assert [header.frame_number for header in backwards.slice_headers] == list(range(14, 0, -1))


def test_several_instances_of_a_series_make_one_volume(tmp_path: Path) -> None:
    """Also where their frames interleave."""
    images = ct_images(SERIES)
    volume = read(tmp_path, enhanced_from(images[::2], number=1), enhanced_from(images[1::2], number=2))
    assert np.array_equal(volume.volume_hu, single_frame_volume(tmp_path / "single").volume_hu)
    assert len({header.sop_instance_uid for header in volume.slice_headers}) == 2


def test_every_frame_has_its_own_rescale(tmp_path: Path) -> None:
    """Slope and intercept stand in the groups of the frame."""
    images = ct_images(SERIES)
    stored = np.frombuffer(images[5].PixelData, "<u2")
    images[5].PixelData = (stored * 2 + 100).astype("<u2").tobytes()
    images[5].RescaleSlope, images[5].RescaleIntercept = 0.5, -1074
    volume = read(tmp_path, enhanced_from(images))
    assert np.array_equal(volume.volume_hu, single_frame_volume(tmp_path / "single").volume_hu)


def test_shared_groups_stand_for_frames_that_say_nothing_else(tmp_path: Path) -> None:
    """Rescale may be said once for all frames."""
    enhanced = enhanced_from(ct_images(SERIES))
    rescale = enhanced.PerFrameFunctionalGroupsSequence[0].PixelValueTransformationSequence
    enhanced.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = rescale
    change_frames(enhanced, lambda groups, _: groups.pop("PixelValueTransformationSequence"))
    assert np.array_equal(read(tmp_path, enhanced).volume_hu, single_frame_volume(tmp_path / "single").volume_hu)


def test_padding_becomes_air(tmp_path: Path) -> None:
    """Pixel Padding Value stands at the top level, for all frames."""
    enhanced = enhanced_from(ct_images(SERIES))
    stored = np.frombuffer(enhanced.PixelData, "<u2").copy().reshape(SERIES.shape)
    stored[:, 0] = 7
    enhanced.PixelData = stored.tobytes()
    enhanced.add_new("PixelPaddingValue", "US", 7)
    assert (read(tmp_path, enhanced).volume_hu[:, 0] == AIR_HU).all()


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian])
def test_compressed_frames_give_the_same_values(tmp_path: Path, syntax: UID) -> None:
    """Lossless compression on the way changes nothing."""
    enhanced = enhanced_from(ct_images(SERIES))
    if syntax == DeflatedExplicitVRLittleEndian:
        enhanced.file_meta.TransferSyntaxUID = syntax
    else:
        enhanced.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(read(tmp_path, enhanced).volume_hu, single_frame_volume(tmp_path / "single").volume_hu)


@pytest.mark.parametrize(
    "syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian]
)
def test_one_frame_is_what_it_is_in_the_volume(tmp_path: Path, syntax: UID | None) -> None:
    """To whoever looks at a single slice; a frame that is not there is named."""
    enhanced = enhanced_from(ct_images(SERIES))
    if syntax == DeflatedExplicitVRLittleEndian:
        enhanced.file_meta.TransferSyntaxUID = syntax
    elif syntax:
        enhanced.compress(syntax, generate_instance_uid=False)
    (path,) = write_enhanced(tmp_path, enhanced)
    volume_hu = read_volume(choose_series([path])).volume_hu
    assert all(np.array_equal(read_slice(path, number), volume_hu[number - 1]) for number in range(1, 15))
    with pytest.raises(UnreadableStudyError, match="fewer frames"):
        read_slice(path, 15)


@pytest.mark.parametrize("number", [1, 14])
def test_one_compressed_frame_is_decoded_alone(tmp_path: Path, number: int) -> None:
    """However many lie before it: scrolling through a large one would take seconds a slice."""
    enhanced = enhanced_from(ct_images(SERIES))
    enhanced.compress(JPEG2000Lossless, generate_instance_uid=False)
    (path,) = write_enhanced(tmp_path, enhanced)
    each_frame = DecodeRunner._get_frame_info
    with mock.patch.object(DecodeRunner, "_get_frame_info", autospec=True, side_effect=each_frame) as decoded:
        read_slice(path, number)
    assert decoded.call_count == 1


def test_scout_frames_are_left_out_and_mentioned(tmp_path: Path) -> None:
    """A localiser among the frames does not spoil the volume."""
    (scout,) = ct_images(replace(SERIES, orientation=CORONAL, shape=(1, 32, 40)))
    enhanced = enhanced_from([*ct_images(SERIES), scout])
    shared, groups = enhanced.SharedFunctionalGroupsSequence[0], enhanced.PerFrameFunctionalGroupsSequence[-1]
    own_frame_type(groups, shared, frame_type=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
    choice = choose(tmp_path, enhanced)
    assert [header.frame_number for header in choice.slice_headers] == list(range(1, 15))
    assert "1 scout image within the series left out." in choice.qualifications


@pytest.mark.parametrize(("contrast", "technique"), [("RESAMPLED", "MPR"), ("MAXIMUM", "MAX_IP"), ("MEAN", "NONE")])
def test_computed_frames_are_left_out_and_mentioned(tmp_path: Path, contrast: str, technique: str) -> None:
    """Reformats and projections beside the acquired slices are not read."""
    series = ct_images(SERIES)
    enhanced = enhanced_from([*series, *ct_images(SERIES)[::7]])
    shared = enhanced.SharedFunctionalGroupsSequence[0]
    for groups in enhanced.PerFrameFunctionalGroupsSequence[14:]:
        own_frame_type(groups, shared, frame_type=["DERIVED", "PRIMARY", "VOLUME", contrast], technique=technique)
    choice = choose(tmp_path, enhanced)
    assert [header.frame_number for header in choice.slice_headers] == list(range(1, 15))
    assert "2 reformatted images within the series left out." in choice.qualifications


def test_an_object_of_reformats_is_refused_for_what_it_is(tmp_path: Path) -> None:
    """There is nothing acquired in it."""
    enhanced = enhanced_from(ct_images(SERIES))
    enhanced.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0].VolumeBasedCalculationTechnique = "MPR"
    with pytest.raises(NoSuitableSeriesError, match="it is a reformat"):
        choose(tmp_path, enhanced)


def in_stack(name: str) -> Callable[[Dataset, int], None]:
    """Put the second half of 28 frames into a stack of its own."""

    def change(groups: Dataset, number: int) -> None:
        if number > 14:
            groups.FrameContentSequence[0].StackID = name

    return change


def at_moment(groups: Dataset, number: int) -> None:
    """The second half of 28 frames is of a later moment."""
    groups.FrameContentSequence[0].TemporalPositionIndex = 1 + (number > 14)


@pytest.mark.parametrize(("change", "word"), [(in_stack("2"), "stacks"), (at_moment, "moments")])
def test_of_several_passes_over_the_same_places_one_is_read(
    tmp_path: Path, change: Callable[[Dataset, int], None], word: str
) -> None:
    """Stacks and temporal positions are never mixed into one volume, and the findings say so."""
    enhanced = enhanced_from([*ct_images(SERIES), *ct_images(SERIES)])
    change_frames(enhanced, change)
    choice = choose(tmp_path, enhanced)
    assert [header.frame_number for header in choice.slice_headers] == list(range(1, 15))
    assert f"The series holds several {word}; the one with 14 slices is used." in choice.qualifications


def test_of_two_reconstructions_in_one_object_the_lung_kernel_is_read(tmp_path: Path) -> None:
    """And the reason names the kernel of the frames that are read."""
    soft, lung = ct_images(replace(SERIES, kernel="STANDARD")), ct_images(SERIES)
    enhanced = enhanced_from([*soft, *lung])
    for groups, kernel in zip(
        enhanced.PerFrameFunctionalGroupsSequence, [*14 * ["STANDARD"], *14 * ["LUNG"]], strict=True
    ):
        groups.CTReconstructionSequence = deepcopy(enhanced.SharedFunctionalGroupsSequence[0].CTReconstructionSequence)
        groups.CTReconstructionSequence[0].ConvolutionKernel = kernel
    choice = choose(tmp_path, enhanced)
    assert [header.frame_number for header in choice.slice_headers] == list(range(15, 29))
    assert "lung kernel LUNG" in choice.reason


def test_two_volumes_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    """Frames at the same places without stack or moment are not guessed about."""
    other = ct_images(SERIES, lambda points: chest_hu(points) + 5)
    with pytest.raises(WrongVolumeError, match="14 of its images lie where another image of the series lies"):
        choose(tmp_path, enhanced_from([*ct_images(SERIES), *other]))


def test_frames_that_are_there_twice_are_read_once(tmp_path: Path) -> None:
    """Pixel for pixel the same at the same place: nothing is mixed."""
    choice = choose(tmp_path, enhanced_from([*ct_images(SERIES), *ct_images(SERIES)]))
    assert [header.frame_number for header in choice.slice_headers] == list(range(1, 15))
    assert any("14 images that repeat another one" in note for note in choice.qualifications)


def test_a_missing_frame_is_a_missing_slice(tmp_path: Path) -> None:
    """The rules for single images hold for frames."""
    images = ct_images(SERIES)
    del images[6]
    with pytest.raises(WrongVolumeError, match="1 slice is missing"):
        choose(tmp_path, enhanced_from(images))


@pytest.mark.parametrize(
    ("sequence", "why"),
    [
        ("PlanePositionSequence", "do not say where"),
        ("PlaneOrientationSequence", "do not say where"),
        ("PixelMeasuresSequence", "do not say where"),
        ("PixelValueTransformationSequence", "Hounsfield"),
    ],
)
def test_missing_functional_groups_are_named_by_what_is_not_known(tmp_path: Path, sequence: str, why: str) -> None:
    """Place and density are never assumed."""
    enhanced = enhanced_from(ct_images(SERIES))
    for groups in (*enhanced.SharedFunctionalGroupsSequence, *enhanced.PerFrameFunctionalGroupsSequence):
        groups.pop(sequence, None)
    with pytest.raises(NoSuitableSeriesError, match=why):
        choose(tmp_path, enhanced)


@pytest.mark.parametrize("number", [0, 4, 13])
def test_one_frame_without_a_position_is_named(tmp_path: Path, number: int) -> None:
    """It is no stray scout, whether it leaves a hole or the stack ends without it."""
    enhanced = enhanced_from(ct_images(SERIES))
    del enhanced.PerFrameFunctionalGroupsSequence[number].PlanePositionSequence
    with pytest.raises(NoSuitableSeriesError, match="1 of its images do not say where they lie in the patient"):
        choose(tmp_path, enhanced)


@pytest.mark.parametrize(("named", "described"), [(13, 14), (15, 14), (10**9, 14), (0, 14), (14, 0)])
def test_a_number_of_frames_that_lies_is_named(tmp_path: Path, named: int, described: int) -> None:
    """Before anything of that size is allocated."""
    enhanced = enhanced_from(ct_images(SERIES))
    enhanced.compress(RLELossless, generate_instance_uid=False)
    enhanced.NumberOfFrames = named
    del enhanced.PerFrameFunctionalGroupsSequence[described:]
    with pytest.raises(UnreadableStudyError, match=rf"names {named} frames, describes {described}"):
        choose(tmp_path, enhanced)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_fewer_pixels_than_frames_name_the_file(tmp_path: Path, syntax: UID | None) -> None:
    """Neither zeros nor the frames of before fill what is not there."""
    enhanced = enhanced_from(ct_images(SERIES))
    half = enhanced_from(ct_images(SERIES)[:7])
    if syntax:
        half.compress(syntax, generate_instance_uid=False)
        enhanced.file_meta.TransferSyntaxUID = syntax
    enhanced.PixelData = half.PixelData
    enhanced["PixelData"].is_undefined_length = syntax is not None
    enhanced.add_new("DataSetTrailingPadding", "OB", bytes(30_000))
    with pytest.raises(UnreadableStudyError, match=r"enhanced-0\.dcm"):
        read(tmp_path, enhanced)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_file_cut_off_in_its_last_frame_is_named(tmp_path: Path, syntax: UID | None) -> None:
    """A file that ends too early fails the study."""
    enhanced = enhanced_from(ct_images(SERIES))
    if syntax:
        enhanced.compress(syntax, generate_instance_uid=False)
    (path,) = write_enhanced(tmp_path, enhanced)
    choice = choose_series([path])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 120])
    with pytest.raises(UnreadableStudyError, match=r"enhanced-0\.dcm"):
        read_volume(choice)


def test_a_matrix_that_no_scanner_makes_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    """14 frames of 65535 x 65535 would be 120 GB."""
    enhanced = enhanced_from(ct_images(SERIES))
    enhanced.compress(RLELossless, generate_instance_uid=False)
    enhanced.Rows = enhanced.Columns = 65535
    with pytest.raises(WrongVolumeError, match="more than any chest CT has"):
        choose(tmp_path, enhanced)


@pytest.mark.parametrize("keyword", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_groups_of_another_kind_are_a_reason_never_a_crash(tmp_path: Path, keyword: str) -> None:
    """A sequence that is none at all."""
    enhanced = enhanced_from(ct_images(SERIES))
    (path,) = write_enhanced(tmp_path, enhanced)
    tag = enhanced[keyword].tag
    encoded = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
    path.write_bytes(path.read_bytes().replace(encoded + b"SQ", encoded + b"UT", 1))
    with pytest.raises(PipelineError):
        choose_series([path])
