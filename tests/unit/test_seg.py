"""What is segmented lies where it lies in the CT, read back with plain pydicom."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from builders.analysis import (
    ALL_LAYOUTS,
    CONSOLIDATION_CENTRE,
    GROUND_GLASS_CENTRE,
    LEFT_CENTRE,
    RIGHT_CENTRE,
    Layout,
    StudyPlan,
    build_analysis,
    build_context,
)
from builders.results import ResultShelf
from builders.segments import centroid_lps_mm, segments_by_label, voxels_by_source
from dicom_node.results.write import write_result_set

CLOSE_MM = 4.0
"""Less than a voxel of the built study."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


@pytest.mark.parametrize("layout", ALL_LAYOUTS.values(), ids=ALL_LAYOUTS.keys())
def test_lungs_lie_where_they_lie_in_the_ct(shelf: ResultShelf, layout: Layout) -> None:
    """Left is left and right is right, however the patient lies and the slices are ordered."""
    lungs = shelf.read("seg-lungs.dcm", StudyPlan(layout=layout))
    numbers = segments_by_label(lungs)
    assert list(numbers) == ["Right lung", "Left lung"]
    assert centroid_lps_mm(lungs, numbers["Right lung"]) == pytest.approx(RIGHT_CENTRE, abs=CLOSE_MM)
    assert centroid_lps_mm(lungs, numbers["Left lung"]) == pytest.approx(LEFT_CENTRE, abs=CLOSE_MM)


@pytest.mark.parametrize("layout", ALL_LAYOUTS.values(), ids=ALL_LAYOUTS.keys())
def test_lesions_lie_where_they_lie_in_the_ct(shelf: ResultShelf, layout: Layout) -> None:
    """Each lesion is a segment of its own at its own place."""
    lesions = shelf.read("seg-lesions.dcm", StudyPlan(layout=layout))
    assert centroid_lps_mm(lesions, 1) == pytest.approx(GROUND_GLASS_CENTRE, abs=CLOSE_MM)
    assert centroid_lps_mm(lesions, 2) == pytest.approx(CONSOLIDATION_CENTRE, abs=CLOSE_MM)


@pytest.mark.parametrize("layout", ALL_LAYOUTS.values(), ids=ALL_LAYOUTS.keys())
def test_each_frame_names_the_image_it_lies_on(shelf: ResultShelf, layout: Layout) -> None:
    """Viewers place a frame by its source image or by its position: both are the same slice."""
    lesions = shelf.read("seg-lesions.dcm", StudyPlan(layout=layout))
    positions = {
        str(image.SOPInstanceUID): image.ImagePositionPatient
        for image in map(pydicom.dcmread, (shelf.folder(StudyPlan(layout=layout)) / "ct").iterdir())
    }
    for frame in lesions.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(place, positions[source])


def test_every_voxel_of_a_lesion_is_in_its_segment(tmp_path: Path) -> None:
    """Slice by slice, voxel by voxel, the segment is the mask."""
    analysis = build_analysis(tmp_path / "ct")
    write_result_set(analysis, build_context(), folder=tmp_path / "out")
    found = voxels_by_source(pydicom.dcmread(tmp_path / "out" / "seg-lesions.dcm"), 1)
    for k, header in enumerate(analysis.volume.slice_headers):
        expected = analysis.lesion_labels[k] == 1
        assert np.array_equal(found.get(header.sop_instance_uid, np.zeros_like(expected)), expected)


def test_a_lesion_segment_says_what_it_is(shelf: ResultShelf) -> None:
    """Kind, tracking and colour of a lesion are in its segment."""
    first, second, _ = shelf.read("seg-lesions.dcm").SegmentSequence
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Ground glass opacity"
    assert second.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lung consolidation"
    assert (first.TrackingUID, first.TrackingID) == ("2.25.701", "Lesion 0001")
    assert list(first.RecommendedDisplayCIELabValue) != list(second.RecommendedDisplayCIELabValue)
    algorithm = first.SegmentationAlgorithmIdentificationSequence[0]
    assert "weights_sha256=" + "ab" * 32 in algorithm.AlgorithmParameters


def test_lung_segments_carry_their_side_as_a_code(shelf: ResultShelf) -> None:
    """The side is machine-readable, not only a label."""
    sides = [
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning
        for segment in shelf.read("seg-lungs.dcm").SegmentSequence
    ]
    assert sides == ["Right", "Left"]


def test_segmentations_are_binary_uncompressed_and_alone_in_their_series(shelf: ResultShelf) -> None:
    """The one form that every viewer opens."""
    report, lungs, lesions = (shelf.read(f"{name}.dcm") for name in ("sr", "seg-lungs", "seg-lesions"))
    for segmentation in (lungs, lesions):
        assert segmentation.SegmentationType == "BINARY"
        assert segmentation.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert len({dataset.SeriesInstanceUID for dataset in (report, lungs, lesions)}) == 3


def test_a_patient_with_one_lung_gets_one_segment(tmp_path: Path) -> None:
    """An absent lung is left out, and the other is segment 1."""
    analysis = build_analysis(tmp_path / "ct", StudyPlan(with_lesions=False))
    analysis.lung_mask[analysis.lung_mask == 1] = 0
    write_result_set(analysis, build_context(), folder=tmp_path / "out")
    assert segments_by_label(pydicom.dcmread(tmp_path / "out" / "seg-lungs.dcm")) == {"Left lung": 1}


def test_without_lesions_there_is_no_lesion_segmentation(tmp_path: Path) -> None:
    """Also when an earlier attempt left one in the folder."""
    for plan in (StudyPlan(), StudyPlan(with_lesions=False)):
        write_result_set(build_analysis(tmp_path / "ct", plan), build_context(), folder=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "findings.json",
        "masks.npz",
        "preview-overview.png",
        "report.dcm",
        "report.pdf",
        "seg-lungs.dcm",
        "sr.dcm",
    ]
