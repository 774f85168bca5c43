"""Results are never written beside images that are read."""

from pathlib import Path

import pytest
from pydicom import Dataset

from builders.instances import ct_instance, dose_report
from dicom_node.demo.run import run_demo
from dicom_node.folders import FolderStudy, find_studies
from dicom_node.result_folders import ResultsBesideImagesError, check_result_folders, result_folder


def _study(folder: Path, uid: str, *datasets: Dataset) -> FolderStudy:
    folder.mkdir(parents=True)
    for number, dataset in enumerate(datasets or (ct_instance(1, study=uid),)):
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    (study,) = find_studies([folder]).studies
    return study


def test_results_have_a_folder_of_their_own(tmp_path: Path) -> None:
    """Beside the folders of the images is no harm."""
    study = _study(tmp_path / "day 1", "1.2.3")

    check_result_folders(tmp_path, [study], sources=[study])

    assert result_folder(tmp_path, "1.2.3") == tmp_path / "1.2.3"


@pytest.mark.parametrize("place", ["1.2.3", "1.2.3/1.2.3.4/images"])
def test_images_that_lie_where_the_results_go_are_refused(tmp_path: Path, place: str) -> None:
    """Folders named by their Study Instance UID, results below the same folder."""
    study = _study(tmp_path / place, "1.2.3")

    with pytest.raises(
        ResultsBesideImagesError, match=r"1\.2\.3, which holds images that are read; choose another --out"
    ):
        check_result_folders(tmp_path, [study], sources=[study])


def test_a_prior_where_results_go_is_refused(tmp_path: Path) -> None:
    """It is only read, and as dear."""
    study, prior = _study(tmp_path / "now", "1.2.3"), _study(tmp_path / "1.2.3" / "before", "1.2.2")

    with pytest.raises(ResultsBesideImagesError):
        check_result_folders(tmp_path, [study], sources=[study, prior])


def test_a_link_leads_to_no_other_answer(tmp_path: Path) -> None:
    """The folder is the same whatever it is called."""
    study = _study(tmp_path / "studies" / "1.2.3", "1.2.3")
    (tmp_path / "out").symlink_to(tmp_path / "studies")

    with pytest.raises(ResultsBesideImagesError):
        check_result_folders(tmp_path / "out", [study], sources=[study])


def test_results_of_an_earlier_run_are_no_obstacle(tmp_path: Path) -> None:
    """They are found below the folder too, and replaced."""
    images = _study(tmp_path / "day 1", "1.2.3")
    report = dose_report(study="1.2.3")
    report.Manufacturer = report.ManufacturerModelName = "dicom-node"
    _study(tmp_path / "1.2.3", "1.2.3", report)
    (both,) = find_studies([tmp_path]).studies

    assert len(both.files.paths) == len(images.files.paths) + 1
    check_result_folders(tmp_path, [both], sources=[both])


def test_the_demo_refuses_before_it_starts_anything(tmp_path: Path) -> None:
    """Nothing is sent, and every file is there."""
    study = _study(tmp_path / "1.2.3", "1.2.3")
    before = set(tmp_path.rglob("*"))

    with pytest.raises(ResultsBesideImagesError):
        next(run_demo([study], out=tmp_path, on_progress=lambda *_: None))

    assert set(tmp_path.rglob("*")) == before
