"""Writes the first bytes of a DICOM file (PS3.10 7.1)."""

import struct
from functools import lru_cache

# A UUID of our own (PS3.5 B.2), for all versions of the node: the same object received by an older and by a newer
# version must be the same bytes, or a resend would count as a conflict. The version name is constant for that reason.
IMPLEMENTATION_CLASS_UID = "2.25.52918799225017122386099352312751159349"
IMPLEMENTATION_VERSION_NAME = "DICOM_NODE"

# PS3.10 7.1: 128 bytes for whatever an application likes. Zeros, so that no file is also a program (CVE-2019-11687).
_PREAMBLE = bytes(128)


def file_meta(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and file meta information; the data set follows it as it came from the wire.

    The same object gives the same bytes: neither the sender nor the time is in it.
    """
    before, after = _around_instance(sop_class_uid, transfer_syntax_uid)
    elements = before + _element(0x0003, b"UI", _padded(sop_instance_uid, b"\0")) + after
    return _PREAMBLE + b"DICM" + _element(0x0000, b"UL", struct.pack("<L", len(elements))) + elements


@lru_cache(maxsize=256)
def _around_instance(sop_class_uid: str, transfer_syntax_uid: str) -> tuple[bytes, bytes]:
    """What stands before and behind the SOP Instance UID."""
    before = _element(0x0001, b"OB", b"\0\1") + _element(0x0002, b"UI", _padded(sop_class_uid, b"\0"))
    after = (
        _element(0x0010, b"UI", _padded(transfer_syntax_uid, b"\0"))
        + _element(0x0012, b"UI", _padded(IMPLEMENTATION_CLASS_UID, b"\0"))
        + _element(0x0013, b"SH", _padded(IMPLEMENTATION_VERSION_NAME, b" "))
    )
    return before, after


def _padded(text: str, padding: bytes) -> bytes:
    """The text in an even number of bytes (PS3.5 6.2)."""
    value = text.encode("ascii")
    return value + padding if len(value) % 2 else value


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    """An element of group 0002 in explicit VR little endian (PS3.5 7.1.2)."""
    head = struct.pack("<HH2s", 0x0002, number, vr)
    if vr == b"OB":
        return head + struct.pack("<xxL", len(value)) + value
    return head + struct.pack("<H", len(value)) + value
