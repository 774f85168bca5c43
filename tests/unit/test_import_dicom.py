"""DICOM with segmentations or contours, read back from the store by a stranger."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom.dataset import FileDataset
from pydicom.sr.coding import Code

from builders.analysis import CONSOLIDATION_CENTRE, GROUND_GLASS_CENTRE, PRONE, Layout, StudyPlan
from builders.ct_series import (
    LESION_CENTRE,
    LESION_HU,
    LESION_RADIUS_MM,
    RIGHT_LUNG_CENTRE,
    CtSeries,
    chest_hu,
    ct_images,
)
from builders.results import ResultShelf
from builders.shared_data import shared_data
from builders.site_data import (
    SHAPE,
    ct_of,
    left_is_one_at,
    lesion_at,
    write_dicom,
)
from builders.site_segments import (
    CONSOLIDATION,
    GROUND_GLASS,
    LIVER,
    dcmqi_like_seg,
    drawn_on,
    highdicom_seg,
    square_mm,
    structure_set,
)
from builders.site_store import axes_of, imported, only_study, rows_of, value_at, values_of
from pipeline.importers.errors import NothingToImportError
from pipeline.importers.records import ImportOptions
from pipeline.importers.segments import read_segmentation, segment_mask
from pipeline.orient import grid_of_image

OTHER_SIDE = LESION_CENTRE * [-1, 1, 1]
NOT_KNOWN = 255


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Result sets as this node writes them."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


@pytest.mark.parametrize("layout", [Layout(), PRONE], ids=["head-first", "prone"])
def test_what_this_node_drew_comes_back_where_it_was(shelf: ResultShelf, tmp_path: Path, layout: Layout) -> None:
    """Lungs with their sides and both kinds of lesion, however the patient lay."""
    imported("dicom-seg", shelf.folder(StudyPlan(layout=layout)), tmp_path / "store")
    folder = only_study(tmp_path / "store")
    assert axes_of(folder / "ct.nii.gz") == "LPS"
    assert value_at(folder / "lesion.nii.gz", GROUND_GLASS_CENTRE) == 1
    assert value_at(folder / "lesion.nii.gz", CONSOLIDATION_CENTRE) == 2
    assert value_at(folder / "lung.nii.gz", GROUND_GLASS_CENTRE) == 1
    assert value_at(folder / "lung.nii.gz", CONSOLIDATION_CENTRE) == 2
    row = rows_of(tmp_path / "store")[0]
    assert (row["label"], row["kinds"], row["drawn_by"]) == ("lesion", "drawn", "automatic")


@pytest.mark.parametrize("flipped", [False, True], ids=["usual", "flipped"])
@pytest.mark.parametrize("label", ["binary", "probability"])
def test_segments_of_highdicom_land_on_the_ct(tmp_path: Path, label: str, flipped: bool) -> None:
    """Voxel for voxel what was drawn, though empty frames are left out."""
    images = ct_of("A", flipped=flipped)
    write_dicom(tmp_path / "in" / "ct", images)
    highdicom_seg(tmp_path / "in" / "seg.dcm", images, lesion_at, label=label)
    imported("dicom-seg", tmp_path / "in", tmp_path / "store")
    folder = only_study(tmp_path / "store")
    assert value_at(folder / "lesion.nii.gz", LESION_CENTRE) == 1
    assert values_of(folder / "lesion.nii.gz").sum() == drawn_on(images, lesion_at).sum()
    assert value_at(folder / "ct.nii.gz", LESION_CENTRE) == LESION_HU


def test_old_codes_and_names_tell_what_a_segment_is(tmp_path: Path) -> None:
    """dcmqi's SRT codes for lungs; a name where the code says nothing; what means nothing is told to the user."""
    images = ct_of("A")
    write_dicom(tmp_path / "in", images)
    backwards = images[::-1]
    dcmqi_like_seg(
        tmp_path / "in" / "1.dcm", backwards, left_is_one_at, label="Lung", code=Code("T-28000", "SRT", "Lung")
    )
    dcmqi_like_seg(
        tmp_path / "in" / "2.dcm", backwards, lesion_at, label="GGO left", code=Code("M-1", "SRT", "Lesion region")
    )
    dcmqi_like_seg(tmp_path / "in" / "3.dcm", backwards, lesion_at, label="Liver", code=Code("T-62000", "SRT", "Liver"))
    report = imported("dicom-seg", tmp_path / "in", tmp_path / "store")
    folder = only_study(tmp_path / "store")
    assert report.left_out == ("Liver",)
    assert values_of(folder / "lung.nii.gz")[drawn_on(images, left_is_one_at)].all()
    assert value_at(folder / "lung.nii.gz", RIGHT_LUNG_CENTRE) == 1
    assert value_at(folder / "lesion.nii.gz", LESION_CENTRE) == 1
    assert value_at(folder / "lesion.nii.gz", OTHER_SIDE) == 0


