"""The same object in Deflated Explicit VR Little Endian (PS3.5 A.5), for a peer that takes it."""

import struct
import zlib
from io import BytesIO
from typing import Final

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

GROUP_LENGTH_END: Final = 144
"""Preamble, prefix and File Meta Information Group Length (PS3.10 7.1), which counts what follows it."""


def deflated_bytes(data: bytes) -> bytes:
    """A file in Explicit VR Little Endian, deflated; a segmentation shrinks to a hundredth.

    Instance and attributes stay the same. Some viewers and validators cannot read it, so it is for peers that ask for it.

    Raises:
        ValueError: `data` has another transfer syntax, or is no DICOM file.
    """
    (length,) = struct.unpack_from("<I", data, GROUP_LENGTH_END - 4)
    start = GROUP_LENGTH_END + length
    meta = pydicom.dcmread(BytesIO(data[:start])).file_meta
    if meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        msg = "only objects in Explicit VR Little Endian are deflated"
        raise ValueError(msg)
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = DicomBytesIO()
    head.is_little_endian, head.is_implicit_VR = True, False
    write_file_meta_info(head, meta)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = deflate.compress(memoryview(data)[start:]) + deflate.flush()
    return b"".join((data[: GROUP_LENGTH_END - 12], head.getvalue(), body, bytes(len(body) % 2)))
