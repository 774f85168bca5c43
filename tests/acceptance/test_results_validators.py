"""Strangers accept the results: dicom3tools and DCMTK read every object without an error."""

from pathlib import Path

import pytest

from builders.analysis import FEET_FIRST, StudyPlan, used_prior
from builders.programs import complaints
from builders.results import ResultShelf
from dicom_node.results import ResultPlan, SrClass
from pipeline.findings import DroppedPrior, GoneLesion, LesionKind, Side

PLANS = {
    "first study": StudyPlan(),
    "no finding": StudyPlan(with_lesions=False),
    "feet first": StudyPlan(layout=FEET_FIRST),
    "follow-up": StudyPlan(
        priors_used=(used_prior(1), used_prior(2)),
        priors_dropped=(DroppedPrior(study_instance_uid="2.25.9", reason="The lungs did not overlap."),),
        gone_lesions=(
            GoneLesion(
                tracking_uid="2.25.77",
                tracking_id="Lesion 0077",
                kind=LesionKind.CONSOLIDATION,
                side=Side.LEFT,
                prior_volume_ml=3.2,
            ),
        ),
    ),
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM results of a folder; there must be some."""
    files = sorted((folder / "out").glob("*.dcm"))
    assert files
    return files


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_dciodvfy_finds_nothing(shelf: ResultShelf, plan: StudyPlan) -> None:
    """Every attribute of every object is as its IOD says."""
    for path in dicom_files(shelf.folder(plan)):
        assert complaints("dciodvfy", "-new", path) == []


def test_dciodvfy_finds_nothing_in_a_3d_report(shelf: ResultShelf) -> None:
    """The other SR class is as valid."""
    folder = shelf.folder(PLANS["follow-up"], plan=ResultPlan(sr_classes=(SrClass.COMPREHENSIVE_3D,)))
    assert complaints("dciodvfy", "-new", folder / "out" / "sr.dcm") == []


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_dcentvfy_finds_results_and_images_in_agreement(shelf: ResultShelf, plan: StudyPlan) -> None:
    """Patient, study and frame of reference are those of the source."""
    folder = shelf.folder(plan)
    for path in dicom_files(folder):
        assert complaints("dcentvfy", folder / "ct" / "000.dcm", path) == []


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_dsrdump_reads_the_report(shelf: ResultShelf, plan: StudyPlan) -> None:
    """DCMTK's SR parser, which knows relationships and value types, is content."""
    assert complaints("dsrdump", shelf.folder(plan) / "out" / "sr.dcm") == []


def test_dciodvfy_is_listened_to(shelf: ResultShelf, tmp_path: Path) -> None:
    """A broken object is complained about, so the silence above means something."""
    report = shelf.read("sr.dcm")
    del report.CompletionFlag
    report.save_as(tmp_path / "broken.dcm")
    assert any("CompletionFlag" in line for line in complaints("dciodvfy", "-new", tmp_path / "broken.dcm"))
