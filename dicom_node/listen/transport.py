"""Reads from peers that may be silent, slow or lying (PS3.8 9.1)."""

import mmap
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from storage.failpoints import reach

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
# A peer that takes not even so much within the time for a PDU stopped reading long ago: an empty buffer holds many of them.
_SHORT_ANSWER_BYTES = 1024
_HEADER_BYTES = 6
# Two PDUs of the usual size: few calls of the system, and small enough for the processor's cache.
_BUFFER_BYTES = 256 * 1024


class StalledError(OSError):
    """The peer closed the connection, or is silent in the middle of a PDU."""


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
    """A socket of pynetdicom that reads in bulk, checks lengths before it believes them, waits with an end.

    What arrives goes into one buffer, which is used again and again: memory does not grow with what a peer sends. The buffer
    is a mapping of its own, so that it goes back to the system with the association; one from the heap stays there, below
    whatever is allocated next.
    """

    def __init__(
        self,
        association: Association,
        connection: socket.socket,
        *,
        first_pdu: bytes,
        before_refill: Callable[[], None] = lambda: None,
    ) -> None:
        """Wrap an accepted connection.

        Args:
            association: That the connection is for.
            connection: After `prepare`; also one of TLS.
            first_pdu: What was read from it already.
            before_refill: Called before the buffer is used again, in which all `pieces` lie that were given out.
        """
        super().__init__(association, client_socket=connection)
        self._before_refill = before_refill
        self._buffer = memoryview(bytearray(first_pdu))
        self._unread = slice(0, len(first_pdu))
        self.maximum_bytes = max(association.ae.maximum_pdu_size, _MAXIMUM_FIRST_PDU_BYTES) + _TOLERATED_BYTES
        """Longest PDU that is believed."""
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    @property
    def ready(self) -> bool:
        """Whether there is something to read."""
        return self.wait_readable(0)

    @property
    def unread_bytes(self) -> int:
        """How much is here that nobody took."""
        return self._unread.stop - self._unread.start

    def wait_readable(self, longest_s: float) -> bool:
        """Wait until there is something to read, the end of the connection too, at most so long; whether there is."""
        connection = self.socket
        if self.unread_bytes or connection is None:
            return bool(self.unread_bytes)
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        try:
            return bool(self._poll.poll(longest_s * 1000))
        except OSError:
            # Evt17, transport connection closed (PS3.8 9.2).
            self.event_queue.put("Evt17")
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly so many bytes; fewer when the peer closed, lies about a length or stalls, which closes."""
        if nr_bytes > self.maximum_bytes:
            self._shutdown_socket()
            return bytearray()
        received = bytearray()
        with suppress(StalledError):
            for piece in self.pieces(nr_bytes):
                received += piece
        return received

    def peek(self, nr_bytes: int) -> memoryview:
        """So many bytes, at most 64 KiB, which stay unread; valid until something is read.

        Raises:
            StalledError: The peer closed or stalls; so is the connection then.
        """
        ends_at_s = self._ends_at_s(nr_bytes)
        while self.unread_bytes < nr_bytes:
            self._fill(ends_at_s)
        return self._buffer[self._unread.start : self._unread.start + nr_bytes]

    def skip(self, nr_bytes: int) -> None:
        """Take what was peeked at."""
        self._unread = slice(self._unread.start + nr_bytes, self._unread.stop)

    def pieces(self, nr_bytes: int) -> Iterator[memoryview]:
        """So many bytes in pieces as they arrive, valid until the buffer is filled again.

        Raises:
            StalledError: The peer closed or stalls; so is the connection then.
        """
        ends_at_s = self._ends_at_s(nr_bytes)
        while nr_bytes:
            if not self.unread_bytes:
                self._fill(ends_at_s)
            start = self._unread.start
            taken = min(nr_bytes, self.unread_bytes)
            nr_bytes -= taken
            self.skip(taken)
            yield self._buffer[start : start + taken]

    def send(self, bytestream: bytes) -> None:
        """Send, but not for ever to a peer that does not read.

        An answer to a C-STORE goes with the time-out of the last read: setting one is a call of the system.
        """
        try:
            if len(bytestream) > _SHORT_ANSWER_BYTES:
                self._set_timeout(self.assoc.network_timeout)
        except OSError:
            # Closed meanwhile; Evt17, transport connection closed (PS3.8 9.2).
            self.event_queue.put("Evt17")
            return
        super().send(bytestream)
        if _is_answer_to_store(self.assoc, bytestream):
            reach("store.after_rsp")

    def _ends_at_s(self, nr_bytes: int) -> float:
        return time.monotonic() + _PDU_DEADLINE_S + nr_bytes / _SLOWEST_BYTES_PER_S

    def _set_timeout(self, timeout_s: float | None) -> None:
        # Each call is a call of the system, needed or not.
        if self.socket is not None and self.socket.gettimeout() != timeout_s:
            self.socket.settimeout(timeout_s)

    def _fill(self, ends_at_s: float) -> None:
        """Read what is there, wait for it if need be."""
        connection = self.socket
        try:
            if connection is None or time.monotonic() > ends_at_s:
                raise StalledError
            self._set_timeout(min(_PDU_DEADLINE_S, self.assoc.network_timeout or _PDU_DEADLINE_S))
            count = connection.recv_into(self._room())
            acknowledge_at_once(connection)
        except OSError as exc:
            self._shutdown_socket()
            raise StalledError from exc
        if not count:
            self._shutdown_socket()
            raise StalledError
        self._unread = slice(self._unread.start, self._unread.stop + count)
        # A slow sender makes progress, and is not idle.
        self.assoc.dul._idle_timer.restart()

    def _room(self) -> memoryview:
        """Where the next bytes go, behind those that are unread."""
        self._before_refill()
        unread = self._buffer[self._unread]
        if len(self._buffer) < _BUFFER_BYTES:
            self._buffer = memoryview(mmap.mmap(-1, _BUFFER_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._buffer[: len(unread)] = unread
        self._unread = slice(0, len(unread))
        return self._buffer[self._unread.stop :]


def _is_answer_to_store(association: Association, pdu: bytes) -> bool:
    """Whether a PDU that was sent is the answer of an association that stored something."""
    return pdu[:1] == _P_DATA_TF and getattr(association.dimse, "stored_count", 0) > 0


def acknowledge_at_once(connection: socket.socket) -> None:
    """Acknowledge what was read now: a sender with Nagle on waits up to 40 ms for it with its last bytes.

    Linux falls back to delayed acknowledgements by itself (tcp(7)), so this is said after each read.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


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
            acknowledge_at_once(connection)
        except OSError:
            break
        if not piece:
            break
        received += piece
    return received
