"""Sentences that people read hold with the numbers that they print."""

from dataclasses import replace

import pytest

from builders.analysis import DEFAULT_POINT, build_analysis
from dicom_node.results.sentences import decision
from pipeline.findings import Findings


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Of a study with lesions."""
    return build_analysis(tmp_path_factory.mktemp("ct")).findings


@pytest.mark.parametrize(
    ("score", "threshold", "said"),
    [
        (0.357, 0.36, "the patient score of 0.357 is below 0.36"),
        (0.3599999, 0.36, "the patient score of 0.3599999 is below 0.36"),
        (0.363, 0.3625, "the patient score of 0.363 is at least 0.3625"),
        (0.36, 0.36, "the patient score of 0.36 is at least 0.36"),
        (0.2512, 0.36, "the patient score of 0.25 is below 0.36"),
    ],
)
def test_score_and_threshold_are_told_apart(findings: Findings, score: float, threshold: float, said: str) -> None:
    """With two digits where these do."""
    point = replace(DEFAULT_POINT, threshold=threshold)
    algorithm = replace(findings.algorithm, operating_points=(point,))
    assert said in (decision(replace(findings, patient_score=score, algorithm=algorithm)) or "")
