"""The command sets of C-STORE, read and written without pydicom, are those that pydicom writes and reads."""

import struct
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage
from pynetdicom.dsutils import decode
from pynetdicom.pdu import P_DATA_TF

from builders.raw_peer import store_command
from dicom_node.listen.store_command import StoreCommand, read_store_command, store_response

UID = "1.2.3.4.5"
COMMAND = StoreCommand(sop_class_uid=CTImageStorage.encode(), sop_instance_uid=UID.encode(), message_id=7)


def test_request_is_read() -> None:
    """UIDs come without their padding."""
    assert read_store_command(store_command(UID, MessageID=7)) == COMMAND


@pytest.mark.parametrize(
    "changes",
    [
        {"CommandField": 0x0020},
        {"CommandField": None},
        {"CommandDataSetType": 0x0101},
        {"CommandDataSetType": None},
        {"MessageID": None},
        {"AffectedSOPClassUID": None},
        {"AffectedSOPInstanceUID": ""},
    ],
    ids=str,
)
def test_anything_else_is_left_to_pynetdicom(changes: dict[str, object]) -> None:
    """Other commands, and requests that lack what an answer needs."""
    assert read_store_command(store_command(UID, **changes)) is None


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(encoded: bytes) -> None:
    """Whatever comes is a request or none."""
    read_store_command(encoded)


@given(st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_damaged_request_is_one_or_none(position: int, value: int) -> None:
    """A byte that was changed leads to no error."""
    encoded = bytearray(store_command(UID))
    encoded[position % len(encoded)] = value
    read_store_command(bytes(encoded))


@pytest.mark.parametrize("comment", ["", "no room", "odd"])
def test_answer_is_read_by_pynetdicom(comment: str) -> None:
    """One P-DATA with one command, every element in its place and even."""
    encoded = store_response(COMMAND, context_id=3, status=0xA700, comment=comment)
    pdu = P_DATA_TF()
    pdu.decode(encoded)
    (value,) = pdu.to_primitive().presentation_data_value_list
    command = decode(BytesIO(value[1][1:]), True, True)
    assert struct.unpack(">BxL", encoded[:6]) == (4, len(encoded) - 6)
    assert (value[0], value[1][0]) == (3, 3)
    assert (command.CommandField, command.MessageIDBeingRespondedTo, command.Status) == (0x8001, 7, 0xA700)
    assert (command.AffectedSOPClassUID, command.AffectedSOPInstanceUID) == (CTImageStorage, UID)
    assert command.get("ErrorComment", "") == comment
    assert command.CommandGroupLength == len(value[1]) - 1 - 12
