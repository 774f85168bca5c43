"""Elements in Explicit VR Little Endian as bytes (PS3.5 7.1.2, 7.5), for what occurs thousands of times."""

import struct
from typing import Final

LONG_LENGTH: Final = frozenset({"OB", "SQ"})
"""Of the VRs written here, those with two reserved bytes and a length of four (PS3.5 table 7.1-1)."""

PADDING: Final = {"UI": b"\0"}
"""What makes a value even; a space for all other VRs of text (PS3.5 6.2)."""


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One element; `value` has an even length."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in LONG_LENGTH:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def text_element(tag: int, vr: str, text: str) -> bytes:
    """One element with text in ASCII."""
    value = text.encode("ascii")
    return element(tag, vr, value + PADDING.get(vr, b" ") * (len(value) % 2))


def sequence(tag: int, *items: bytes) -> bytes:
    """A sequence; each item is its elements in ascending order of tags."""
    return element(tag, "SQ", b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items))


def code_item(value: str, scheme: str, meaning: str) -> bytes:
    """The content of an item of a code sequence (PS3.3 8.8)."""
    return b"".join(
        (
            text_element(0x00080100, "SH", value),
            text_element(0x00080102, "SH", scheme),
            text_element(0x00080104, "LO", meaning),
        )
    )