def test_what_a_reader_corrected_replaces_what_software_drew(tmp_path: Path) -> None:
    """Both lie in the PACS; learning from one's own output teaches nothing."""
    images = ct_of("A")
    write_dicom(tmp_path / "in", images)
    highdicom_seg(tmp_path / "in" / "ai.dcm", images, left_is_one_at, made_by="AUTOMATIC")
    highdicom_seg(tmp_path / "in" / "reader.dcm", images, lesion_at, code=CONSOLIDATION, made_by="SEMIAUTOMATIC")
    imported("dicom-seg", tmp_path / "in", tmp_path / "store")
    folder = only_study(tmp_path / "store")
    assert set(np.unique(values_of(folder / "lesion.nii.gz"))) == {0, 2}
    assert rows_of(tmp_path / "store")[0]["drawn_by"] == "semiautomatic"


@pytest.mark.parametrize(("thickness_mm", "filled"), [(5.0, True), (1.0, False)], ids=["coarse", "every-fifth"])
def test_coarse_slices_of_a_segmentation_are_filled(tmp_path: Path, thickness_mm: float, filled: bool) -> None:
    """Drawn on slices of 5 mm that do not say how far apart they are; as thin as those of the CT, they are some of these."""
    thin = ct_series_of(160, 1.0)
    write_dicom(tmp_path / "in" / "ct", thin)
    coarse = ct_series_of(32, 5.0)
    dcmqi_like_seg(
        tmp_path / "in" / "s.dcm", coarse, lesion_at, label="GGO", code=GROUND_GLASS, thickness_mm=thickness_mm
    )
    imported("dicom-seg", tmp_path / "in", tmp_path / "store")
    shown = values_of(only_study(tmp_path / "store") / "lesion.nii.gz").any(axis=(1, 2))
    found = np.flatnonzero(shown)
    assert (np.diff(found) == (1 if filled else 5)).all()
    assert found[-1] - found[0] == pytest.approx(2 * LESION_RADIUS_MM, abs=6.0)


def ct_series_of(slices: int, spacing_mm: float) -> list[FileDataset]:
    """The chest in one series, however thick its slices."""
    series = CtSeries(uid="1.2.3.4", study_uid="1.2.3", shape=(slices, *SHAPE[1:]), spacing_mm=(spacing_mm, 8.0, 8.0))
    images = ct_images(series, chest_hu)
    for image in images:
        image.PatientID, image.FrameOfReferenceUID = "A", "1.2.3.5"
    return images


def test_a_segmentation_of_other_organs_is_refused(tmp_path: Path) -> None:
    """Unless the user says what its segment is; one whose CT is missing is named too."""
    images, missing = ct_of("A"), ct_of("B")
    write_dicom(tmp_path / "in", images)
    highdicom_seg(tmp_path / "in" / "liver.dcm", images, lesion_at, code=LIVER, label="Region 7")
    highdicom_seg(tmp_path / "in" / "lost.dcm", missing, lesion_at)
    report = imported("dicom-seg", tmp_path / "in", tmp_path / "store")
    reasons = {refusal.where: refusal.reason for refusal in report.refused}
    assert "None of its segments is a lung or a lesion" in reasons["."]
    assert reasons["lost.dcm"] == "The CT that it was drawn on is not here."
    options = ImportOptions(structures={"region 7": "consolidation"})
    imported("dicom-seg", tmp_path / "in", tmp_path / "store", options=options)
    assert value_at(only_study(tmp_path / "store") / "lesion.nii.gz", LESION_CENTRE) == 2


@pytest.mark.parametrize(
    ("segmentation", "reference"),
    [("liver.dcm", "liver_seg.nrrd"), ("24x38x3/seg/label.seg", "24x38x3/nrrd/label.nrrd")],
)
def test_dcmqi_segmentations_are_read_as_dcmqi_reads_them(segmentation: str, reference: str) -> None:
    """Against the NRRD that dcmqi made of the same segmentation."""
    folder = shared_data("reference-objects") / "dcmqi" / "segmentations"
    image = SimpleITK.ReadImage(str(folder / reference))
    found = read_segmentation(folder / segmentation)
    masks = [segment_mask(found, segment, grid_of_image(image)) for segment in found.segments]
    expected = SimpleITK.GetArrayFromImage(image) > 0
    assert expected.any()
    np.testing.assert_array_equal(np.any(masks, axis=0), expected)


