"""What the patient score is worth goes from the model pack into the findings, and no further than it was measured."""

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from builders.analysis import DEFAULT_POINT, StudyPlan, build_analysis
from builders.packs import tiny_description, tiny_pack
from pipeline.engine import identify
from pipeline.findings import ScoreCalibration
from pipeline.model_pack import Calibration, OperatingPoint, PatientOperatingPoints, load_model_pack
from pipeline.plug_ins import PlugIn

CALIBRATION = Calibration(
    method="temperature", patient_temperature=1.2, calibrated_on="validation", population="phantoms", studies=40
)
POINTS = PatientOperatingPoints(
    default=OperatingPoint(threshold=0.5, sensitivity=0.9, specificity=0.8, diseased=20, healthy=20)
)
PLUG_IN = PlugIn(name="acme", package="acme-ct", version="2.1", entry_point=EntryPoint("acme", "acme:make", "group"))


def test_a_pack_says_among_whom_its_score_is_a_probability(tmp_path: Path) -> None:
    """Population, cases and operating points are those of the pack."""
    description = replace(tiny_description(), calibration=CALIBRATION, operating_points=POINTS)
    algorithm = identify(load_model_pack(tiny_pack(tmp_path / "pack", description)), None, None)
    assert algorithm.calibration == ScoreCalibration(population="phantoms", calibrated_on="validation", studies=40)
    assert [(point.name, point.threshold) for point in algorithm.operating_points] == [("default", 0.5)]


@pytest.mark.parametrize("plugged", [(PLUG_IN, None), (None, PLUG_IN)], ids=["lungs", "lesions"])
def test_a_plug_in_takes_the_calibration_away(tmp_path: Path, plugged: tuple[PlugIn | None, PlugIn | None]) -> None:
    """The score was calibrated with both networks of the pack, so beside a plug-in it is no probability."""
    description = replace(tiny_description(), calibration=CALIBRATION, operating_points=POINTS)
    algorithm = identify(load_model_pack(tiny_pack(tmp_path / "pack", description)), *plugged)
    assert (algorithm.calibration, algorithm.operating_points) == (None, ())


def test_a_pack_without_calibration_claims_none(tmp_path: Path) -> None:
    """Nor operating points that nobody measured."""
    algorithm = identify(load_model_pack(tiny_pack(tmp_path / "pack")), None, None)
    assert (algorithm.calibration, algorithm.operating_points, algorithm.default_point) == (None, (), None)


def test_the_bundled_pack_is_calibrated_on_phantoms() -> None:
    """What reports say of the demo weights names phantoms, not people."""
    algorithm = identify(load_model_pack(None), None, None)
    assert algorithm.calibration is not None
    assert algorithm.calibration.population == "synthetic phantoms"
    assert algorithm.default_point is not None


def test_the_bundled_pack_counts_studies_as_its_card_does() -> None:
    """Not their readings: reports print these numbers."""
    pack = load_model_pack(None)
    card = (pack.folder / "docs" / "README.md").read_text()
    assert pack.operating_points is not None
    for point in (pack.operating_points.default, pack.operating_points.specificity_95):
        assert point is not None
        assert point.diseased + point.healthy == pack.calibration.studies
        assert f"| {pack.calibration.studies} ({point.diseased}) |" in card


@pytest.mark.parametrize(("score", "positive"), [(0.39, False), (0.4, True), (0.9, True)])
def test_the_default_operating_point_decides(tmp_path: Path, score: float, positive: bool) -> None:
    """From its threshold on a study is positive."""
    findings = build_analysis(tmp_path / "ct", StudyPlan(operating_points=(DEFAULT_POINT,))).findings
    assert replace(findings, patient_score=score).is_positive is positive
    assert replace(findings, patient_score=score, lesions=()).is_positive is False
