"""Results of Enhanced CT name instance and frame, read back with plain pydicom."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from builders.analysis import (
    CONSOLIDATION_CENTRE,
    FEET_FIRST,
    GROUND_GLASS_CENTRE,
    HEAD_FIRST,
    SERIES_UID,
    SLICES,
    TILTED,
    Layout,
    StudyPlan,
    build_analysis,
    build_context,
)
from builders.report import walk
from builders.results import ResultShelf
from builders.segments import centroid_lps_mm
from dicom_node.results.errors import InconsistentAnalysisError
from dicom_node.results.source import read_source_images
from dicom_node.results.write import write_result_set

INSTANCE_UID = f"{SERIES_UID}.9.1"
LAYOUTS = {"head first": HEAD_FIRST, "feet first": FEET_FIRST, "tilted": TILTED}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def places_of_frames(shelf: ResultShelf, plan: StudyPlan) -> dict[int, list[float]]:
    """Image Position by frame number of the source."""
    (path,) = (shelf.folder(plan) / "ct").iterdir()
    groups = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    return {n: group.PlanePositionSequence[0].ImagePositionPatient for n, group in enumerate(groups, start=1)}


@pytest.mark.parametrize("name", ["seg-lesions.dcm", "seg-lungs.dcm"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_each_frame_names_the_frame_it_lies_on(shelf: ResultShelf, layout: Layout, name: str) -> None:
    """Viewers place a frame by its source frame or by its position: both are the same slice."""
    plan = StudyPlan(layout=layout, multi_frame=True)
    places = places_of_frames(shelf, plan)
    frames = shelf.read(name, plan).PerFrameFunctionalGroupsSequence
    assert len(frames) > 2
    for frame in frames:
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPClassUID == pydicom.uid.EnhancedCTImageStorage
        assert source.ReferencedSOPInstanceUID == INSTANCE_UID
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(place, places[int(source.ReferencedFrameNumber)])


def test_lesions_lie_where_they_lie_in_the_ct(shelf: ResultShelf) -> None:
    """Whichever way the frames run."""
    lesions = shelf.read("seg-lesions.dcm", StudyPlan(multi_frame=True))
    assert centroid_lps_mm(lesions, 1) == pytest.approx(GROUND_GLASS_CENTRE, abs=4.0)
    assert centroid_lps_mm(lesions, 2) == pytest.approx(CONSOLIDATION_CENTRE, abs=4.0)


@pytest.mark.parametrize("name", ["seg-lesions.dcm", "seg-lungs.dcm"])
def test_a_segmentation_names_its_source_once(shelf: ResultShelf, name: str) -> None:
    """One instance of one series, however many frames were used, and no stand-in of it."""
    segmentation = shelf.read(name, StudyPlan(multi_frame=True))
    (series,) = segmentation.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES_UID
    for instances in (series.ReferencedInstanceSequence, segmentation.SourceImageSequence):
        assert [item.ReferencedSOPInstanceUID for item in instances] == [INSTANCE_UID]
    named = {element.value for element in segmentation.iterall() if element.keyword == "ReferencedSOPInstanceUID"}
    assert named == {INSTANCE_UID}


def references(report: Dataset, relationship: str) -> list[Dataset]:
    """References to the source that stand in this relationship."""
    items = [item for item in walk(report) if item.ValueType == "IMAGE"]
    found = [item.ReferencedSOPSequence[0] for item in items if item.RelationshipType == relationship]
    return [reference for reference in found if reference.ReferencedSOPInstanceUID == INSTANCE_UID]


def test_contours_and_image_library_name_frames(shelf: ResultShelf) -> None:
    """Every contour lies on a frame that the image library lists, each listed once."""
    report = shelf.read("sr.dcm", StudyPlan(multi_frame=True))
    contours = [int(reference.ReferencedFrameNumber) for reference in references(report, "SELECTED FROM")]
    library = [int(reference.ReferencedFrameNumber) for reference in references(report, "CONTAINS")]
    assert len(contours) == 6
    assert len(library) == len(set(library))
    assert set(contours) == set(library)


def test_the_contour_of_a_lesion_is_on_the_frame_of_its_key_slice(shelf: ResultShelf, tmp_path: Path) -> None:
    """Frames run from the last slice to the first, so slice k is frame n - k."""
    report = shelf.read("sr.dcm", StudyPlan(multi_frame=True))
    lesion = build_analysis(tmp_path, StudyPlan(multi_frame=True)).findings.lesions[0]
    first = references(report, "SELECTED FROM")[0]
    assert int(first.ReferencedFrameNumber) == SLICES - lesion.key_slice


def test_evidence_names_the_instance_once(shelf: ResultShelf) -> None:
    """As one image of the current study, beside the two segmentations."""
    report = shelf.read("sr.dcm", StudyPlan(multi_frame=True))
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    items = [item for series in study.ReferencedSeriesSequence for item in series.ReferencedSOPSequence]
    named = [item.ReferencedSOPInstanceUID for item in items]
    assert named.count(INSTANCE_UID) == 1
    assert len(named) == 3


def test_patient_and_study_are_those_of_the_source(shelf: ResultShelf) -> None:
    """Also frame of reference and the names in the source's character set."""
    plan = StudyPlan(multi_frame=True)
    (path,) = (shelf.folder(plan) / "ct").iterdir()
    source = pydicom.dcmread(path)
    for name in ("sr.dcm", "seg-lungs.dcm", "seg-lesions.dcm"):
        result = shelf.read(name, plan)
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
            assert result[keyword].value == source[keyword].value
    assert shelf.read("seg-lungs.dcm", plan).FrameOfReferenceUID == source.FrameOfReferenceUID


def test_second_build_gives_identical_bytes(tmp_path: Path) -> None:
    """Stand-ins leave nothing of chance behind."""
    analysis = build_analysis(tmp_path / "ct", StudyPlan(multi_frame=True))
    first = write_result_set(analysis, build_context(), folder=tmp_path / "first")
    second = write_result_set(analysis, build_context(), folder=tmp_path / "second")
    assert [file.sha256 for file in first] == [file.sha256 for file in second]


def test_each_instance_is_named_once_in_slice_order(tmp_path: Path) -> None:
    """What evidence and segmentations name."""
    images = read_source_images(build_analysis(tmp_path, StudyPlan(multi_frame=True)).volume)
    assert [str(instance.SOPInstanceUID) for instance in images.instances] == [INSTANCE_UID]
    assert images.reference(0) == (pydicom.uid.EnhancedCTImageStorage, INSTANCE_UID, SLICES)


def test_a_source_that_lost_frames_is_refused(tmp_path: Path) -> None:
    """Results never name a frame that is not there."""
    analysis = build_analysis(tmp_path / "ct", StudyPlan(multi_frame=True))
    path = analysis.volume.slice_headers[0].path
    source = pydicom.dcmread(path)
    del source.PerFrameFunctionalGroupsSequence[5:]
    source.save_as(path)
    with pytest.raises(InconsistentAnalysisError, match="changed"):
        write_result_set(analysis, build_context(), folder=tmp_path / "out")
