"""The file meta information of a DICOM file (PS3.10 7.1)."""

from pathlib import Path

from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble

_GROUP = 0x0002


def read_file_meta(path: Path) -> tuple[FileMetaDataset, int]:
    """What it says, and where in the file the data set begins.

    It ends with the last element of its group: File Meta Information Group Length (0002,0000), which must be there, is
    missing or wrong in what many tools write.

    Raises:
        InvalidDicomError: It is no DICOM file.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        read_preamble(stream, force=False)
        meta = read_dataset(
            stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, _vr, _length: tag >> 16 != _GROUP
        )
        return FileMetaDataset(meta), stream.tell()
