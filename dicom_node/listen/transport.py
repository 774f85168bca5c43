"""Reads from peers that may be silent, slow or lying (PS3.8 9.1)."""

import socket
import struct
import time
from contextlib import suppress

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from storage.failpoints import reach

FIRST_PDU_DEADLINE_S = 5.0
"""A peer that connected has this long to ask for its association."""
# An A-ASSOCIATE-RQ with 128 contexts of 50 transfer syntaxes each has 170 KiB.
_MAXIMUM_FIRST_PDU_BYTES = 256 * 1024
_PDU_DEADLINE_S = 10.0
# Slower than this within a PDU counts as silence.
_SLOWEST_BYTES_PER_S = 1024
# Some senders count the 6 bytes of the PDU header, or a PDV header, into the length.
_TOLERATED_BYTES = 1024
_A_ASSOCIATE_RQ = 0x01
_P_DATA_TF = b"\x04"
_DROPPED_PIECE_BYTES = 65536
_HEADER_BYTES = 6


def prepare(connection: socket.socket) -> None:
    """Set the options of an accepted connection.

    TCP_NODELAY: an answer that waits for the peer's delayed acknowledgement costs 40 ms an object. Keepalive: a peer
    that vanished frees its place even when nothing is sent.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def read_first_pdu(connection: socket.socket, deadline_s: float) -> bytes | None:
    """The whole A-ASSOCIATE-RQ; None if something else comes, or nothing in time.

    No more is allocated than has arrived.
    """
    ends_at_s = time.monotonic() + deadline_s
    header = _read(connection, _HEADER_BYTES, ends_at_s)
    if len(header) < _HEADER_BYTES:
        return None
    kind, length = struct.unpack(">BxL", header)
    if kind != _A_ASSOCIATE_RQ or length > _MAXIMUM_FIRST_PDU_BYTES:
        return None
    body = _read(connection, length, ends_at_s)
    return bytes(header + body) if len(body) == length else None


class BoundedSocket(AssociationSocket):
    """A socket of pynetdicom that reads in bulk, checks lengths before it believes them, waits with an end."""

    def __init__(self, association: Association, connection: socket.socket, *, first_pdu: bytes) -> None:
        """Wrap an accepted connection.

        Args:
            association: That the connection is for.
            connection: After `prepare`.
            first_pdu: What was read from it already.
        """
        super().__init__(association, client_socket=connection)
        self._unread = memoryview(first_pdu)
        self._maximum_bytes = max(association.ae.maximum_pdu_size, _MAXIMUM_FIRST_PDU_BYTES) + _TOLERATED_BYTES

    @property
    def ready(self) -> bool:
        """Whether there is something to read."""
        return bool(self._unread) or bool(super().ready)

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly so many bytes; fewer when the peer closed, lies about a length or stalls, which closes."""
        if self._unread:
            taken, self._unread = self._unread[:nr_bytes], self._unread[nr_bytes:]
            return bytearray(taken)
        connection = self.socket
        if connection is None or nr_bytes > self._maximum_bytes:
            self._shutdown_socket()
            return bytearray()
        ends_at_s = time.monotonic() + _PDU_DEADLINE_S + nr_bytes / _SLOWEST_BYTES_PER_S
        received = _read(connection, nr_bytes, ends_at_s)
        if len(received) < nr_bytes:
            self._shutdown_socket()
        return received

    def send(self, bytestream: bytes) -> None:
        """Send, but not for ever to a peer that does not read."""
        try:
            if self.socket is not None:
                self.socket.settimeout(self.assoc.network_timeout)
        except OSError:
            # Closed meanwhile; Evt17, transport connection closed (PS3.8 9.2).
            self.event_queue.put("Evt17")
            return
        super().send(bytestream)
        if _is_answer_to_store(self.assoc, bytestream):
            reach("store.after_rsp")


def _is_answer_to_store(association: Association, pdu: bytes) -> bool:
    """Whether a PDU that was sent is the answer of an association that stored something."""
    return pdu[:1] == _P_DATA_TF and getattr(association.dimse, "stored_count", 0) > 0


def wait_for_close(connection: socket.socket, deadline_s: float) -> None:
    """End our side of a connection, wait until the peer ends its own, at most so long; what it still says is dropped."""
    ends_at_s = time.monotonic() + deadline_s
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while (left_s := ends_at_s - time.monotonic()) > 0:
            connection.settimeout(left_s)
            if not connection.recv(_DROPPED_PIECE_BYTES):
                return


def _read(connection: socket.socket, wanted_bytes: int, ends_at_s: float) -> bytearray:
    """So many bytes, fewer when the peer closes or the time is over."""
    received = bytearray()
    while len(received) < wanted_bytes:
        left_s = ends_at_s - time.monotonic()
        if left_s <= 0:
            break
        try:
            connection.settimeout(left_s)
            piece = connection.recv(wanted_bytes - len(received))
            # Linux falls back to delayed acknowledgements by itself (tcp(7)); senders with Nagle on wait for them.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except OSError:
            break
        if not piece:
            break
        received += piece
    return received
