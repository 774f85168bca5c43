"""Objects that no honest peer sends, byte by byte."""

import random
import re
import struct

from pydicom.uid import CTImageStorage

from builders.instances import ct_instance, encoded

GRAMMAR = re.compile(rb"[0-9]+(\.[0-9]+)+")
"""PS3.5 9.1 but for its length; leading zeros, which it forbids, are taken: senders have them, they do no harm."""
SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID = 0x00080018, 0x0020000D, 0x0020000E
_PIECES = (
    *(b"..", b"/", b"../", b"\\", b"/etc/passwd", b".", b"\0", b"\n", b"\r\n", b"1.2.3", b"9", b"0", b".1", b".01"),
    *(b"%s", b"\x1b[31m", "\u0661".encode(), b"~", b"C:", b" ", b"1" * 65, b"\xff", b"$(id)", b"'", b"-"),
)
_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
_ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
_SEQUENCE = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"


def hostile_uids(count: int) -> list[bytes]:
    """UIDs that are paths, commands, control characters, too long or empty; the same ones in every run."""
    chance = random.Random(37)  # repeatable, hides nothing
    return [b"".join(chance.choices(_PIECES, k=chance.randint(0, 4))) for _ in range(count)]


def is_uid(uid: bytes) -> bool:
    """Whether a UID is one, with the padding that the standard allows."""
    return bool(GRAMMAR.fullmatch(uid.rstrip(b"\0 "))) and len(uid.rstrip(b"\0 ")) <= 64


def store_command_with(sop_instance_uid: bytes) -> bytes:
    """The command set of a C-STORE-RQ for a CT, with any bytes for the SOP Instance UID (PS3.7 9.3.1.1, E.1)."""
    elements = b"".join(
        (
            _command(0x0002, _even(CTImageStorage.encode())),
            _command(0x0100, struct.pack("<H", 0x0001)),
            _command(0x0110, struct.pack("<H", 1)),
            _command(0x0700, struct.pack("<H", 0)),
            _command(0x0800, struct.pack("<H", 0)),
            _command(0x1000, _even(sop_instance_uid)),
        )
    )
    return _command(0x0000, struct.pack("<L", len(elements))) + elements


def data_with(element: int, uid: bytes) -> bytes:
    """A CT image in explicit VR little endian with any bytes for one of its UIDs."""
    data = encoded(ct_instance())
    at = data.index(_tag(element) + b"UI")
    (length,) = struct.unpack_from("<H", data, at + 6)
    value = _even(uid)
    return data[: at + 6] + struct.pack("<H", len(value)) + value + data[at + 8 + length :]


def nested_data(depth: int, *, is_closed: bool = True) -> bytes:
    """A CT image that begins with sequences of undefined length in each other."""
    data = encoded(ct_instance())
    at = data.index(_tag(0x0020000D))
    closing = (_ITEM_END + _SEQUENCE_END) * depth if is_closed else b""
    return data[:at] + (_SEQUENCE + _ITEM) * depth + closing + data[at:]


def lying_data(length: int, *, vr: bytes = b"OB") -> bytes:
    """A CT image with an element that says it is longer than all that follows."""
    data = encoded(ct_instance())
    at = data.index(_tag(0x0020000D))
    return data[:at] + b"\x18\x00\x10\x99" + vr + b"\0\0" + struct.pack("<L", length) + data[at:]


def _tag(element: int) -> bytes:
    return struct.pack("<HH", element >> 16, element & 0xFFFF)


def _command(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, element, len(value)) + value


def _even(value: bytes) -> bytes:
    return value + b"\0" * (len(value) % 2)
