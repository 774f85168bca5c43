"""Segmentations and contours that were drawn on Enhanced CT."""

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import LegacyConvertedEnhancedCTImageStorage

from builders.ct_series import LESION_CENTRE, LESION_HU
from builders.enhanced_ct import change_frames, enhanced_from, write_enhanced
from builders.site_data import ct_of, lesion_at, lesion_square, write_dicom
from builders.site_segments import drawn_on, highdicom_seg, square_mm, structure_set
from builders.site_store import imported, only_study, rows_of, value_at, values_of

DAY = "20200305"


@pytest.fixture
def images() -> list[FileDataset]:
    """The single images that the frames stand for."""
    return ct_of("A", date=DAY)


def later_pass(groups: Dataset, number: int) -> None:
    """The second half of 40 frames is of a later moment."""
    groups.FrameContentSequence[0].TemporalPositionIndex = 1 + (number > 20)


@pytest.mark.parametrize("legacy", [False, True], ids=["enhanced", "legacy converted"])
def test_a_segmentation_of_enhanced_ct_lands_where_it_was_drawn(
    tmp_path: Path, images: list[FileDataset], legacy: bool
) -> None:
    """The study is the same as from single images, with kernel, thickness and day."""
    enhanced = enhanced_from(images)
    if legacy:
        enhanced.SOPClassUID = enhanced.file_meta.MediaStorageSOPClassUID = LegacyConvertedEnhancedCTImageStorage
    write_enhanced(tmp_path / "frames", enhanced)
    highdicom_seg(tmp_path / "frames" / "seg.dcm", [enhanced], lesion_at)
    single = ct_of("A", date=DAY)
    write_dicom(tmp_path / "single", single)
    highdicom_seg(tmp_path / "single" / "seg.dcm", single, lesion_at)
    for name in ("frames", "single"):
        assert not imported("dicom-seg", tmp_path / name, tmp_path / f"{name}-store").refused
    folder = only_study(tmp_path / "frames-store")
    assert value_at(folder / "lesion.nii.gz", LESION_CENTRE) == 1
    assert values_of(folder / "lesion.nii.gz").sum() == drawn_on(images, lesion_at).sum()
    assert value_at(folder / "ct.nii.gz", LESION_CENTRE) == LESION_HU
    told, expected = (rows_of(tmp_path / f"{name}-store")[0] for name in ("frames", "single"))
    keys = ("kernel", "thickness_mm", "slice_spacing_mm", "label", "kinds", "split")
    assert [told[key] for key in keys] == [expected[key] for key in keys]
    assert told["kernel"] and told["day"]


def test_contours_on_enhanced_ct_land_where_they_were_drawn(tmp_path: Path, images: list[FileDataset]) -> None:
    """Contours are in the patient's coordinates."""
    write_enhanced(tmp_path / "in", enhanced_from(images))
    on = [image for image in images if lesion_square(image)]
    structure_set(tmp_path / "in" / "rs.dcm", images, {"GGO": [square_mm(image, LESION_CENTRE, 20.0) for image in on]})
    assert not imported("dicom-rtstruct", tmp_path / "in", tmp_path / "store").refused
    assert value_at(only_study(tmp_path / "store") / "lesion.nii.gz", LESION_CENTRE) == 1


@pytest.mark.parametrize("on_first", [True, False], ids=["first", "second"])
def test_what_was_drawn_on_another_pass_is_refused(tmp_path: Path, images: list[FileDataset], on_first: bool) -> None:
    """The patient breathed meanwhile: a lesion of the second pass lies elsewhere in the first, which is read."""
    enhanced = enhanced_from([*images, *ct_of("A", date=DAY)])
    change_frames(enhanced, later_pass)
    write_enhanced(tmp_path / "in", enhanced)
    segmentation = tmp_path / "in" / "seg.dcm"
    highdicom_seg(segmentation, [enhanced_from(images)], lesion_at)
    if not on_first:
        dataset = pydicom.dcmread(segmentation)
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber += len(images)
        dataset.save_as(segmentation)
    refused = imported("dicom-seg", tmp_path / "in", tmp_path / "store").refused
    assert [("several passes" in refusal.reason) for refusal in refused] == ([] if on_first else [True])


@pytest.mark.parametrize("on_first", [True, False], ids=["first", "second"])
def test_contours_that_name_frames_of_another_pass_are_refused(
    tmp_path: Path, images: list[FileDataset], on_first: bool
) -> None:
    """By instance and frame."""
    enhanced = enhanced_from([*images, *ct_of("A", date=DAY)])
    change_frames(enhanced, later_pass)
    write_enhanced(tmp_path / "in", enhanced)
    number = next(number for number, image in enumerate(images, start=1) if lesion_square(image))
    contours = [square_mm(images[number - 1], LESION_CENTRE, 20.0)]
    dataset = structure_set(tmp_path / "in" / "rs.dcm", images, {"GGO": contours})
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = enhanced.SOPInstanceUID
    reference.ReferencedFrameNumber = number if on_first else number + len(images)
    dataset.ROIContourSequence[0].ContourSequence[0].ContourImageSequence = [reference]
    dataset.save_as(tmp_path / "in" / "rs.dcm")
    refused = imported("dicom-rtstruct", tmp_path / "in", tmp_path / "store").refused
    assert [("several passes" in refusal.reason) for refusal in refused] == ([] if on_first else [True])


def test_an_object_without_frames_is_refused_and_stops_nothing(tmp_path: Path, images: list[FileDataset]) -> None:
    """What is drawn on it cannot be used."""
    enhanced = enhanced_from(images)
    highdicom_seg(tmp_path / "in" / "seg.dcm", [enhanced], lesion_at)
    del enhanced.PerFrameFunctionalGroupsSequence
    write_enhanced(tmp_path / "in", enhanced)
    (refusal,) = imported("dicom-seg", tmp_path / "in", tmp_path / "store").refused
    assert "names 20 frames, describes 0" in refusal.reason
