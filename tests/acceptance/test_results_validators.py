"""Strangers accept the results: dicom3tools and DCMTK read every object without an error."""

from pathlib import Path

import pytest

from builders.analysis import StudyPlan
from builders.programs import complaints
from builders.result_plans import NO_FINDING, STUDIES, WITH_PRIORS
from builders.results import ResultShelf
from dicom_node.results.plan import ResultPlan, SrClass, SrLayout


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM results of a folder; there must be some."""
    files = sorted((folder / "out").glob("*.dcm"))
    assert files
    return files


@pytest.mark.parametrize("plan", STUDIES.values(), ids=STUDIES.keys())
def test_dciodvfy_finds_nothing(shelf: ResultShelf, plan: StudyPlan) -> None:
    """Every attribute of every object is as its IOD says."""
    for path in dicom_files(shelf.folder(plan)):
        assert complaints("dciodvfy", "-new", path) == []


@pytest.mark.parametrize("layout", list(SrLayout))
@pytest.mark.parametrize("study", [WITH_PRIORS, NO_FINDING], ids=["follow-up", "no finding"])
def test_reports_of_every_class_and_layout_are_valid(shelf: ResultShelf, study: StudyPlan, layout: SrLayout) -> None:
    """dciodvfy checks the attributes, DCMTK the value types and relationships that a class allows."""
    folder = shelf.folder(study, plan=ResultPlan(sr_classes=tuple(SrClass), sr_layout=layout))
    reports = sorted((folder / "out").glob("sr*.dcm"))
    assert len(reports) == len(SrClass)
    for report in reports:
        assert complaints("dciodvfy", "-new", report) == []
        assert complaints("dsrdump", report) == []


@pytest.mark.parametrize("plan", STUDIES.values(), ids=STUDIES.keys())
def test_dcentvfy_finds_results_and_images_in_agreement(shelf: ResultShelf, plan: StudyPlan) -> None:
    """Patient, study and frame of reference are those of the source."""
    folder = shelf.folder(plan)
    for path in dicom_files(folder):
        assert complaints("dcentvfy", next((folder / "ct").iterdir()), path) == []


@pytest.mark.parametrize("plan", STUDIES.values(), ids=STUDIES.keys())
def test_dsrdump_reads_the_report(shelf: ResultShelf, plan: StudyPlan) -> None:
    """DCMTK's SR parser, which knows relationships and value types, is content."""
    assert complaints("dsrdump", shelf.folder(plan) / "out" / "sr.dcm") == []


def test_dciodvfy_is_listened_to(shelf: ResultShelf, tmp_path: Path) -> None:
    """A broken object is complained about, so the silence above means something."""
    report = shelf.read("sr.dcm")
    del report.CompletionFlag
    report.save_as(tmp_path / "broken.dcm")
    assert any("CompletionFlag" in line for line in complaints("dciodvfy", "-new", tmp_path / "broken.dcm"))
