"""What a site sets for its results is legible in them, whatever the images declare."""

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from builders.analysis import StudyPlan, build_analysis, build_context
from dicom_node.results.plan import ResultPlan
from dicom_node.results.write import write_result_set

EVERYTHING = ResultPlan(capture=True, presentation_state=True, key_objects=True)


def declares(term: str | None, description: str) -> Callable[[Dataset], None]:
    """Images of this character set."""

    def change(image: Dataset) -> None:
        image.SpecificCharacterSet = term
        image.StudyDescription = description
        image.InstitutionName = "Source"
        if term is None:
            del image.SpecificCharacterSet

    return change


def results(folder: Path, change: Callable[[Dataset], None], **context: str) -> list[Dataset]:
    """Every object of a result, as pydicom reads it."""
    analysis = build_analysis(folder / "ct", StudyPlan(change_header=change))
    write_result_set(analysis, build_context(plan=EVERYTHING, **context), folder=folder / "out")
    read = [pydicom.dcmread(path) for path in sorted((folder / "out").glob("*.dcm"))]
    assert len(read) > 5
    return read


@pytest.mark.parametrize(
    ("term", "description", "institution", "declared"),
    [
        (None, "Chest", "Klinikum Nürnberg", "ISO_IR 192"),
        (None, "Chest", "東京病院", "ISO_IR 192"),
        ("ISO_IR 101", "Płuca", "Hôpital Santé ñ", "ISO_IR 192"),
        ("ISO_IR 100", "Thorax für", "Klinikum Nürnberg", "ISO_IR 100"),
        ("ISO_IR 192", "胸", "東京病院", "ISO_IR 192"),
    ],
)
def test_the_institution_is_legible(
    tmp_path: Path, term: str | None, description: str, institution: str, declared: str
) -> None:
    """The declared set holds it, and what is copied from the images."""
    for result in results(tmp_path, declares(term, description), institution=institution):
        assert result.SpecificCharacterSet == declared
        assert result.InstitutionName == institution
        assert institution in [item.get("InstitutionName") for item in result.ContributingEquipmentSequence]
        assert result.get("StudyDescription", description) == description


def test_the_serial_number_is_legible(tmp_path: Path) -> None:
    """In the header and in the text of the report."""
    made = results(tmp_path, declares(None, "Chest"), device_serial_number="Gerät 1")
    assert {result.DeviceSerialNumber for result in made} == {"Gerät 1"}
    (report,) = [result for result in made if result.Modality == "SR"]
    assert any(item.get("TextValue") == "Gerät 1" for item in report.ContentSequence)


def test_no_institution_is_named_where_none_is_set(tmp_path: Path) -> None:
    """That of the images is where these were made."""
    made = results(tmp_path, declares(None, "Chest"))
    assert not any("InstitutionName" in result for result in made)
    assert not any("SpecificCharacterSet" in result for result in made if result.Modality == "SEG")
