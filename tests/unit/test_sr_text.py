"""The report as text says in words what the others say in numbers, and holds nothing that Basic Text SR forbids."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from builders.analysis import StudyPlan, used_prior
from builders.report import children, code, walk
from builders.results import ResultShelf
from dicom_node.results.plan import ResultPlan, SrClass
from pipeline.findings import DroppedPrior, GoneLesion, LesionKind, Side

TEXT_ONLY = ResultPlan(sr_classes=(SrClass.BASIC_TEXT,))
FOLLOW_UP = StudyPlan(
    priors_used=(used_prior(),),
    priors_dropped=(DroppedPrior(study_instance_uid="2.25.9", reason="The lungs did not overlap."),),
    gone_lesions=(
        GoneLesion(
            tracking_uid="2.25.77",
            tracking_id="Lesion 0077",
            kind=LesionKind.GROUND_GLASS,
            side=Side.LEFT,
            prior_volume_ml=3.2,
        ),
    ),
)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def sentences(report: Dataset, section: str) -> list[str]:
    """The texts of a section."""
    (found,) = children(report, section)
    return [str(item.TextValue) for item in found.ContentSequence if item.ValueType == "TEXT"]


def test_conclusions_come_first_and_begin_with_the_intended_use(shelf: ResultShelf) -> None:
    """Whoever reads no further has read what the report is not."""
    report = shelf.read("sr.dcm", FOLLOW_UP, plan=TEXT_ONLY)
    containers = [item for item in report.ContentSequence if item.ValueType == "CONTAINER"]
    assert containers[0].ConceptNameCodeSequence[0].CodeMeaning == "Conclusions"
    said = sentences(report, "Conclusions")
    assert said[0].startswith("Not for diagnostic use")
    assert said[1].startswith("3 lesions were found, 86.5 cm3 in all")
    assert said[2].startswith("Positive at the default operating point")
    assert code(containers[0], "Stage of disease on CT (Pan 2020)") == "Advanced (progressive) stage"


def test_each_lesion_is_a_sentence_with_its_key_image(shelf: ResultShelf) -> None:
    """Kind, side, size, density, and the change with the study it is against."""
    report = shelf.read("sr.dcm", FOLLOW_UP, plan=TEXT_ONLY)
    first = children(children(report, "Findings")[0], "Finding")[0]
    assert first.TextValue == (
        "Lesion 0001: ground glass, right lung, 61.56 cm3 (5.48 % of that lung), mean -550 HU, SD 12 HU, score 0.90. "
        "Grown by +30.78 cm3, +100 % since the CT of 2024-02-20, 14.1 days earlier."
    )
    image = first.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert image in {item.ReferencedSOPInstanceUID for item in evidence[0].ReferencedSOPSequence}


def test_priors_and_lesions_no_longer_seen_are_told(shelf: ResultShelf) -> None:
    """A study that was compared, one that was not, and what is gone."""
    report = shelf.read("sr.dcm", FOLLOW_UP, plan=TEXT_ONLY)
    assert sentences(report, "Prior Procedure Descriptions") == [
        "Compared with: CT of 2024-02-20, 14.1 days earlier, study 2.25.501.",
        "Not used: study 2.25.9. The lungs did not overlap.",
    ]
    assert sentences(report, "Previous Findings") == [
        "Lesion 0077: ground glass, left lung, no longer seen; 3.20 cm3 in the prior study."
    ]


def test_no_finding_is_told_with_where_and_with_what_limits(shelf: ResultShelf) -> None:
    """Nothing was found: in which lungs, on how many slices, and what would not have been seen."""
    report = shelf.read("sr.dcm", StudyPlan(with_lesions=False), plan=TEXT_ONLY)
    assert sentences(report, "Conclusions")[1].startswith("No lesion was found in the lungs")
    told = " ".join(sentences(report, "Current Procedure Descriptions"))
    for part in ("20 slices 9 mm apart", "less than 0.1 cm3", "synthetic data only", "ab" * 32):
        assert part in told


def test_it_holds_no_number_and_no_coordinate(shelf: ResultShelf) -> None:
    """Value types are those of PS3.3 A.35.1.3.1."""
    report = shelf.read("sr.dcm", FOLLOW_UP, plan=TEXT_ONLY)
    found = {item.ValueType for item in walk(report)}
    assert found == {"CONTAINER", "CODE", "TEXT", "UIDREF", "IMAGE"}


def test_it_names_the_same_evidence(shelf: ResultShelf) -> None:
    """All images and both segmentations."""
    report = shelf.read("sr.dcm", plan=TEXT_ONLY)
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [len(series.ReferencedSOPSequence) for series in evidence] == [20, 1, 1]


def test_it_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    """The same analysis and context give the same object."""
    written = [ResultShelf(tmp_path / name).folder(plan=TEXT_ONLY) / "out" / "sr.dcm" for name in "ab"]
    assert written[0].read_bytes() == written[1].read_bytes()
