"""PixelMed, which checks structured reports against the templates of PS3.16, finds no error."""

import re
from pathlib import Path

import pydicom
import pytest

from builders.analysis import StudyPlan
from builders.programs import pixelmed_lines
from builders.report import groups
from builders.result_plans import NO_FINDING, WITH_PRIORS
from builders.results import ResultShelf
from dicom_node.results.plan import ResultPlan, SrClass, SrLayout

PLACE = re.compile(r"Template (?P<guessed>\d+) .*within 1\.\d+\.(?P<group>\d+): .*\"Measurement Group\"\)")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def is_guess(line: str, report: Path) -> bool:
    """PixelMed guesses the template of a measurement group; known to be wrong where the group itself names another."""
    found = PLACE.search(line)
    if found is None:
        return False
    group = groups(pydicom.dcmread(report))[int(found["group"]) - 1]
    return bool(group.ContentTemplateSequence[0].TemplateIdentifier != found["guessed"])


def errors(report: Path) -> list[str]:
    """What it complains about; warnings are of items that extensible templates do not list."""
    lines = pixelmed_lines(report)
    assert any("Root Template Validation Complete" in line for line in lines), lines[-5:]
    assert any("IOD validation complete" in line for line in lines), lines[-5:]
    return [line for line in lines if line.startswith("Error") and not is_guess(line, report)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "plan"),
    [
        (WITH_PRIORS, ResultPlan()),
        (NO_FINDING, ResultPlan(sr_classes=(SrClass.ENHANCED,))),
        (WITH_PRIORS, ResultPlan(sr_classes=(SrClass.COMPREHENSIVE_3D,), sr_layout=SrLayout.SEGMENTS_ONLY)),
        (WITH_PRIORS, ResultPlan(sr_classes=(SrClass.BASIC_TEXT,))),
    ],
    ids=["comprehensive, with priors", "enhanced, no finding", "3D, segments only", "basic text"],
)
def test_pixelmed_finds_no_error(shelf: ResultShelf, study: StudyPlan, plan: ResultPlan) -> None:
    """Templates, relationships and value types are as PS3.16 and PS3.3 say."""
    assert errors(shelf.folder(study, plan=plan) / "out" / "sr.dcm") == []


@pytest.mark.slow
def test_pixelmed_is_listened_to(shelf: ResultShelf, tmp_path: Path) -> None:
    """A number under a wrong relationship is complained about, so the silence above means something."""
    report = shelf.read("sr.dcm", NO_FINDING)
    number = next(item for item in groups(report)[0].ContentSequence if item.ValueType == "NUM")
    number.RelationshipType = "HAS OBS CONTEXT"
    report.save_as(tmp_path / "broken.dcm")
    assert any("Incorrect relationship" in line for line in errors(tmp_path / "broken.dcm"))
