"""Text of patients survives in results, in every character set, declared rightly or wrongly."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from builders.analysis import StudyPlan, build_analysis, build_context
from builders.patient_text import PatientText, patient_texts
from builders.programs import complaints
from dicom_node.character_sets import decoded_text
from dicom_node.results.write import dicom_contents

TEXTS = patient_texts()

KANJI = b"Suzuki^Shun=\x1b$BNkLZ\x1b(B^\x1b$B=S\x1b(B"
KANJI_NAME = "Suzuki^Shun=鈴木^俊"
HONG = "Hong^Gildong=洪^吉洞"

WRONG = {
    "UTF-8 that is Latin-1": ("ISO_IR 192", "Müller^Jörg".encode("latin_1"), "Müller^Jörg"),
    "UTF-8 that is ISO 2022": ("ISO_IR 192", KANJI, KANJI_NAME),
    "Latin-1 that is ISO 2022": ("ISO_IR 100", KANJI, KANJI_NAME),
    "Arabic that is Latin-1": ("ISO_IR 127", "Müller^Jörg".encode("latin_1"), "Müller^Jörg"),
    "Arabic that is UTF-8": ("ISO_IR 127", "Müller^Jörg".encode(), "Müller^Jörg"),
    "nothing, and Latin-1": ("", "Müller^Jörg".encode("latin_1"), "Müller^Jörg"),
    "nothing, and UTF-8": ("", "Müller^Jörg=山田^太郎".encode(), "Müller^Jörg=山田^太郎"),
    "nothing, and ISO 2022": ("", KANJI, KANJI_NAME),
    "unknown, and Latin-1": ("ISO_IR 999", "Müller^Jörg".encode("latin_1"), "Müller^Jörg"),
    "unknown, and UTF-8": ("UTF-8", "Müller^Jörg".encode(), "Müller^Jörg"),
    "unknown, and ASCII": ("WINDOWS", b"Smith^Ann", "Smith^Ann"),
    "spelt carelessly": ("ISO-IR-100", "Müller^Jörg".encode("latin_1"), "Müller^Jörg"),
    "Korean without escape sequences": ("\\ISO 2022 IR 149", HONG.encode("euc_kr"), HONG),
    "extension as the only value": ("ISO 2022 IR 87", KANJI, KANJI_NAME),
    "bytes of no set": ("ISO_IR 192", b"A\xff\xfe\x80^B", "A\xff\xfe\x80^B"),
    "an unknown escape sequence": ("\\ISO 2022 IR 87", b"A\x1b%Gx^B", "A\u241b%Gx^B"),
}
"""What is declared, what is there, what the results say."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:The string:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Unknown encoding:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Failed to encode value:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Incorrect value for Specific Character Set:UserWarning"),
]


def results_of(text: PatientText, folder: Path) -> dict[str, bytes]:
    """The DICOM results of a study with this text, by their file names."""
    analysis = build_analysis(folder / "ct", StudyPlan(change_header=text.put))
    results = {content.name: content.data for content in dicom_contents(analysis, build_context())}
    assert {"sr.dcm", "seg-lungs.dcm", "seg-lesions.dcm"} <= set(results)
    return results


def read(data: bytes) -> Dataset:
    """As plain pydicom reads it."""
    return pydicom.dcmread(BytesIO(data))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_names_and_text_read_back_equal(tmp_path: Path, text: PatientText) -> None:
    """From every object, all groups of a name, also in sequences and in attributes of many values; dciodvfy agrees."""
    for name, data in results_of(text, tmp_path).items():
        result = read(data)
        assert str(result.PatientName) == text.name
        assert str(result.ReferringPhysicianName) == text.name
        assert [str(other) for other in result.OtherPatientNames] == [text.name, text.name]
        assert result.StudyDescription == text.text
        assert result.AdditionalPatientHistory == text.text
        if result.Modality in {"SR", "SEG"}:
            assert result.ContributingEquipmentSequence[0].InstitutionName == text.text
        assert result.ProcedureCodeSequence[0].CodeMeaning == text.text
        (tmp_path / name).write_bytes(data)
        assert complaints("dciodvfy", "-new", tmp_path / name) == []


@pytest.mark.parametrize(("declared", "value", "expected"), WRONG.values(), ids=WRONG.keys())
def test_text_that_is_declared_wrongly_is_not_lost(tmp_path: Path, declared: str, value: bytes, expected: str) -> None:
    """It becomes UTF-8, read by the first reading that takes all bytes."""
    text = PatientText(declared=declared, name_bytes=value, name=expected, text_bytes=value, text=expected)
    for data in results_of(text, tmp_path).values():
        result = read(data)
        assert result.SpecificCharacterSet == "ISO_IR 192"
        assert (str(result.PatientName), result.StudyDescription) == (expected, expected)


def test_a_set_that_takes_every_byte_is_copied_with_its_bytes(tmp_path: Path) -> None:
    """UTF-8 declared as Latin-1 cannot be told from Latin-1: results show what the images show."""
    value = "Müller^山田".encode()
    text = PatientText(declared="ISO_IR 100", name_bytes=value, name="", text_bytes=value, text="")
    for data in results_of(text, tmp_path).values():
        result = read(data)
        assert result.SpecificCharacterSet == "ISO_IR 100"
        assert result.PatientName.original_string == value


@pytest.mark.parametrize(
    "text", [text for text in TEXTS.values() if text.declared in {"ISO_IR 126", "ISO_IR 144", "ISO_IR 101"}]
)
def test_a_plain_set_stays_what_it_is(tmp_path: Path, text: PatientText) -> None:
    """So that a viewer that knows the images' character set knows that of the results."""
    for data in results_of(text, tmp_path).values():
        assert read(data).SpecificCharacterSet == text.declared
        assert text.name_bytes in data


def test_the_initial_set_is_in_force_again_after_a_delimiter() -> None:
    """An escape sequence holds up to the end of a component of a name."""
    value = b"\x1b-L\xb8\xd2\xd0\xdd^M\xfcller"
    assert decoded_text(value, ("ISO 2022 IR 100", "ISO 2022 IR 144"), is_name=True) == "Иван^Müller"
