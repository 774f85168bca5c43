"""The phantom patient of the demo, and what the table says about findings."""

import json
from pathlib import Path

import pytest

from dicom_node.demo.patient import PatientPlan, write_patient
from dicom_node.demo.summary import FindingsSummary
from dicom_node.folders import FolderStudy, find_studies
from pipeline.phantom import Course, Scan

PLAN = PatientPlan(
    seed=3, course=Course.EARLY, days=(5.0, 9.0), scan=Scan(matrix=64, slice_spacing_mm=10.0, slice_thickness_mm=1.0)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny patient."""
    out = tmp_path_factory.mktemp("patient")
    write_patient(PLAN, out, on_study=lambda _number, _folder: None)
    return out


def _studies(folder: Path) -> tuple[FolderStudy, ...]:
    return find_studies([folder]).studies


def test_the_studies_are_days_apart_and_of_one_patient(folder: Path) -> None:
    """So that the node links them."""
    earlier, current = _studies(folder)

    assert earlier.files.acquired_at is not None
    assert current.files.acquired_at is not None
    assert (current.files.acquired_at - earlier.files.acquired_at).days == 4
    assert earlier.patient == current.patient


def test_the_same_plan_gives_the_same_studies_and_leaves_nothing_old_behind(folder: Path, tmp_path: Path) -> None:
    """A second demo into the same folder sends no image of another plan."""
    stale = tmp_path / "day-5" / "series-2-image-9999.dcm"
    stale.parent.mkdir()
    stale.write_bytes(b"")

    write_patient(PLAN, tmp_path, on_study=lambda _number, _folder: None)

    assert not stale.exists()
    assert [s.files.study_instance_uid for s in _studies(tmp_path)] == [
        s.files.study_instance_uid for s in _studies(folder)
    ]


def test_findings_are_told_in_a_few_words(tmp_path: Path) -> None:
    """Counts per change, gone lesions included."""
    lesion = {"tracking_uid": "2.25.1", "volume_ml": 2.0}
    document = {
        "stage": "early",
        "involvement_percent": 1.25,
        "lungs": [{"side": "right", "volume_ml": 2100.0}, {"side": "left", "volume_ml": 1900.0}],
        "lesions": [lesion | {"change": "new"}, lesion | {"change": "new"}, lesion | {"change": "grown"}],
        "gone_lesions": [{"tracking_uid": "2.25.2"}],
        "priors_used": [{"study_instance_uid": "1.2.3"}],
        "something_else": 1,
    }
    (tmp_path / "findings.json").write_text(json.dumps(document))

    summary = FindingsSummary.read(tmp_path / "findings.json")

    assert summary.found == "3 lesions, 1.2 % of the lungs, stage: early"
    assert summary.changes == "2 new, 1 grown, 1 gone"
