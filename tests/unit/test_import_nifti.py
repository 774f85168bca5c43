"""NIfTI sets, made in their layouts, read back from the store by a stranger."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from builders.ct_series import LEFT_LUNG_CENTRE, LESION_CENTRE, LESION_HU, LUNG_HU, RIGHT_LUNG_CENTRE, chest_hu
from builders.site_data import (
    LPS,
    OBLIQUE,
    RAS,
    SPACING_MM,
    left_is_one_at,
    lesion_at,
    nothing_at,
    right_is_one_at,
    windowed_at,
    write_nifti,
)
from builders.site_store import axes_of, folder_of, imported, only_study, rows_of, value_at, values_of
from pipeline.importers.errors import ImportOptionError, NothingToImportError
from pipeline.importers.records import ImportOptions

GROUND_GLASS, CONSOLIDATION, RIGHT, LEFT = 1, 2, 1, 2


@pytest.mark.parametrize("image_axes", [LPS, RAS, OBLIQUE], ids=["lps", "ras", "oblique"])
@pytest.mark.parametrize("mask_axes", [LPS, RAS], ids=["mask-lps", "mask-ras"])
def test_left_stays_left_however_the_file_is_oriented(
    tmp_path: Path, image_axes: Sequence[float], mask_axes: Sequence[float]
) -> None:
    """Image and mask lie in the store where they lay in the patient, also when their axes differ."""
    if image_axes is OBLIQUE:
        mask_axes = OBLIQUE
    write_nifti(tmp_path / "in" / "a.nii.gz", chest_hu, direction=image_axes)
    write_nifti(tmp_path / "in" / "a_mask.nii.gz", lesion_at, direction=mask_axes)
    imported("nifti-dir", tmp_path / "in", tmp_path / "store")
    folder = only_study(tmp_path / "store")
    assert axes_of(folder / "ct.nii.gz") == "LPS"
    assert value_at(folder / "ct.nii.gz", LESION_CENTRE) == LESION_HU
    assert value_at(folder / "ct.nii.gz", LESION_CENTRE * [-1, 1, 1]) == LUNG_HU
    assert value_at(folder / "lesion.nii.gz", LESION_CENTRE) == GROUND_GLASS
    assert value_at(folder / "lesion.nii.gz", LESION_CENTRE * [-1, 1, 1]) == 0
    assert SimpleITK.ReadImage(str(folder / "ct.nii.gz")).GetPixelID() == SimpleITK.sitkInt16


def test_boxes_enclose_the_mask_of_their_slice(tmp_path: Path) -> None:
    """In pixel edges of the stored grid."""
    write_nifti(tmp_path / "in" / "a.nii.gz", chest_hu)
    write_nifti(tmp_path / "in" / "a_mask.nii.gz", lesion_at)
    imported("nifti-dir", tmp_path / "in", tmp_path / "store")
    folder = only_study(tmp_path / "store")
    lesion = values_of(folder / "lesion.nii.gz")
    boxes = json.loads((folder / "boxes.json").read_text())
    assert [box["slice"] for box in boxes] == np.flatnonzero(lesion.any(axis=(1, 2))).tolist()
    x0, y0, x1, y1 = boxes[0]["box"]
    plane = lesion[boxes[0]["slice"]]
    assert plane[y0:y1, x0:x1].sum() == plane.sum()
    assert plane[y0, x0:x1].any()
    assert plane[y0:y1, x1 - 1].any()


def test_a_lesion_of_no_stated_kind_is_divided_by_density(tmp_path: Path) -> None:
    """And the store says that nobody drew the border."""

    def half_dense(points: np.ndarray) -> np.ndarray:
        hu = chest_hu(points)
        inside = lesion_at(points) > 0
        hu[inside & (points[..., 1] > LESION_CENTRE[1])] = 20
        return hu

    write_nifti(tmp_path / "in" / "a.nii.gz", half_dense)
    write_nifti(tmp_path / "in" / "a_mask.nii.gz", lesion_at)
    imported("nifti-dir", tmp_path / "in", tmp_path / "store")
    folder = only_study(tmp_path / "store")
    assert value_at(folder / "lesion.nii.gz", LESION_CENTRE + np.array([0, 8, 0])) == CONSOLIDATION
    assert value_at(folder / "lesion.nii.gz", LESION_CENTRE - np.array([0, 8, 0])) == GROUND_GLASS
    assert rows_of(tmp_path / "store")[0]["kinds"] == "by-hu"
    assert "-300 HU" in (tmp_path / "store" / "kinds.txt").read_text()


def test_values_of_masks_mean_what_the_user_says(tmp_path: Path) -> None:
    """A value that nobody explained refuses the study."""
    write_nifti(tmp_path / "in" / "a.nii.gz", chest_hu)
    write_nifti(tmp_path / "in" / "a_mask.nii.gz", lambda points: 3 * lesion_at(points))
    report = imported("nifti-dir", tmp_path / "in", tmp_path / "without")
    assert "holds the values 3, and nobody said what they mean" in report.refused[0].reason
    options = ImportOptions(structures={"3": "consolidation"})
    imported("nifti-dir", tmp_path / "in", tmp_path / "with", options=options)
    assert value_at(only_study(tmp_path / "with") / "lesion.nii.gz", LESION_CENTRE) == CONSOLIDATION
    assert rows_of(tmp_path / "with")[0]["kinds"] == "drawn"


def test_a_mask_that_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    """Same size, other place: never paired by indices."""
    write_nifti(tmp_path / "in" / "a.nii.gz", chest_hu)
    write_nifti(tmp_path / "in" / "a_mask.nii.gz", lesion_at)
    path = tmp_path / "in" / "a_mask.nii.gz"
    mask = SimpleITK.ReadImage(str(path))
    mask.SetOrigin([value + 16.0 for value in mask.GetOrigin()])
    SimpleITK.WriteImage(mask, str(path))
    report = imported("nifti-dir", tmp_path / "in", tmp_path / "store")
    assert report.refused[0].reason == "The mask a_mask.nii.gz lies elsewhere than the image."


def test_a_table_says_patient_day_and_label(tmp_path: Path) -> None:
    """Two studies of one patient keep their distance in days; a healthy one has no lesions."""
    for name in ("x1", "x2"):
        write_nifti(tmp_path / "in" / "ct" / f"{name}.nii.gz", chest_hu)
    table = tmp_path / "table.csv"
    table.write_text("id,patient,day,label,site\nx1,P,3,healthy,north\nx2,P,17.5,covid-19,north\n")
    options = ImportOptions(images="ct/{id}.nii.gz", table=table)
    imported("nifti-dir", tmp_path / "in", tmp_path / "store", options=options)
    first, second = rows_of(tmp_path / "store")
    assert first["patient"] == second["patient"]
    assert [first["day"], second["day"]] == ["3.0", "17.5"]
    assert not values_of(folder_of(tmp_path / "store", first) / "lesion.nii.gz").any()
    assert not (folder_of(tmp_path / "store", second) / "lesion.nii.gz").exists()


def write_course(folder: Path, *, ids: Sequence[str], masks: str) -> Path:
    """Two scans of each patient, masks beside them; the table, whose ids need not be the files'."""
    rows = ["id,patient,day"]
    for number, name in enumerate(ids):
        write_nifti(folder / "in" / f"{number:03}.nii.gz", chest_hu)
        write_nifti(folder / "in" / "seg" / masks.format(id=f"{number:03}"), lesion_at)
        rows.append(f"{name},P{number // 2},{number}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    return folder / "table.csv"


@pytest.mark.parametrize(
    ("ids", "masks", "reason"),
    [
        (
            ["0", "1"],
            "{id}_seg.nii.gz",
            r"No row of .*table.csv names an image: ids in it: 2 \(0, 1\), .*2 \(000, 001\)",
        ),
        (["000.nii.gz", "001.nii.gz"], "{id}_seg.nii.gz", "Write ids as the files are called"),
        (["000", "001"], "{id}-seg.nii.gz", r"No image has a file that is called seg/\{id\}_seg.nii.gz"),
    ],
    ids=["zeros that a spreadsheet took", "ids with endings", "masks called otherwise"],
)
def test_a_table_or_a_rule_that_fits_nothing_stops_the_import(
    tmp_path: Path, ids: Sequence[str], masks: str, reason: str
) -> None:
    """Each scan became a patient of its own, in training and in test; or every study came without its mask."""
    table = write_course(tmp_path, ids=ids, masks=masks)
    options = ImportOptions(table=table, masks="seg/{id}_seg.nii.gz")
    with pytest.raises(ImportOptionError, match=reason):
        imported("nifti-dir", tmp_path / "in", tmp_path / "store", options=options)
    assert not (tmp_path / "store").exists()


def test_what_has_no_counterpart_is_said(tmp_path: Path) -> None:
    """An image without mask or row, a row and a mask without image; a table and rules that fit all say nothing."""
    table = write_course(tmp_path, ids=["000", "1", "002"], masks="{id}_seg.nii.gz")
    options = ImportOptions(table=table, masks="seg/{id}_seg.nii.gz", patient=r"(0+[02])")
    (tmp_path / "in" / "seg" / "002_seg.nii.gz").rename(tmp_path / "in" / "seg" / "2_seg.nii.gz")
    assert imported("nifti-dir", tmp_path / "in", tmp_path / "store", options=options).notes == (
        "images without a mask seg/{id}_seg.nii.gz: 1 (002)",
        "masks without an image {id}.nii.gz, not imported: 1 (2)",
        "images without a row in the table, whose patient the id alone names: 1 (001)",
        "rows of the table without an image, not used: 1 (1)",
    )
    table = write_course(tmp_path / "whole", ids=["000", "001"], masks="{id}_seg.nii.gz")
    options = ImportOptions(table=table, masks="seg/{id}_seg.nii.gz")
    assert imported("nifti-dir", tmp_path / "whole" / "in", tmp_path / "store", options=options).notes == ()


def test_an_id_that_the_rule_for_patients_does_not_fit_is_said(tmp_path: Path) -> None:
    """It is a patient of its own."""
    for name in ("P1_a", "P1_b", "Q1"):
        write_nifti(tmp_path / "in" / f"{name}.nii.gz", chest_hu)
        write_nifti(tmp_path / "in" / f"{name}_mask.nii.gz", nothing_at)
    report = imported("nifti-dir", tmp_path / "in", tmp_path / "store", options=ImportOptions(patient=r"(P\d+)_.*"))
    assert report.notes == (r"images that patient=(P\d+)_.* does not fit, each a patient of its own: 1 (Q1)",)
    assert len({row["patient"] for row in rows_of(tmp_path / "store")}) == 2


@pytest.mark.parametrize(
    "options",
    [
        ImportOptions(images="x.nii.gz"),
        ImportOptions(masks="seg/{id}.nii.gz"),
        ImportOptions(lungs="lungs/{id}.nii.gz"),
        ImportOptions(patient=r"(P\d+)"),
        ImportOptions(patient="("),
        ImportOptions(patient="P"),
        ImportOptions(structures={"one": "lesion"}),
        ImportOptions(structures={"1": "tumour"}),
    ],
)
def test_an_option_that_makes_no_sense_stops_the_import(tmp_path: Path, options: ImportOptions) -> None:
    """Before anything is written."""
    write_nifti(tmp_path / "in" / "a.nii.gz", chest_hu)
    write_nifti(tmp_path / "in" / "a_mask.nii.gz", lesion_at)
    with pytest.raises(ImportOptionError):
        imported("nifti-dir", tmp_path / "in", tmp_path / "store", options=options)
    assert not (tmp_path / "store").exists()


def test_windowed_cases_of_covid_ct_seg_are_refused_and_counted(tmp_path: Path) -> None:
    """Ten of twenty are no Hounsfield units; lungs are 1 left, 2 right there."""
    source = tmp_path / "in"
    for name, drawing in (
        ("coronacases_001", chest_hu),
        ("radiopaedia_1", windowed_at),
        ("radiopaedia_2", windowed_at),
    ):
        write_nifti(source / "COVID-19-CT-Seg_20cases" / f"{name}.nii.gz", drawing)
        write_nifti(source / "Lung_Mask" / f"{name}.nii.gz", left_is_one_at)
        write_nifti(source / "Infection_Mask" / f"{name}.nii.gz", lesion_at)
    report = imported("covid-ct-seg", source, tmp_path / "store")
    assert len(report.refused) == 2
    assert all("display window" in refusal.reason for refusal in report.refused)
    folder = only_study(tmp_path / "store")
    assert value_at(folder / "lung.nii.gz", LEFT_LUNG_CENTRE) == LEFT
    assert value_at(folder / "lung.nii.gz", RIGHT_LUNG_CENTRE) == RIGHT
    assert value_at(folder / "lesion.nii.gz", LESION_CENTRE) == GROUND_GLASS


def test_the_combined_mask_of_covid_ct_seg_serves_too(tmp_path: Path) -> None:
    """3 is infection there."""
    source = tmp_path / "in"
    write_nifti(source / "COVID-19-CT-Seg_20cases" / "coronacases_002.nii.gz", chest_hu)
    write_nifti(
        source / "Lung_and_Infection_Mask" / "coronacases_002.nii.gz",
        lambda points: np.where(lesion_at(points) > 0, 3, left_is_one_at(points)).astype(np.uint8),
    )
    imported("covid-ct-seg", source, tmp_path / "store")
    folder = only_study(tmp_path / "store")
    assert value_at(folder / "lesion.nii.gz", LESION_CENTRE) == GROUND_GLASS
    assert value_at(folder / "lung.nii.gz", LEFT_LUNG_CENTRE) == LEFT


def test_a_picture_saved_as_nifti_is_refused_under_any_name(tmp_path: Path) -> None:
    """0 to 255 is no density."""
    write_nifti(tmp_path / "in" / "a.nii.gz", windowed_at)
    report = imported("nifti-dir", tmp_path / "in", tmp_path / "store")
    assert "a display window, not Hounsfield units" in report.refused[0].reason


@pytest.mark.parametrize("root", ["", "studies"])
def test_mosmed_classes_and_masks(tmp_path: Path, root: str) -> None:
    """CT-0 shows no lesion in any slice; a class without a mask says nothing of voxels."""
    source = tmp_path / "in"
    for folder, name in (("CT-0", "study_0001"), ("CT-1", "study_0255"), ("CT-2", "study_0300")):
        write_nifti(source / root / folder / f"{name}.nii.gz", chest_hu)
    write_nifti(source / "masks" / "study_0255_mask.nii.gz", lesion_at)
    report = imported("mosmed", source, tmp_path / "store")
    rows = rows_of(tmp_path / "store")
    known = {(row["label"], row["kinds"], row["has_slice_labels"]) for row in rows}
    assert known == {("healthy", "drawn", "True"), ("covid-19", "by-hu", "False"), ("covid-19", "none", "False")}
    assert report.licence.is_no_derivatives
    assert "forbid to pass on derivatives" in (tmp_path / "store" / "licence.txt").read_text()


def test_repeat_scans_of_covid_19_20_are_one_patient(tmp_path: Path) -> None:
    """An id that ends in _1 is the same patient, so it is in the same split; a volume without mask is refused."""
    source = tmp_path / "in" / "Train"
    for name in ("A-0014", "A-0014_1", "A-0015"):
        write_nifti(source / f"volume-covid19-{name}_ct.nii.gz", chest_hu)
        write_nifti(source / f"volume-covid19-{name}_seg.nii.gz", lesion_at)
    write_nifti(tmp_path / "in" / "Validation" / "volume-covid19-A-0100_ct.nii.gz", chest_hu)
    report = imported("covid-19-20", tmp_path / "in", tmp_path / "store")
    rows = rows_of(tmp_path / "store")
    assert len(rows) == 3
    assert len({row["patient"] for row in rows}) == 2
    assert "no segmentation" in report.refused[0].reason


def test_pictures_are_refused_with_a_clear_sentence(tmp_path: Path) -> None:
    """JPG and PNG collections are not CT."""
    (tmp_path / "covid").mkdir()
    for number in range(3):
        (tmp_path / "covid" / f"{number}.png").write_bytes(b"\x89PNG")
    with pytest.raises(NothingToImportError, match=r"holds 3 pictures .* no Hounsfield units"):
        imported("nifti-dir", tmp_path / "covid", tmp_path / "store")


@pytest.mark.parametrize("name", ["covid-ct-seg", "mosmed", "covid-19-20", "nifti-dir"])
def test_a_folder_of_another_layout_is_refused(tmp_path: Path, name: str) -> None:
    """The message says what was looked for."""
    (tmp_path / "in").mkdir()
    with pytest.raises(NothingToImportError, match="holds no"):
        imported(name, tmp_path / "in", tmp_path / "store")


def write_sheared(path: Path, shear: float) -> None:
    """A chest whose header gives an sform alone, with the rows leaning: bytes 252 to 312 of NIfTI-1."""
    write_nifti(path, chest_hu)
    content = bytearray(path.read_bytes())
    struct.pack_into("<hh", content, 252, 0, 1)
    across = list(struct.unpack_from("<4f", content, 280))
    across[1] += shear * SPACING_MM
    struct.pack_into("<4f", content, 280, *across)
    path.write_bytes(content)


def test_a_sheared_volume_is_refused_for_what_it_is(tmp_path: Path) -> None:
    """It is not damaged; what rounding of a header gives is no shear."""
    for name, shear in (("rounded", 1e-5), ("sheared", 1e-2)):
        write_sheared(tmp_path / "in" / f"{name}.nii", shear)
    options = ImportOptions(images="{id}.nii")
    (refusal,) = imported("nifti-dir", tmp_path / "in", tmp_path / "store", options=options).refused
    assert refusal.where == "sheared.nii"
    assert "axes of sheared.nii are not perpendicular" in refusal.reason
    assert "Resample the image" in refusal.reason


def test_damaged_and_small_volumes_are_refused_and_stop_nothing(tmp_path: Path) -> None:
    """The good one is in the store after it."""
    write_nifti(tmp_path / "in" / "good.nii.gz", chest_hu)
    write_nifti(tmp_path / "in" / "good_mask.nii.gz", nothing_at)
    write_nifti(tmp_path / "in" / "good_lung.nii.gz", right_is_one_at)
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"not an image")
    thin = SimpleITK.GetImageFromArray(np.full((4, 8, 8), -1000, np.int16))
    SimpleITK.WriteImage(thin, str(tmp_path / "in" / "thin.nii.gz"))
    report = imported("nifti-dir", tmp_path / "in", tmp_path / "store")
    reasons = {refusal.where: refusal.reason for refusal in report.refused}
    assert reasons["bad.nii.gz"] == "bad.nii.gz is damaged or no NIfTI file."
    assert "only 4 slices" in reasons["thin.nii.gz"]
    assert value_at(only_study(tmp_path / "store") / "lung.nii.gz", RIGHT_LUNG_CENTRE) == RIGHT
