"""Public sets of DICOM with polygons, nodules or labels of slices, read back from the store by a stranger."""

import csv
from pathlib import Path

import numpy as np
import pytest

from builders.ct_series import LESION_CENTRE
from builders.site_data import (
    annotation,
    ct_of,
    lesion_square,
    lidc_xml,
    write_dicom,
    write_ricord_json,
)
from builders.site_store import folder_of, imported, only_study, rows_of, slice_rows, value_at, values_of
from pipeline.importers.errors import NothingToImportError
from pipeline.importers.records import ImportOptions

OTHER_SIDE = LESION_CENTRE * [-1, 1, 1]
NOT_KNOWN = 255


def test_polygons_of_ricord_become_lesions_and_confounders(tmp_path: Path) -> None:
    """A label without points leaves its slice open, atelectasis is not known, a duplicate slice changes nothing."""
    images = ct_of("R1")
    shown = [image for image in images if lesion_square(image)]
    twin = ct_of("R1")[images.index(shown[0])]
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = f"{twin.SOPInstanceUID}.9"
    write_dicom(tmp_path / "in" / "MIDRC-RICORD-1A" / "R1" / "s", [*images, twin])
    notes = [annotation(0, twin, lesion_square(twin)), annotation(0, images[0], None)]
    notes += [annotation(1, shown[1], lesion_square(shown[1])), annotation(2, shown[2], lesion_square(shown[2]))]
    write_ricord_json(tmp_path / "in" / "annotations.json", notes)
    imported("ricord", tmp_path / "in", tmp_path / "store")
    lesion = only_study(tmp_path / "store") / "lesion.nii.gz"
    heights = [float(image.ImagePositionPatient[2]) for image in shown]
    found = [value_at(lesion, [LESION_CENTRE[0], LESION_CENTRE[1], z]) for z in heights[:3]]
    assert found == [1, NOT_KNOWN, 3]
    assert (values_of(lesion)[0] == NOT_KNOWN).all()
    assert value_at(lesion, OTHER_SIDE) == 0


def test_a_series_that_nobody_outlined_is_refused(tmp_path: Path) -> None:
    """RICORD holds several series per study; most have no outlines."""
    images = ct_of("R1")
    write_dicom(tmp_path / "in" / "a", images)
    write_dicom(tmp_path / "in" / "b", ct_of("R2"))
    write_ricord_json(tmp_path / "in" / "x.json", [annotation(0, images[4], lesion_square(images[7]))])
    report = imported("ricord", tmp_path / "in", tmp_path / "store")
    assert [refusal.where for refusal in report.refused] == ["b"]
    assert "commercial" in (tmp_path / "store" / "licence.txt").read_text()


@pytest.mark.parametrize(("nodules", "value"), [("not-known", NOT_KNOWN), ("no-lesion", 0)])
def test_nodules_of_lidc_are_no_lesions(tmp_path: Path, nodules: str, value: int) -> None:
    """They are confounders; a file of another kind beside them is passed over."""
    images = ct_of("LIDC-1")
    write_dicom(tmp_path / "in" / "ct", images)
    (tmp_path / "in" / "ct" / "069.xml").write_text(lidc_xml(images))
    (tmp_path / "in" / "ct" / "070.xml").write_text("<IdriReadMessage/>")
    imported("lidc", tmp_path / "in", tmp_path / "store", options=ImportOptions(nodules=nodules))
    lesion = only_study(tmp_path / "store") / "lesion.nii.gz"
    assert value_at(lesion, LESION_CENTRE) == value
    assert value_at(lesion, OTHER_SIDE) == 0
    assert rows_of(tmp_path / "store")[0]["label"] == "nodule"


def covid_ct_md(root: Path, *, gap_row: bool) -> list[int]:
    """Three labelled subjects numbered 0, 1, 3 and a healthy one; the slices of the third that show a lesion, by z.

    File names run against Slice Location, which runs against z.
    """
    numbers = {"P001": 0, "P002": 1, "cap001": 3}
    shown = [index for index, image in enumerate(ct_of("x")) if lesion_square(image)]
    labels = np.zeros((4 if gap_row else 3, 30), np.int64)
    row = 3 if gap_row else 2
    labels[row, [19 - index for index in shown]] = 1
    lobes = np.repeat(labels[..., None], 5, axis=2) * np.array([1, 0, 0, 0, 0])
    for folder, name in (("COVID-19 subjects", "P001"), ("CAP subjects", "cap001"), ("Normal subjects", "normal001")):
        images = ct_of(name)
        for image in images:
            image.SliceLocation = -float(image.ImagePositionPatient[2])
        write_dicom(root / folder / name, images)
    with (root / "Index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Label Index", "Diagnosis", "Relative Path", "Folder/ID"])
        writer.writerows([[number, "", "", name] for name, number in numbers.items()])
    np.save(root / "Slice-level-labels.npy", labels)
    np.save(root / "Lobe-level-labels.npy", lobes)
    return shown


@pytest.mark.parametrize("gap_row", [True, False], ids=["row-for-the-gap", "no-row-for-the-gap"])
def test_labels_of_covid_ct_md_follow_slice_location(tmp_path: Path, gap_row: bool) -> None:
    """Not the file name; and a number that Index.csv leaves out shifts nobody's labels."""
    shown = covid_ct_md(tmp_path / "in", gap_row=gap_row)
    imported("covid-ct-md", tmp_path / "in", tmp_path / "store")
    by_label = {row["label"]: folder_of(tmp_path / "store", row) for row in rows_of(tmp_path / "store")}
    pneumonia = slice_rows(by_label["pneumonia"])
    assert [int(row["slice"]) for row in pneumonia if row["label"] == "1"] == shown
    assert [int(row["slice"]) for row in pneumonia if row["left lower"] == "1"] == shown
    assert {row["label"] for row in slice_rows(by_label["healthy"])} == {"0"}
    assert {row["label"] for row in slice_rows(by_label["covid-19"])} == {"0"}
    assert not (by_label["pneumonia"] / "lesion.nii.gz").exists()


def test_labels_beyond_the_last_slice_refuse_the_subject(tmp_path: Path) -> None:
    """They belong to another set of slices."""
    covid_ct_md(tmp_path / "in", gap_row=True)
    labels = np.load(tmp_path / "in" / "Slice-level-labels.npy")
    labels[0, 25] = 1
    np.save(tmp_path / "in" / "Slice-level-labels.npy", labels)
    report = imported("covid-ct-md", tmp_path / "in", tmp_path / "store")
    assert [refusal.where for refusal in report.refused] == ["COVID-19 subjects/P001"]
    assert report.refused[0].reason == "Its labels name slices that it does not have."


def test_an_index_of_other_columns_is_refused(tmp_path: Path) -> None:
    """With the name of the format, not as a defect."""
    covid_ct_md(tmp_path / "in", gap_row=True)
    (tmp_path / "in" / "Index.csv").write_text("a,b\n1,2\n")
    with pytest.raises(NothingToImportError, match="not laid out as covid-ct-md is"):
        imported("covid-ct-md", tmp_path / "in", tmp_path / "store")


def test_labels_that_fit_no_numbering_are_refused(tmp_path: Path) -> None:
    """Nobody guesses whose labels they are."""
    covid_ct_md(tmp_path / "in", gap_row=True)
    np.save(tmp_path / "in" / "Slice-level-labels.npy", np.zeros((2, 30)))
    with pytest.raises(NothingToImportError, match="the labels have 2 rows"):
        imported("covid-ct-md", tmp_path / "in", tmp_path / "store")
