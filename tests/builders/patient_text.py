"""Names and other text of patients in the character sets of DICOM, as the bytes that senders write."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientText:
    """What a sender writes, and what people read."""

    declared: str
    """Value of Specific Character Set."""
    name_bytes: bytes
    name: str
    text_bytes: bytes
    text: str

    def put(self, image: Dataset) -> None:
        """Write them into a source image as they are, wherever results copy text from."""
        procedure = Dataset()
        procedure.CodeValue, procedure.CodingSchemeDesignator = "P1", "99SITE"
        image.ProcedureCodeSequence = [procedure]
        declare(image, self.declared)
        for keyword in ("PatientName", "ReferringPhysicianName"):
            put_bytes(image, keyword, "PN", self.name_bytes)
        put_bytes(image, "OtherPatientNames", "PN", self.name_bytes + b"\\" + self.name_bytes)
        for keyword, vr in (("StudyDescription", "LO"), ("InstitutionName", "LO"), ("AdditionalPatientHistory", "LT")):
            put_bytes(image, keyword, vr, self.text_bytes)
        put_bytes(procedure, "CodeMeaning", "LO", self.text_bytes)


def declare(image: Dataset, declared: str) -> None:
    """Write a Specific Character Set, whatever it is; none for an empty one."""
    del image.SpecificCharacterSet
    if declared:
        terms = declared.split("\\")
        image["SpecificCharacterSet"] = DataElement("SpecificCharacterSet", "CS", terms, validation_mode=IGNORE)


def put_bytes(dataset: Dataset, keyword: str, vr: str, value: bytes) -> None:
    """Set an attribute to bytes that no character set is applied to."""
    dataset[keyword] = DataElement(keyword, vr, value, validation_mode=IGNORE)


def patient_texts() -> dict[str, PatientText]:
    """By the language that they are in; bytes in hexadecimal are those of the examples in PS3.5 Annexes H to K."""
    entries = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return {language: _patient_text(entry) for language, entry in entries.items()}


def _patient_text(entry: dict[str, str]) -> PatientText:
    name, text = entry["name"], entry.get("text", "Hospital")
    codec = entry.get("codec")
    return PatientText(
        declared=entry["declared"],
        name=name,
        name_bytes=name.encode(codec) if codec else bytes.fromhex(entry["hex"]),
        text=text,
        text_bytes=text.encode(codec or "ascii"),
    )
