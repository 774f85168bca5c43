"""Walks over the first elements of an encoded data set without building anything from it (PS3.5 7)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicom_node.listen.errors import DamagedDataSetError, UnreasonableDataSetError

MAXIMUM_DEPTH = 64
"""Nested sequences of undefined length; DCMTK's limit since 3.7.1, "real data rarely exceeds 5-10"."""
MAXIMUM_ELEMENTS = 100_000

_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
# PS3.5 7.1.2, table 7.1-2: VRs with a length of 16 bits; all others, also future ones, have 32 bits.
_SHORT_LENGTH = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
# PS3.5 A.5 and Suppl. 106/235: the whole data set is deflated.
_DEFLATED = frozenset({str(DeflatedExplicitVRLittleEndian), "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements of a data set are laid out."""

    is_implicit: bool
    byte_order: str
    """`<` or `>`, as struct has it."""


@dataclass(frozen=True, slots=True)
class _Head:
    """What stands before a value."""

    tag: int
    vr: bytes
    """Empty in implicit VR."""
    length: int
    value_at: int


_IMPLICIT = Encoding(is_implicit=True, byte_order="<")


def is_deflated(transfer_syntax_uid: str) -> bool:
    """Whether the data set as a whole is compressed with deflate."""
    return transfer_syntax_uid in _DEFLATED


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Layout of the (inflated) data set: all but two transfer syntaxes are explicit VR little endian (PS3.5 A.4)."""
    return Encoding(
        is_implicit=transfer_syntax_uid == ImplicitVRLittleEndian,
        byte_order=">" if transfer_syntax_uid == ExplicitVRBigEndian else "<",
    )


def elements_until(last_tag: int, data: bytes, encoding: Encoding) -> Iterator[tuple[int, bytes]]:
    """Tags with values of the top level, up to the first tag beyond `last_tag` or the end of the data.

    Elements of undefined length are stepped over and not given. The work is linear in the length of the data.

    Raises:
        DamagedDataSetError: The elements do not follow PS3.5 7.
        UnreasonableDataSetError: They are nested or many beyond all reason.
    """
    position = 0
    for _ in range(MAXIMUM_ELEMENTS):
        if position >= len(data):
            return
        head = _head_at(data, position, encoding)
        if head.tag > last_tag:
            return
        if head.length == _UNDEFINED:
            position = _after_undefined(data, head, encoding)
            continue
        position = head.value_at + head.length
        if position > len(data):
            raise DamagedDataSetError
        yield head.tag, data[head.value_at : position]
    raise UnreasonableDataSetError


def _head_at(data: bytes, position: int, encoding: Encoding) -> _Head:
    """The header of the element that begins at a position (PS3.5 7.1.2, 7.1.3, 7.5)."""
    order = encoding.byte_order
    try:
        group, element = struct.unpack_from(order + "HH", data, position)
        tag = group << 16 | element
        if encoding.is_implicit or group == 0xFFFE:
            (length,) = struct.unpack_from(order + "L", data, position + 4)
            return _Head(tag, b"", length, position + 8)
        vr = data[position + 4 : position + 6]
        if vr in _SHORT_LENGTH:
            (length,) = struct.unpack_from(order + "H", data, position + 6)
            return _Head(tag, vr, length, position + 8)
        (length,) = struct.unpack_from(order + "L", data, position + 8)
    except struct.error as exc:
        raise DamagedDataSetError from exc
    if not (vr.isalpha() and vr.isupper()):
        raise DamagedDataSetError
    return _Head(tag, vr, length, position + 12)


def _after_undefined(data: bytes, head: _Head, encoding: Encoding) -> int:
    """Position behind the delimiter of an element of undefined length, found without recursion (PS3.5 7.5.2)."""
    # What is open, outermost first: sequences and items of undefined length, each with the encoding inside it.
    open_levels = [(_ITEM, _inside(head, encoding))]
    position = head.value_at
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
