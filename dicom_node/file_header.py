"""Reads what a DICOM file says of itself, without its pixels (PS3.10 7.1)."""

import struct
from pathlib import Path

from pydicom.errors import BytesLengthException, InvalidDicomError

from dicom_node.listen.header import HEAD_BYTES, Header, read_header
from pipeline.file_meta import read_file_meta

# Found by cutting a file at each of its first bytes, and by changing those: pydicom decodes a value when it is asked for.
_OF_DAMAGED_META = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, TypeError, ValueError, struct.error),
    *(BytesLengthException, NotImplementedError, RecursionError),
)


def read_file_header(path: Path) -> tuple[str, Header]:
    """Transfer Syntax UID and header of a file.

    Raises:
        InvalidDicomError: It is no DICOM file, or its file meta information is damaged or lacks what must be there.
        NotUnderstoodError: It is no instance of a study.
        OSError: It cannot be read.
    """
    syntax, data_set_at = _syntax_and_start(path)
    with path.open("rb") as stream:

        def more(at: int) -> bytes:
            stream.seek(data_set_at + at)
            return stream.read(HEAD_BYTES)

        return syntax, read_header(more(0), syntax, more=more)


def _syntax_and_start(path: Path) -> tuple[str, int]:
    """Transfer Syntax UID of the data set, and where in the file it begins."""
    try:
        meta, data_set_at = read_file_meta(path)
        return str(meta.TransferSyntaxUID), data_set_at
    except _OF_DAMAGED_META as exc:
        reason = "the file meta information is damaged or incomplete"
        raise InvalidDicomError(reason) from exc
