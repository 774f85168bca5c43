"""Each report names as its predecessor what a destination has, best the one of its own class."""

from pathlib import Path

import pydicom
import pytest
from pydicom.uid import BasicTextSRStorage, ComprehensiveSRStorage

from builders.analysis import build_analysis, build_context
from dicom_node.results.plan import ResultPlan, SrClass
from dicom_node.results.write import write_result_set
from dicom_node.superseding import Superseded, superseded
from storage.records import ResultFile, ResultSet

TWO_CLASSES = ResultPlan(sr_classes=(SrClass.COMPREHENSIVE, SrClass.BASIC_TEXT), pdf=False)
COMPREHENSIVE, BASIC_TEXT = "sr.dcm", "sr-basic-text.dcm"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ResultFile]:
    """The files of a first result by their names."""
    folder = tmp_path_factory.mktemp("first")
    files = write_result_set(build_analysis(folder / "ct"), build_context(plan=TWO_CLASSES), folder=folder / "out")
    return {file.path.name: file for file in files}


def found(first: dict[str, ResultFile], *taken: str) -> Superseded:
    """What is said of the first result, of which destinations have these files."""
    result = ResultSet(attempt_id=1, revision=1, created_at=build_context().created_at, files=tuple(first.values()))
    return superseded(result, taken={first[name].sop_instance_uid for name in taken})


def named(found: Superseded, folder: Path) -> dict[str, str]:
    """SOP Instance UID of the predecessor that each report of the next result names."""
    context = build_context(
        plan=TWO_CLASSES,
        revision=2,
        predecessor=found.predecessor,
        further_predecessors=found.further_predecessors,
    )
    write_result_set(build_analysis(folder / "ct"), context, folder=folder / "out")
    reports = {name: pydicom.dcmread(folder / "out" / name) for name in (COMPREHENSIVE, BASIC_TEXT)}
    return {
        name: report.PredecessorDocumentsSequence[0]
        .ReferencedSeriesSequence[0]
        .ReferencedSOPSequence[0]
        .ReferencedSOPInstanceUID
        for name, report in reports.items()
    }


def test_each_report_names_the_one_of_its_class(first: dict[str, ResultFile], tmp_path: Path) -> None:
    """One destination took the one, another the other."""
    assert first[COMPREHENSIVE].sop_class_uid == ComprehensiveSRStorage
    assert first[BASIC_TEXT].sop_class_uid == BasicTextSRStorage
    assert named(found(first, COMPREHENSIVE, BASIC_TEXT, "seg-lungs.dcm"), tmp_path) == {
        name: first[name].sop_instance_uid for name in (COMPREHENSIVE, BASIC_TEXT)
    }


def test_no_report_names_one_that_nobody_has(first: dict[str, ResultFile], tmp_path: Path) -> None:
    """The PACS takes no Comprehensive SR: what it has is named by both."""
    uid = first[BASIC_TEXT].sop_instance_uid
    assert named(found(first, BASIC_TEXT), tmp_path) == {COMPREHENSIVE: uid, BASIC_TEXT: uid}


def test_where_nobody_has_a_report_each_names_its_own(first: dict[str, ResultFile]) -> None:
    """A destination has the segmentations of that result."""
    said = found(first, "seg-lungs.dcm")
    assert said.predecessor
    assert said.predecessor.sop_instance_uid == first[COMPREHENSIVE].sop_instance_uid
    assert [one.sop_instance_uid for one in said.further_predecessors] == [first[BASIC_TEXT].sop_instance_uid]