@pytest.mark.parametrize("flipped", [False, True], ids=["usual", "flipped"])
def test_contours_are_filled_on_the_slices_of_the_ct(tmp_path: Path, flipped: bool) -> None:
    """An inner contour is a hole, a region that means nothing is left out and named."""
    images = ct_of("A", flipped=flipped)
    write_dicom(tmp_path / "in", images)
    on = min(images, key=lambda image: abs(image.ImagePositionPatient[2] - LESION_CENTRE[2]))
    ring = [square_mm(on, LESION_CENTRE, 30.0), square_mm(on, LESION_CENTRE, 10.0)]
    regions = {"GGO_L": ring, "Heart": [square_mm(on, RIGHT_LUNG_CENTRE, 30.0)]}
    structure_set(tmp_path / "in" / "rs.dcm", images, regions)
    report = imported("dicom-rtstruct", tmp_path / "in", tmp_path / "store")
    lesion = only_study(tmp_path / "store") / "lesion.nii.gz"
    place = np.array([LESION_CENTRE[0], LESION_CENTRE[1], float(on.ImagePositionPatient[2])])
    assert report.left_out == ("Heart",)
    assert value_at(lesion, place) == 0
    assert value_at(lesion, place + np.array([20.0, 0, 0])) == 1
    assert value_at(lesion, place - np.array([20.0, 0, 0])) == 1
    assert not values_of(lesion)[:, :, :22].any()


def test_a_contour_between_slices_refuses_the_study(tmp_path: Path) -> None:
    """It was drawn on another series than the one it names."""
    images = ct_of("A")
    write_dicom(tmp_path / "in", images)
    square = square_mm(images[3], LESION_CENTRE, 30.0) + np.array([0, 0, 4.0])
    structure_set(tmp_path / "in" / "rs.dcm", images, {"lesion": [square]})
    report = imported("dicom-rtstruct", tmp_path / "in", tmp_path / "store")
    assert "between the slices" in report.refused[0].reason


def test_one_patient_of_two_objects_is_one_patient(tmp_path: Path) -> None:
    """SEG and RTSTRUCT of one PatientID share their split, and dates keep their distance without being told."""
    first, second = ct_of("A", study="1", date="20200301"), ct_of("A", study="2", date="20200311")
    write_dicom(tmp_path / "seg", first)
    highdicom_seg(tmp_path / "seg" / "s.dcm", first, lesion_at)
    write_dicom(tmp_path / "rt", second)
    structure_set(tmp_path / "rt" / "r.dcm", second, {"lesion": [square_mm(second[5], LESION_CENTRE, 20.0)]})
    imported("dicom-seg", tmp_path / "seg", tmp_path / "store")
    imported("dicom-rtstruct", tmp_path / "rt", tmp_path / "store")
    rows = rows_of(tmp_path / "store")
    assert len({(row["patient"], row["split"]) for row in rows}) == 1
    assert abs(float(rows[0]["day"]) - float(rows[1]["day"])) == 10.0
    text = "".join(path.read_text() for path in (tmp_path / "store").rglob("*") if path.suffix in {".csv", ".json"})
    assert not any(secret in text for secret in ("Doe", "2020", str(first[0].StudyInstanceUID)))


@pytest.mark.parametrize("name", ["dicom-seg", "dicom-rtstruct", "ricord", "covid-ct-md", "lidc"])
def test_a_folder_without_the_format_is_refused(tmp_path: Path, name: str) -> None:
    """The message says what was looked for."""
    write_dicom(tmp_path / "in", ct_of("A")[:1])
    with pytest.raises(NothingToImportError, match="holds no"):
        imported(name, tmp_path / "in", tmp_path / "store")


def test_a_header_puts_no_formula_into_the_table_of_a_store(tmp_path: Path) -> None:
    """People open it in a spreadsheet; `study.json` has the value as it came."""
    images = ct_of("A")
    for image in images:
        image.ConvolutionKernel = "=A1"
    write_dicom(tmp_path / "in" / "ct", images)
    highdicom_seg(tmp_path / "in" / "seg.dcm", images, lesion_at)
    imported("dicom-seg", tmp_path / "in", tmp_path / "store")
    (row,) = rows_of(tmp_path / "store")
    assert row["kernel"] == "'=A1"
    assert '"kernel": "=A1"' in (only_study(tmp_path / "store") / "study.json").read_text()
