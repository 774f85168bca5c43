"""Reads what a DICOM file says of itself, without its pixels (PS3.10 7.1)."""

from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from dicom_node.listen.header import HEAD_BYTES, Header, read_header

_BEFORE_META_BYTES = 128 + 4 + 12
"""Preamble, prefix, and the element that holds the length of the rest of the file meta information."""


def read_file_header(path: Path) -> tuple[str, Header]:
    """Transfer Syntax UID and header of a file.

    Raises:
        InvalidDicomError: It is no DICOM file, or its file meta information lacks what must be there.
        NotUnderstoodError: It is no instance of a study.
        OSError: It cannot be read.
    """
    meta = read_file_meta_info(path)
    try:
        syntax, length = str(meta.TransferSyntaxUID), int(meta.FileMetaInformationGroupLength)
    except AttributeError as exc:
        reason = "the file meta information is incomplete"
        raise InvalidDicomError(reason) from exc
    with path.open("rb") as stream:
        stream.seek(_BEFORE_META_BYTES + length)
        return syntax, read_header(stream.read(HEAD_BYTES), syntax)
