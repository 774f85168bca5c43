"""The report as a document: its class, its state, what it supersedes, its times."""

from datetime import timedelta
from pathlib import Path

import pytest

from builders.analysis import (
    CREATED_AT,
    STUDY_UID,
    StudyPlan,
    build_context,
)
from builders.results import ResultShelf
from dicom_node.results.context import Predecessor, predecessor_from_folder
from dicom_node.results.errors import UnreadableResultError
from dicom_node.results.plan import ResultPlan, SrClass


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def test_document_is_complete_preliminary_and_unverified(shelf: ResultShelf) -> None:
    """The report is finished, but no person has looked at it."""
    report = shelf.read("sr.dcm")
    assert (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag) == (
        "COMPLETE",
        "PRELIMINARY",
        "UNVERIFIED",
    )
    assert "PredecessorDocumentsSequence" not in report


@pytest.mark.parametrize(
    ("sr_class", "sop_class_uid"),
    [
        (SrClass.COMPREHENSIVE, "1.2.840.10008.5.1.4.1.1.88.33"),
        (SrClass.COMPREHENSIVE_3D, "1.2.840.10008.5.1.4.1.1.88.34"),
        (SrClass.ENHANCED, "1.2.840.10008.5.1.4.1.1.88.22"),
        (SrClass.BASIC_TEXT, "1.2.840.10008.5.1.4.1.1.88.11"),
    ],
)
def test_class_of_the_report_is_the_one_asked_for(shelf: ResultShelf, sr_class: SrClass, sop_class_uid: str) -> None:
    """Comprehensive SR by default, the others on wish; the header of the file agrees."""
    report = shelf.read("sr.dcm", plan=ResultPlan(sr_classes=(sr_class,)))
    assert report.SOPClassUID == report.file_meta.MediaStorageSOPClassUID == sop_class_uid


def test_reports_of_several_classes_are_several_documents(shelf: ResultShelf) -> None:
    """Each has UIDs of its own, and a series of its own, because viewers open one report of a series."""
    plan = ResultPlan(sr_classes=tuple(SrClass))
    names = ["sr.dcm", "sr-comprehensive-3d.dcm", "sr-enhanced.dcm", "sr-basic-text.dcm"]
    reports = [shelf.read(name, plan=plan) for name in names]
    assert len({report.SOPClassUID for report in reports}) == 4
    assert len({report.SOPInstanceUID for report in reports}) == 4
    assert len({report.SeriesInstanceUID for report in reports}) == 4


def test_superseding_report_names_its_predecessor(shelf: ResultShelf) -> None:
    """The second revision is another document, which names the first."""
    first = shelf.read("sr.dcm")
    second = shelf.read("sr.dcm", revision=2, predecessor=predecessor_from_folder(shelf.folder() / "out"))
    study = second.PredecessorDocumentsSequence[0]
    series = study.ReferencedSeriesSequence[0]
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (STUDY_UID, first.SeriesInstanceUID)
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.SOPInstanceUID != first.SOPInstanceUID
    assert "revision 2" in second.SeriesDescription


def test_missing_predecessor_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """A folder without a report is no predecessor."""
    with pytest.raises(UnreadableResultError, match="run that study again"):
        predecessor_from_folder(tmp_path)


def test_context_refuses_a_moment_without_zone() -> None:
    """A naive moment would be read differently at each site."""
    with pytest.raises(ValueError, match="time zone"):
        build_context(created_at=CREATED_AT.replace(tzinfo=None))


def test_content_time_is_local_where_the_source_names_its_zone(shelf: ResultShelf) -> None:
    """All times of an object are in one zone (PS3.3 C.12.1.1, Timezone Offset From UTC)."""
    plan = StudyPlan(change_header=lambda image: setattr(image, "TimezoneOffsetFromUTC", "+0900"))
    report = shelf.read("sr.dcm", plan)
    expected = CREATED_AT + timedelta(hours=9)
    assert report.ContentDate + report.ContentTime == f"{expected:%Y%m%d%H%M%S.%f}"
    assert report.TimezoneOffsetFromUTC == "+0900"


def test_predecessor_is_a_plain_record() -> None:
    """What supersedes needs four UIDs."""
    fields = {"sop_class_uid", "sop_instance_uid", "series_instance_uid", "study_instance_uid"}
    assert set(Predecessor.__dataclass_fields__) == fields
