"""A lung that was not found is told as such, everywhere: nothing is known of it, and it is not called free of disease."""

import json
from pathlib import Path

import pydicom
import pytest

from builders.analysis import STUDY_UID, StudyPlan, build_analysis, build_context
from builders.one_lung import without_left_lung
from builders.programs import complaints
from builders.report import groups_of, numbers
from builders.report_page import page_of, text_of
from builders.site import add_finished_study, pages_in
from dicom_node.demo.summary import FindingsSummary
from dicom_node.results.plan import ResultPlan, SrClass
from dicom_node.results.sentences import conclusion, describe_lungs
from dicom_node.results.write import write_result_set
from pipeline.findings import Analysis, Side

EVERY_SR = ResultPlan(sr_classes=tuple(SrClass))


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Of a study with lesions in its right lung."""
    return without_left_lung(build_analysis(tmp_path_factory.mktemp("ct")))


@pytest.fixture(scope="module")
def results(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of its result set."""
    folder = tmp_path_factory.mktemp("out") / "set"
    write_result_set(analysis, build_context(plan=EVERY_SR), folder=folder)
    return folder


def test_no_share_is_known_of_a_lung_that_is_not_in_the_mask(analysis: Analysis) -> None:
    """Not 0: that would call it healthy."""
    assert analysis.findings.missing_lungs == (Side.LEFT,)
    assert [lung.involvement_percent is None for lung in analysis.findings.lungs] == [False, True]


def test_report_has_no_number_of_it_in_any_class(results: Path) -> None:
    """And is valid for strangers; its summary is of the side that was found."""
    reports = sorted(results.glob("sr*.dcm"))
    assert len(reports) == len(SrClass)
    for path in reports:
        assert b"Percentage of left lung involved" not in path.read_bytes()
        assert complaints("dciodvfy", "-new", path) == []
    (summary, *_) = groups_of(pydicom.dcmread(results / "sr.dcm"), "Lung found")
    assert "Percentage of right lung involved" in numbers(summary)
    assert not groups_of(pydicom.dcmread(results / "sr.dcm"), "Both lungs")


def test_findings_document_knows_no_share_of_it(results: Path) -> None:
    """Null, with a volume of 0."""
    document = json.loads((results / "findings.json").read_bytes())
    right, left = document["lungs"]
    assert (left["side"], left["volume_ml"], left["involvement_percent"]) == ("left", 0.0, None)
    assert right["involvement_percent"] == pytest.approx(document["involvement_percent"])


def test_sentences_say_that_it_was_not_found(analysis: Analysis) -> None:
    """And of what the whole share is."""
    said = conclusion(analysis.findings)
    assert "% of the lung found involved (right lung" in said
    assert said.count("no left lung was found") == 1
    assert "left lung 0" not in said
    assert list(describe_lungs(analysis.findings))[1] == "Left lung: not found."


def test_sentence_without_lesions_says_so_too(tmp_path: Path) -> None:
    """Nothing found in one lung is nothing said of the other."""
    said = conclusion(without_left_lung(build_analysis(tmp_path, StudyPlan(with_lesions=False))).findings)
    assert said.startswith("No lesion was found in the right lung (involved: right lung 0.0 %). No left lung was found")


def test_page_has_no_bar_of_it(analysis: Analysis) -> None:
    """Its row says why."""
    said = text_of(page_of(analysis))
    assert "Left lung: not found" in said
    assert "The lung found," in said
    assert "of lung volume; no left lung was found" in said


def test_line_of_a_table_says_so(results: Path) -> None:
    """As on the overview picture and in the demo."""
    found = FindingsSummary.read(results / "findings.json").found
    assert "% of the lung found, stage" in found and found.endswith("no left lung was found")


def test_web_page_says_so(tmp_path: Path) -> None:
    """Beside the share."""
    with pages_in(tmp_path) as pages:
        add_finished_study(pages, changed=without_left_lung)
        text = pages.logged_in("vera").get(f"/studies/{STUDY_UID}").text
    assert "of the lung found; no left lung was found" in text
