"""Walks over the first elements of an encoded data set without building anything from it (PS3.5 7)."""

import struct
from collections.abc import Container
from typing import NamedTuple

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicom_node.listen.errors import DamagedDataSetError, UnreasonableDataSetError

MAXIMUM_DEPTH = 64
"""Nested sequences of undefined length; DCMTK's limit since 3.7.1, "real data rarely exceeds 5-10"."""
MAXIMUM_ELEMENTS = 100_000

_UNDEFINED = 0xFFFFFFFF
_ITEM_GROUP = 0xFFFE
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
# PS3.5 7.1.2, table 7.1-2: VRs with a length of 16 bits; all others, also future ones, have 32 bits.
_SHORT_LENGTH = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
# Not of PS3.5: toolkits write them where they know no VR, with a length of 16 bits (DCMTK's EVR_UNKNOWN2B, pydicom the same).
_NO_VR = frozenset({b"??", b"  ", b"\0\0"})
_SMALLEST_HEAD = 8
# PS3.5 A.5 and Suppl. 106/235: the whole data set is deflated.
_DEFLATED = frozenset({str(DeflatedExplicitVRLittleEndian), "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})


class Encoding:
    """How elements of a data set are laid out."""

    def __init__(self, byte_order: str, *, is_implicit: bool) -> None:
        """Lay out in a byte order, `<` or `>` as struct has it."""
        self.is_implicit = is_implicit
        self.short = struct.Struct(byte_order + "HH2sH")
        """Group, element, VR, length of 16 bits (PS3.5 7.1.2)."""
        self.long = struct.Struct(byte_order + "HHL")
        """Group, element, length of 32 bits (PS3.5 7.1.3); also of items and delimiters (PS3.5 7.5)."""
        self.length = struct.Struct(byte_order + "L")
        """Length of 32 bits behind a VR that has one."""


class _Head(NamedTuple):
    """What stands before a value."""

    tag: int
    vr: bytes
    """Empty in implicit VR."""
    length: int
    value_at: int


class Found(NamedTuple):
    """The elements that were wanted."""

    values: dict[int, bytes]
    """By tag; of one that is there twice, the first."""
    is_complete: bool
    """Whether the data go on behind the last tag that was wanted."""
    goes_on_at: int = 0
    """Beyond the data, where the next element begins behind one that nobody wants; else 0."""


_IMPLICIT = Encoding("<", is_implicit=True)
_EXPLICIT = Encoding("<", is_implicit=False)
_BIG_ENDIAN = Encoding(">", is_implicit=False)


def is_deflated(transfer_syntax_uid: str) -> bool:
    """Whether the data set as a whole is compressed with deflate."""
    return transfer_syntax_uid in _DEFLATED


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Layout of the (inflated) data set: all but two transfer syntaxes are explicit VR little endian (PS3.5 A.4)."""
    if transfer_syntax_uid == ImplicitVRLittleEndian:
        return _IMPLICIT
    return _BIG_ENDIAN if transfer_syntax_uid == ExplicitVRBigEndian else _EXPLICIT


def find_elements(wanted: Container[int], *, last_tag: int, data: bytes, encoding: Encoding) -> Found:
    """Values of the top level, up to the first tag beyond `last_tag` or the end of the data.

    Elements of undefined length are stepped over and not given. The work is linear in the length of the data.

    Raises:
        DamagedDataSetError: The elements do not follow PS3.5 7.
        UnreasonableDataSetError: They are nested or many beyond all reason.
    """
    values: dict[int, bytes] = {}
    position = 0
    for _ in range(MAXIMUM_ELEMENTS):
        if len(data) - position < _SMALLEST_HEAD and not data[position:].strip(b"\0"):
            return Found(values, is_complete=False)
        head = _head_at(data, position, encoding)
        tag, _, length, value_at = head
        if tag > last_tag:
            return Found(values, is_complete=True)
        if length == _UNDEFINED:
            position = _after_undefined(data, head, encoding)
            continue
        position = value_at + length
        if position > len(data):
            if tag in wanted:
                raise DamagedDataSetError
            return Found(values, is_complete=False, goes_on_at=position)
        if tag in wanted and tag not in values:
            values[tag] = data[value_at:position]
    raise UnreasonableDataSetError


def _head_at(data: bytes, position: int, encoding: Encoding) -> _Head:
    """The header of the element that begins at a position (PS3.5 7.1.2, 7.1.3, 7.5)."""
    try:
        group, element, vr, length = encoding.short.unpack_from(data, position)
        if encoding.is_implicit or group == _ITEM_GROUP:
            _, _, length = encoding.long.unpack_from(data, position)
            return _Head(group << 16 | element, b"", length, position + 8)
        if vr in _SHORT_LENGTH or vr in _NO_VR:
            return _Head(group << 16 | element, vr, length, position + 8)
        (length,) = encoding.length.unpack_from(data, position + 8)
    except struct.error as exc:
        raise DamagedDataSetError from exc
    if not (vr.isalpha() and vr.isupper()):
        raise DamagedDataSetError
    return _Head(group << 16 | element, vr, length, position + 12)


def _after_undefined(data: bytes, head: _Head, encoding: Encoding) -> int:
    """Position behind the delimiter of an element of undefined length (PS3.5 7.5.2)."""
    try:
        return _behind_items(data, head.value_at, _inside(head, encoding))
    except DamagedDataSetError:
        if _inside(head, encoding) is encoding:
            raise
        # Against the standard, some write the items of a UN as they write all else.
        return _behind_items(data, head.value_at, encoding)


def _behind_items(data: bytes, position: int, encoding: Encoding) -> int:
    """Position behind the delimiter that ends the items from a position on, found without recursion."""
    # What is open, outermost first: sequences and items of undefined length, each with the encoding inside it.
    open_levels = [(_ITEM, encoding)]
    while open_levels:
        if len(open_levels) > 2 * MAXIMUM_DEPTH:
            raise UnreasonableDataSetError
        awaited, inner = open_levels[-1]
        current = _head_at(data, position, inner)
        position = current.value_at
        if awaited == _ITEM:
            position += _step_in_sequence(current, inner, open_levels)
        else:
            position += _step_in_item(current, inner, open_levels)
    return position


def _step_in_sequence(head: _Head, encoding: Encoding, open_levels: list[tuple[int, Encoding]]) -> int:
    """Enter or step over an item, or leave the sequence; the length to skip."""
    if head.tag == _SEQUENCE_END:
        open_levels.pop()
        return 0
    if head.tag != _ITEM:
        raise DamagedDataSetError
    if head.length == _UNDEFINED:
        open_levels.append((_ITEM_END, encoding))
        return 0
    return head.length


def _step_in_item(head: _Head, encoding: Encoding, open_levels: list[tuple[int, Encoding]]) -> int:
    """Step over an element, enter one of undefined length, or leave the item; the length to skip."""
    if head.tag == _ITEM_END:
        open_levels.pop()
        return 0
    if head.length == _UNDEFINED:
        open_levels.append((_ITEM, _inside(head, encoding)))
        return 0
    return head.length


def _inside(head: _Head, encoding: Encoding) -> Encoding:
    """Encoding of the items: UN of undefined length is implicit VR little endian (PS3.5 6.2.2, note 4)."""
    return _IMPLICIT if head.vr == b"UN" else encoding
