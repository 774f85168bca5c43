"""The content tree of a report as bytes: pydicom's own writer looks through every subtree anew at each of its levels."""

from collections.abc import Iterable
from typing import Final

from pydicom.charset import default_encoding
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

from dicom_node.results.elements import sequence
from dicom_node.results.encode import dicom_bytes

TREES: Final = {0x0040A375: "CurrentRequestedProcedureEvidenceSequence", 0x0040A730: "ContentSequence"}
"""The sequences of a report that have hundreds of items."""

CODE_TAGS: Final = (0x00080100, 0x00080102, 0x00080104)
"""Code Value, Coding Scheme Designator, Code Meaning."""


def report_bytes(report: Dataset) -> bytes:
    """A structured report as a DICOM file, the same bytes that pydicom writes in a third of the time."""
    encoder = TreeEncoder(report.get("SpecificCharacterSet") or default_encoding)
    rest = Dataset()
    rest.update({element.tag: element for element in report if element.tag not in TREES})
    rest.file_meta = report.file_meta
    trees = {tag: encoder.sequence(tag, report[tag].value) for tag in TREES if tag in report}
    return dicom_bytes(rest, trees)


class TreeEncoder:
    """Encodes sequences in Explicit VR Little Endian; values are written by pydicom, codes once."""

    def __init__(self, character_set: str | list[str]) -> None:
        """Begin without codes."""
        self._character_set = character_set
        self._codes: dict[tuple[object, ...], bytes] = {}

    def sequence(self, tag: int, items: Iterable[Dataset]) -> bytes:
        """A sequence with everything below it."""
        return sequence(tag, *(self._item(item) for item in items))

    def _item(self, item: Dataset) -> bytes:
        """The content of an item; the same code occurs in hundreds."""
        if tuple(sorted(item.keys())) != CODE_TAGS:
            return self._elements(item)
        code = tuple(item[tag].value for tag in CODE_TAGS)
        if code not in self._codes:
            self._codes[code] = self._elements(item)
        return self._codes[code]

    def _elements(self, item: Dataset) -> bytes:
        return b"".join(self._element(item, tag) for tag in sorted(item.keys()))

    def _element(self, item: Dataset, tag: int) -> bytes:
        element = item[tag]
        if element.VR == "SQ":
            return self.sequence(tag, element.value)
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_data_element(buffer, element, self._character_set)
        return buffer.getvalue()
