"""Reads the command set of a C-STORE-RQ, writes that of its response (PS3.7 9.3.1, tables 9.3-1 and 9.3-2)."""

import struct
from dataclasses import dataclass

_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_NO_DATA_SET = 0x0101
# (0000,eeee): group 0000 is always implicit VR little endian (PS3.7 6.3.1).
_GROUP_LENGTH, _SOP_CLASS_UID, _COMMAND_FIELD, _MESSAGE_ID = 0x0000, 0x0002, 0x0100, 0x0110
_MESSAGE_ID_RESPONDED_TO, _DATA_SET_TYPE, _STATUS = 0x0120, 0x0800, 0x0900
_ERROR_COMMENT, _SOP_INSTANCE_UID = 0x0902, 0x1000
_ELEMENT_HEAD = struct.Struct("<HHL")
_NUMBER = struct.Struct("<H")
# PDU type, reserved, PDU length, PDV length, presentation context, message control header: command, last (PS3.8 9.3.5, E.2).
_P_DATA_HEAD = struct.Struct(">BxLLBB")
_P_DATA_TF, _LAST_OF_COMMAND = 0x04, 0x03
_UID_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCommand:
    """What a C-STORE-RQ says before its data set."""

    sop_class_uid: bytes
    """As on the wire, without padding; not checked."""
    sop_instance_uid: bytes
    """As on the wire, without padding; not checked."""
    message_id: int


def read_store_command(encoded: bytes | memoryview) -> StoreCommand | None:
    """The command; None for anything but a well-formed C-STORE-RQ with a data set, which pynetdicom then judges."""
    values = _elements(bytes(encoded))
    command, data_set = _number(values, _COMMAND_FIELD), _number(values, _DATA_SET_TYPE)
    message_id = _number(values, _MESSAGE_ID)
    uids = [values.get(tag, b"").rstrip(b"\0 ") for tag in (_SOP_CLASS_UID, _SOP_INSTANCE_UID)]
    if command != _C_STORE_RQ or data_set in {None, _NO_DATA_SET} or message_id is None:
        return None
    if not all(0 < len(uid) <= _UID_BYTES for uid in uids):
        return None
    return StoreCommand(sop_class_uid=uids[0], sop_instance_uid=uids[1], message_id=message_id)


def store_response(command: StoreCommand, *, context_id: int, status: int, comment: str = "") -> bytes:
    """The P-DATA-TF PDU that answers a C-STORE-RQ.

    Args:
        command: That is answered.
        context_id: Of the presentation context that it came in.
        status: PS3.4 B.2.3.
        comment: Error Comment (0000,0902), at most 64 characters; left out when it is empty.
    """
    text = comment.encode("ascii", "replace")
    elements = b"".join(
        (
            _element(_SOP_CLASS_UID, _even(command.sop_class_uid, b"\0")),
            _element(_COMMAND_FIELD, _NUMBER.pack(_C_STORE_RSP)),
            _element(_MESSAGE_ID_RESPONDED_TO, _NUMBER.pack(command.message_id)),
            _element(_DATA_SET_TYPE, _NUMBER.pack(_NO_DATA_SET)),
            _element(_STATUS, _NUMBER.pack(status)),
            _element(_ERROR_COMMENT, _even(text, b" ")) if text else b"",
            _element(_SOP_INSTANCE_UID, _even(command.sop_instance_uid, b"\0")),
        )
    )
    encoded = _element(_GROUP_LENGTH, struct.pack("<L", len(elements))) + elements
    return _P_DATA_HEAD.pack(_P_DATA_TF, len(encoded) + 6, len(encoded) + 2, context_id, _LAST_OF_COMMAND) + encoded


def _elements(encoded: bytes) -> dict[int, bytes]:
    """Values of group 0000 by element number; empty where the set is not well-formed."""
    values: dict[int, bytes] = {}
    position = 0
    while position + _ELEMENT_HEAD.size <= len(encoded):
        group, element, length = _ELEMENT_HEAD.unpack_from(encoded, position)
        position += _ELEMENT_HEAD.size + length
        if group != 0 or position > len(encoded) or element in values:
            return {}
        values[element] = encoded[position - length : position]
    return values if position == len(encoded) else {}


def _number(values: dict[int, bytes], element: int) -> int | None:
    value = values.get(element, b"")
    return int.from_bytes(value, "little") if len(value) == _NUMBER.size else None


def _element(element: int, value: bytes) -> bytes:
    return _ELEMENT_HEAD.pack(0x0000, element, len(value)) + value


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding if len(value) % 2 else value
