"""PDF, captures, presentation state and key objects, read back with plain pydicom."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from builders.analysis import (
    COLUMN_SPACING_MM,
    ROW_SPACING_MM,
    SERIES_UID,
    STUDY_UID,
    StudyPlan,
    build_analysis,
    build_context,
)
from builders.results import ResultShelf
from dicom_node.results.colours import LESION_RGB
from dicom_node.results.plan import ResultPlan, SrClass
from dicom_node.results.write import write_result_set
from pipeline.findings import LesionKind

EVERYTHING = ResultPlan(pdf=True, capture=True, presentation_state=True, key_objects=True)
NAMES = ("report.dcm", "capture-001.dcm", "presentation-state.dcm", "key-objects.dcm")
KEY_IMAGES = [f"{SERIES_UID}.7", f"{SERIES_UID}.14"]
"""Of the built study: the ground glass, then the consolidation with the dot."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def read(shelf: ResultShelf, name: str, study: StudyPlan | None = None) -> Dataset:
    """One object of a study of which everything is made."""
    return shelf.read(name, study or StudyPlan(), plan=EVERYTHING)


def files(shelf: ResultShelf, study: StudyPlan) -> set[str]:
    """What was written of a study of which everything is made."""
    return {path.name for path in (shelf.folder(study, plan=EVERYTHING) / "out").iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_each_object_belongs_to_patient_and_study(shelf: ResultShelf, name: str) -> None:
    """With all that the images say about them."""
    made, source = read(shelf, name), pydicom.dcmread(shelf.folder(plan=EVERYTHING) / "ct" / "000.dcm")
    for keyword in ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"):
        assert made[keyword].value == source[keyword].value
    for keyword in ("StudyInstanceUID", "StudyDate", "AccessionNumber", "StudyID", "StudyDescription"):
        assert made[keyword].value == source[keyword].value


def test_each_object_is_in_a_series_of_its_own(shelf: ResultShelf) -> None:
    """With a number behind those of report and segmentations, and a name that says what it is not for."""
    made = [read(shelf, name) for name in ("sr.dcm", "seg-lesions.dcm", "seg-lungs.dcm", *NAMES)]
    assert len({item.SeriesInstanceUID for item in made}) == len(made)
    assert [int(item.SeriesNumber) for item in made] == list(range(9001, 9008))
    assert all("not for diagnostic use" in item.SeriesDescription for item in made)


def test_pdf_is_the_page_beside_it(shelf: ResultShelf) -> None:
    """Byte for byte, with its title, and marked as naming a patient."""
    made = read(shelf, "report.dcm")
    page = (shelf.folder(StudyPlan(), plan=EVERYTHING) / "out" / "report.pdf").read_bytes()
    assert page.startswith(b"%PDF-")
    assert made.EncapsulatedDocument == page
    assert made.EncapsulatedDocumentLength == len(page)
    assert made.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert made.BurnedInAnnotation == "YES"
    assert made.ConceptNameCodeSequence[0].CodeValue == "18748-4"
    assert [str(item.ReferencedSOPInstanceUID) for item in made.SourceInstanceSequence] == KEY_IMAGES


def test_captures_are_the_key_slices_in_order(shelf: ResultShelf) -> None:
    """RGB images that name their source."""
    made = [read(shelf, f"capture-{number:03d}.dcm") for number in (1, 2)]
    assert not (shelf.folder(StudyPlan(), plan=EVERYTHING) / "out" / "capture-003.dcm").exists()
    assert [str(item.SourceImageSequence[0].ReferencedSOPInstanceUID) for item in made] == KEY_IMAGES
    assert [int(item.InstanceNumber) for item in made] == [1, 2]
    assert len({item.SeriesInstanceUID for item in made}) == 1
    assert all(item.pixel_array.shape == (item.Rows, item.Columns, 3) for item in made)
    assert all(item.BurnedInAnnotation == "YES" for item in made)


def test_lesion_is_drawn_where_it_lies(shelf: ResultShelf, tmp_path: Path) -> None:
    """In the colour of its kind, at the place that the mask says."""
    analysis = build_analysis(tmp_path)
    pixels = read(shelf, "capture-002.dcm").pixel_array.astype(int)
    red = np.abs(pixels - np.asarray(LESION_RGB[LesionKind.CONSOLIDATION])).max(axis=-1) < 40
    rows, columns = np.nonzero(red)
    lesion_rows, lesion_columns = np.nonzero(analysis.lesion_labels[analysis.findings.lesions[1].key_slice] == 2)
    middle = (np.median(rows) / pixels.shape[0], np.median(columns) / pixels.shape[1])
    expected = ((lesion_rows.mean() + 0.5) / 60, (lesion_columns.mean() + 0.5) / 64)
    assert middle == pytest.approx(expected, abs=0.06)


def test_study_without_lesions_is_captured_in_three_slices(shelf: ResultShelf) -> None:
    """The notice is burned in; nothing is pointed at."""
    written = files(shelf, StudyPlan(with_lesions=False))
    assert {name for name in written if name.startswith("capture")} == {f"capture-00{n}.dcm" for n in (1, 2, 3)}
    assert not {"presentation-state.dcm", "key-objects.dcm"} & written
    assert "report.pdf" in written


def test_key_objects_are_the_key_images(shelf: ResultShelf) -> None:
    """Of interest, each once, in slice order."""
    made = read(shelf, "key-objects.dcm")
    assert made.ConceptNameCodeSequence[0].CodeMeaning == "Of Interest"
    images = [item for item in made.ContentSequence if item.ValueType == "IMAGE"]
    assert [str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in images] == KEY_IMAGES


@pytest.mark.parametrize("multi_frame", [False, True])
def test_presentation_state_says_how_large_pixels_are(shelf: ResultShelf, multi_frame: bool) -> None:
    """Those of the built study are not square; an aspect ratio beside the spacing is not allowed (PS3.3 C.10.4)."""
    (area,) = read(shelf, "presentation-state.dcm", StudyPlan(multi_frame=multi_frame)).DisplayedAreaSelectionSequence
    assert list(area.PresentationPixelSpacing) == [ROW_SPACING_MM, COLUMN_SPACING_MM]
    assert "PresentationPixelAspectRatio" not in area


def test_presentation_state_outlines_each_lesion_on_its_image(shelf: ResultShelf, tmp_path: Path) -> None:
    """Closed lines around the mask, with number and kind beside them, in a lung window."""
    analysis = build_analysis(tmp_path)
    made = read(shelf, "presentation-state.dcm")
    by_image = {
        str(item.ReferencedImageSequence[0].ReferencedSOPInstanceUID): item for item in made.GraphicAnnotationSequence
    }
    assert list(by_image) == KEY_IMAGES
    points = np.reshape(by_image[KEY_IMAGES[0]].GraphicObjectSequence[0].GraphicData, (-1, 2))
    rows, columns = np.nonzero(analysis.lesion_labels[6] == 1)
    assert tuple(points.min(axis=0)) == pytest.approx((columns.min() + 0.0, rows.min() + 0.0), abs=0.6)
    assert tuple(points.max(axis=0)) == pytest.approx((columns.max() + 1.0, rows.max() + 1.0), abs=0.6)
    texts = [item.UnformattedTextValue for item in by_image[KEY_IMAGES[1]].TextObjectSequence]
    assert [text.split(" ", 1)[0] for text in texts] == ["2", "3"]
    assert made.SoftcopyVOILUTSequence[0].WindowWidth == 1500


def test_nothing_is_made_that_nobody_wants(tmp_path: Path) -> None:
    """And what an earlier attempt left is gone."""
    analysis = build_analysis(tmp_path / "ct")
    write_result_set(analysis, build_context(plan=EVERYTHING), folder=tmp_path / "out")
    write_result_set(analysis, build_context(plan=ResultPlan(pdf=False)), folder=tmp_path / "out")
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert not {*NAMES, "report.pdf"} & left


def test_only_what_a_result_set_has_is_removed_of_an_earlier_one(tmp_path: Path) -> None:
    """Files of other names are somebody else's: the only copy of a CT may lie there."""
    analysis = build_analysis(tmp_path / "ct")
    (tmp_path / "out").mkdir()
    others = {
        "1.2.840.1.dcm",
        "IM-0001.dcm",
        "sr-of-another.dcm",
        "preview-mine.png",
        "capture-1.dcm",
        "report.pdf.dcm",
    }
    for name in others:
        (tmp_path / "out" / name).write_bytes(b"not of the node")
    everything = ResultPlan(
        sr_classes=tuple(SrClass), pdf=True, capture=True, presentation_state=True, key_objects=True
    )
    write_result_set(analysis, build_context(plan=everything), folder=tmp_path / "out")
    last = write_result_set(analysis, build_context(plan=ResultPlan(pdf=False)), folder=tmp_path / "out")
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {*others, *(file.path.name for file in last)}
    assert {(tmp_path / "out" / name).read_bytes() for name in others} == {b"not of the node"}


def test_objects_are_the_same_each_time(tmp_path: Path) -> None:
    """The same analysis and context give the same bytes."""
    analysis = build_analysis(tmp_path / "ct")
    for folder in ("first", "second"):
        write_result_set(analysis, build_context(plan=EVERYTHING), folder=tmp_path / folder)
    for name in (*NAMES, "report.pdf"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_files_are_listed_by_kind(tmp_path: Path) -> None:
    """Deliveries go by it; the plain PDF is no object and is sent nowhere."""
    written = write_result_set(build_analysis(tmp_path / "ct"), build_context(plan=EVERYTHING), folder=tmp_path / "out")
    kinds = {file.path.name: (file.kind, bool(file.sop_instance_uid)) for file in written}
    assert kinds["report.dcm"] == ("pdf", True)
    assert kinds["report.pdf"] == ("report", False)
    assert kinds["capture-002.dcm"] == ("capture", True)
    assert kinds["presentation-state.dcm"] == ("presentation_state", True)
    assert kinds["key-objects.dcm"] == ("key_objects", True)
    assert str(pydicom.dcmread(tmp_path / "out" / "report.dcm").StudyInstanceUID) == STUDY_UID
