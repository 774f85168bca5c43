"""Sentences that people read hold with the numbers that they print."""

from dataclasses import replace

import pytest

from builders.analysis import DEFAULT_POINT, build_analysis
from dicom_node.results import codes
from dicom_node.results.page.words import headline
from dicom_node.results.sentences import conclusion, decision, describe_lesion
from dicom_node.results.sr_numbers import lesion_numbers, summary_numbers
from dicom_node.wording import percent_in_words
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


@pytest.mark.parametrize(
    ("percent", "digits", "said"),
    [
        (4.62, 1, "4.6 %"),
        (0.0, 1, "0.0 %"),
        (0.05, 1, "0.1 %"),
        (0.04, 1, "less than 0.1 %"),
        (0.002, 2, "less than 0.01 %"),
        (0.02, 2, "0.02 %"),
    ],
)
def test_what_is_there_is_never_said_to_be_nothing(percent: float, digits: int, said: str) -> None:
    """A share that would be rounded to 0 is less than the least that is told."""
    assert percent_in_words(percent, digits) == said


def test_a_small_lesion_is_a_share_of_the_lungs_in_words_and_numbers(findings: Findings) -> None:
    """Two digits that count in the coded number; sentences and page say less than what."""
    share = 100 * 0.1 / 5000
    small = replace(findings.lesions[0], share_of_lung_percent=share, volume_ml=0.1)
    few = replace(findings, lesions=(small,), involvement_percent=share)
    assert "less than 0.1 % of both lungs" in conclusion(few)
    assert "less than 0.01 % of that lung" in describe_lesion(small, few)
    assert "1 lesion in the right lung, < 0.01 % of lung volume" in headline(few)
    (number,) = [one for one in summary_numbers(few) if one.name == codes.INVOLVEMENT]
    assert float(number[0].MeasuredValueSequence[0].NumericValue) == pytest.approx(0.002)


@pytest.mark.parametrize("percent", [4.567, 0.0123, 0.00345, 1e-6, 0.0, -0.0042, 1234.5678])
def test_coded_percentages_are_valid_and_near(findings: Findings, percent: float) -> None:
    """Two digits that count at least, in no more than 16 characters."""
    lesion = replace(findings.lesions[0], share_of_lung_percent=percent)
    (number,) = [one for one in lesion_numbers(lesion) if one.name == codes.SHARE_OF_LUNG]
    text = str(number[0].MeasuredValueSequence[0].NumericValue)
    assert len(text) <= 16
    assert float(text) == pytest.approx(percent, rel=0.05)
