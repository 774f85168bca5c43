"""Two formats of one CT make one study, a changed CT loses nobody's work, a damaged study is mended by importing it again."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from builders.ct_series import LEFT_LUNG_CENTRE, chest_hu
from builders.site_data import ct_of, lesion_at, write_dicom, write_nifti
from builders.site_segments import highdicom_seg, structure_set
from builders.site_store import folder_of, imported, only_study, rows_of, values_of
from pipeline.importers.errors import StoreError
from pipeline.importers.store import Outcome, read_store


def circles(images: list[Dataset], radius_mm: float) -> list[NDArray[np.float64]]:
    """A cylinder in the left lung, as contours."""
    turns = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    x, y = LEFT_LUNG_CENTRE[0] + radius_mm * np.cos(turns), LEFT_LUNG_CENTRE[1] + radius_mm * np.sin(turns)
    heights = [float(image.ImagePositionPatient[2]) for image in images]
    return [
        np.stack([x, y, np.full(40, height)], axis=1) for height in heights if abs(height - LEFT_LUNG_CENTRE[2]) < 40.0
    ]


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A CT with a segmentation of its lesion and contours of its left lung."""
    images = ct_of("A")
    write_dicom(tmp_path / "in" / "ct", images)
    highdicom_seg(tmp_path / "in" / "seg.dcm", images, lesion_at)
    structure_set(tmp_path / "in" / "rt.dcm", images, {"Lung_L": circles(images, 30.0)})
    return tmp_path / "in"


@pytest.mark.parametrize("formats", [("dicom-seg", "dicom-rtstruct"), ("dicom-rtstruct", "dicom-seg")])
def test_what_the_second_format_does_not_draw_stays(both: Path, tmp_path: Path, formats: tuple[str, str]) -> None:
    """Lesions of the segmentation with the lungs of the contours, in whichever order, and the same twice."""
    outcomes = [imported(name, both, tmp_path / "store").outcomes for name in (*formats, *formats)]
    assert outcomes == [(Outcome.NEW,), (Outcome.REPLACED,), (Outcome.UNCHANGED,), (Outcome.UNCHANGED,)]
    (row,) = rows_of(tmp_path / "store")
    folder = folder_of(tmp_path / "store", row)
    assert (row["label"], row["has_lungs"], row["kinds"]) == ("lesion", "True", "drawn")
    assert values_of(folder / "lesion.nii.gz").any()
    assert values_of(folder / "lung.nii.gz").any()
    assert (folder / "boxes.json").is_file()


def test_a_format_replaces_what_it_brought_itself(both: Path, tmp_path: Path) -> None:
    """Contours that no longer draw the lung take it away again, and leave the lesion of the segmentation."""
    for name in ("dicom-seg", "dicom-rtstruct"):
        imported(name, both, tmp_path / "store")
    images = ct_of("A")
    structure_set(both / "rt.dcm", images, {"Pneumonia": circles(images, 10.0)})
    imported("dicom-rtstruct", both, tmp_path / "store")
    folder = only_study(tmp_path / "store")
    assert not (folder / "lung.nii.gz").exists()
    imported("dicom-seg", both, tmp_path / "store")
    assert values_of(only_study(tmp_path / "store") / "lesion.nii.gz").any()


def test_a_ct_that_has_changed_does_not_take_the_other_formats_work_with_it(both: Path, tmp_path: Path) -> None:
    """The study is refused with the way out, and the store stays as it was."""
    imported("dicom-seg", both, tmp_path / "store")
    for path in sorted((both / "ct").iterdir())[:1]:
        path.unlink()
    report = imported("dicom-rtstruct", both, tmp_path / "store")
    assert report.outcomes == ()
    (refusal,) = report.refused
    assert "another CT of this study, with lesions that another format brought. Take " in refusal.reason
    assert values_of(only_study(tmp_path / "store") / "lesion.nii.gz").any()


@pytest.mark.parametrize("content", ["", "{}", None], ids=["empty", "without-keys", "gone"])
def test_a_damaged_study_is_mended_by_importing_it_again(tmp_path: Path, content: str | None) -> None:
    """As the error says."""
    write_nifti(tmp_path / "in" / "a.nii.gz", chest_hu)
    write_nifti(tmp_path / "in" / "a_mask.nii.gz", lesion_at)
    imported("nifti-dir", tmp_path / "in", tmp_path / "store")
    note = only_study(tmp_path / "store") / "study.json"
    note.unlink()
    if content is not None:
        note.write_text(content)
        with pytest.raises(StoreError, match="import the study again"):
            read_store(tmp_path / "store")
    assert imported("nifti-dir", tmp_path / "in", tmp_path / "store").outcomes == (Outcome.REPLACED,)
    assert [study.has_lungs for study in read_store(tmp_path / "store")] == [False]
