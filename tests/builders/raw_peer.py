"""A peer that says whatever a test wants, byte by byte (PS3.8 9.3)."""

import socket
import struct
from select import select
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.dsutils import encode

from builders.listener import AE_TITLE, SENDER

_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA, A_RELEASE_RQ, A_RELEASE_RP, A_ABORT = 2, 3, 4, 5, 6, 7
CONTEXT_ID = 1


class RawPeer:
    """A TCP connection to a listener."""

    def __init__(self, port: int, *, source: str = "127.0.0.1") -> None:
        """Connect, from another loopback address on request."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=15, source_address=(source, 0))

    def __enter__(self) -> Self:
        """Be closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self._socket.sendall(data)

    def receive_pdu(self) -> tuple[int, bytes]:
        """Kind and content of the next PDU; kind 0 when the listener closed."""
        try:
            header = self._receive(6)
            if len(header) < 6:
                return 0, b""
            kind, length = struct.unpack(">BxL", header)
            return kind, self._receive(length)
        except ConnectionResetError:
            return 0, b""

    def receive_all(self) -> bytes:
        """Everything until the listener ends the connection; ConnectionResetError where it cuts it."""
        return b"".join(iter(lambda: self._socket.recv(65536), b""))

    def is_closed(self) -> bool:
        """Whether the listener has closed; nothing is waited for."""
        if not select([self._socket], [], [], 0)[0]:
            return False
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def associate(self, *, calling: bytes = SENDER.encode(), called: bytes = AE_TITLE.encode()) -> tuple[int, bytes]:
        """Ask for an association for CT; the answer."""
        self.send(associate_request(calling=calling, called=called))
        return self.receive_pdu()

    def _receive(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self._socket.recv(length - len(data))
            if not piece:
                break
            data += piece
        return data


def associate_request(
    *,
    calling: bytes = SENDER.encode(),
    called: bytes = AE_TITLE.encode(),
    version: int = 1,
    application_context: bytes = _APPLICATION_CONTEXT,
) -> bytes:
    """An A-ASSOCIATE-RQ with one presentation context: CT, explicit VR little endian (PS3.8 9.3.2)."""
    context = (
        bytes([CONTEXT_ID, 0, 0, 0]) + item(0x30, CTImageStorage.encode()) + item(0x40, ExplicitVRLittleEndian.encode())
    )
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4.5")
    items = item(0x10, application_context) + item(0x20, context) + item(0x50, user)
    fixed = struct.pack(">HH16s16s32x", version, 0, called.ljust(16), calling.ljust(16))
    return pdu(1, fixed + items)


def pdu(kind: int, content: bytes) -> bytes:
    """A PDU of any kind."""
    return struct.pack(">BxL", kind, len(content)) + content


def p_data(fragment: bytes, *, is_command: bool, is_last: bool) -> bytes:
    """A P-DATA-TF PDU with one fragment (PS3.8 9.3.5, E.2)."""
    return pdu(P_DATA, pdv(fragment, is_command=is_command, is_last=is_last))


def pdv(fragment: bytes, *, is_command: bool, is_last: bool) -> bytes:
    """A presentation data value (PS3.8 9.3.5.1)."""
    content = bytes([CONTEXT_ID, is_command | is_last << 1]) + fragment
    return struct.pack(">L", len(content)) + content


def store_command(sop_instance_uid: str, **changes: object) -> bytes:
    """The command set of a C-STORE-RQ for a CT (PS3.7 9.3.1.1); `changes` are set by keyword, None deletes."""
    command = Dataset()
    command.AffectedSOPClassUID = CTImageStorage
    command.CommandField = 0x0001
    command.MessageID = 1
    command.Priority = 0
    command.CommandDataSetType = 0x0000
    command.AffectedSOPInstanceUID = sop_instance_uid
    for keyword, value in changes.items():
        if value is None:
            delattr(command, keyword)
        else:
            setattr(command, keyword, value)
    return encode(command, True, True) or b""


def store_request(sop_instance_uid: str, data: bytes, **changes: object) -> bytes:
    """The PDUs of a whole C-STORE-RQ."""
    command = p_data(store_command(sop_instance_uid, **changes), is_command=True, is_last=True)
    return command + p_data(data, is_command=False, is_last=True)


def status_of(content: bytes) -> int:
    """Status (0000,0900) of the C-STORE-RSP in a P-DATA-TF."""
    at = content.index(b"\x00\x00\x00\x09\x02\x00\x00\x00")
    return int.from_bytes(content[at + 8 : at + 10], "little")


def item(kind: int, content: bytes) -> bytes:
    """An item or sub-item of an association request (PS3.8 9.3.2)."""
    return struct.pack(">BxH", kind, len(content)) + content
