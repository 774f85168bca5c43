"""The layout for 3D Slicer's QuantitativeReporting: one segmentation, and group i is segment i."""

import pytest
from pydicom.dataset import Dataset

from builders.analysis import StudyPlan
from builders.report import children, code, groups, text, uid, walk
from builders.results import ResultShelf
from dicom_node.results.plan import ResultPlan, SrLayout

SEGMENTS_ONLY = ResultPlan(sr_layout=SrLayout.SEGMENTS_ONLY)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def segment_of(group: Dataset) -> tuple[str, int]:
    """Segmentation and number that a group names."""
    reference = children(group, "Referenced Segment")[0].ReferencedSOPSequence[0]
    return str(reference.ReferencedSOPInstanceUID), int(reference.ReferencedSegmentNumber)


@pytest.mark.parametrize(
    ("with_lesions", "name"), [(True, "seg-lesions.dcm"), (False, "seg-lungs.dcm")], ids=["lesions", "no finding"]
)
def test_group_i_is_segment_i_of_one_segmentation(shelf: ResultShelf, with_lesions: bool, name: str) -> None:
    """Lesions where there are some, else the lungs, since a report needs a measurement."""
    study = StudyPlan(with_lesions=with_lesions)
    segmentation = shelf.read(name, study, plan=SEGMENTS_ONLY)
    found = groups(shelf.read("sr.dcm", study, plan=SEGMENTS_ONLY))
    assert [segment_of(group) for group in found] == [
        (segmentation.SOPInstanceUID, segment.SegmentNumber) for segment in segmentation.SegmentSequence
    ]
    assert [uid(group, "Tracking Unique Identifier") for group in found] == [
        segment.TrackingUID for segment in segmentation.SegmentSequence
    ]


def test_groups_are_of_segments_and_hold_no_region(shelf: ResultShelf) -> None:
    """With a region among them Slicer would show regions and drop the segments."""
    report = shelf.read("sr.dcm", plan=SEGMENTS_ONLY)
    assert {group.ContentTemplateSequence[0].TemplateIdentifier for group in groups(report)} == {"1411"}
    assert not [item for item in walk(report) if item.ValueType in {"SCOORD", "SCOORD3D"}]


def test_only_the_segmentation_that_the_groups_name_is_evidence(shelf: ResultShelf) -> None:
    """Slicer loads the segmentation that it finds among the evidence."""
    report = shelf.read("sr.dcm", plan=SEGMENTS_ONLY)
    named = {
        item.ReferencedSOPInstanceUID
        for series in report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
        if item.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    }
    assert named == {shelf.read("seg-lesions.dcm", plan=SEGMENTS_ONLY).SOPInstanceUID}


def test_the_summary_stands_in_words_and_codes(shelf: ResultShelf) -> None:
    """Without a summary group, involvement, stage, decision and score are in the section on the whole report."""
    (section,) = children(shelf.read("sr.dcm", plan=SEGMENTS_ONLY), "Qualitative Evaluations")
    assert "% of both lungs involved (right lung" in text(section, "Conclusion")
    assert code(section, "Stage of disease on CT (Pan 2020)") == "Advanced (progressive) stage"
    assert code(section, "Patient score at default operating point") == "Positive"
    assert "The patient score of 0.81" in text(section, "Meaning of the patient score")


def test_it_is_another_document_than_the_default(shelf: ResultShelf) -> None:
    """A site that changes the layout sends no other content under a known UID."""
    default, segments_only = shelf.read("sr.dcm"), shelf.read("sr.dcm", plan=SEGMENTS_ONLY)
    assert default.SOPInstanceUID != segments_only.SOPInstanceUID
    assert default.SeriesInstanceUID != segments_only.SeriesInstanceUID
