"""Real series that must be refused, each with the right reason."""

from pathlib import Path

import pytest

from builders.shared_data import shared_data
from pipeline.choose import choose_series
from pipeline.errors import NoSuitableSeriesError, StudyRefusedError, WrongVolumeError

REFUSED = {
    "gantrytilting/001": (WrongVolumeError, "gantry tilt"),
    "notavolume/001": (WrongVolumeError, "not a volume"),
    "slicecount/001": (NoSuitableSeriesError, "MR, not CT.*only 2 images"),
    "sliceincrement/001": (WrongVolumeError, "1 slice is missing"),
    "sliceincrement/002": (WrongVolumeError, "gantry tilt.*1 slice is missing"),
    "sliceorientation/001": (NoSuitableSeriesError, "MR, not CT.*different orientations"),
}


def files_below(folder: Path) -> list[Path]:
    """All of them."""
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", REFUSED)
def test_each_set_is_refused_with_its_own_reason(name: str) -> None:
    """Tilt, gaps, mixed orientation, too few slices, no volume, MR: said as what it is."""
    error, reason = REFUSED[name]
    with pytest.raises(error, match=reason):
        choose_series(files_below(shared_data("refuse") / "dicom2nifti-failing" / name))


def test_no_set_was_forgotten() -> None:
    """Every folder of the collection has its reason here."""
    collection = shared_data("refuse") / "dicom2nifti-failing"
    assert {str(folder.relative_to(collection)) for folder in collection.glob("*/*")} == set(REFUSED)


def test_single_slices_are_refused() -> None:
    """One slice per series, axial or reformatted, is no volume."""
    patients = [folder for folder in shared_data("covid-19-ny-sbu").iterdir() if folder.is_dir()]
    assert patients
    for patient in patients:
        with pytest.raises(StudyRefusedError, match="only 1 image"):
            choose_series(files_below(patient))


def test_each_single_slice_alone_is_refused_for_what_it_is() -> None:
    """For being alone; a coronal or sagittal one, and one axial one of the set, for being a reformat too."""
    reformats = set()
    files = sorted(shared_data("covid-19-ny-sbu").glob("*/*/*.dcm"))
    assert len(files) >= 50
    for path in files:
        with pytest.raises(StudyRefusedError, match="only 1 image, at least 10 are needed") as refusal:
            choose_series([path])
        if "it is a reformat, not the acquired slices" in refusal.value.reason:
            reformats.add(path)
    assert reformats >= {path for path in files if path.parent.name in {"coronal", "sagittal"}}
    assert len([path for path in reformats if path.parent.name == "axial"]) == 1


@pytest.mark.parametrize(("patient", "kernel"), [("Lung_Dx-A0001", "L"), ("Lung_Dx-A0002", "B70f")])
def test_the_lung_kernel_of_two_is_chosen_in_real_chests(patient: str, kernel: str) -> None:
    """Philips and Siemens, each with a soft reconstruction beside it."""
    choice = choose_series(files_below(shared_data("lung-pet-ct-dx") / patient))
    assert choice.reason.endswith(f"lung kernel {kernel}.")
    assert len(choice.passed_over) == 1
