"""Takes C-STORE from the wire in bulk where pynetdicom would decode, queue and poll (PS3.8 9.2, state Sta6).

pynetdicom negotiates, serves every other service, times out, releases and aborts. Only while an association is
established, a P-DATA that begins a plain C-STORE-RQ or carries its data set goes straight to `ObjectTaker`; every other
PDU is left to pynetdicom, whole and unread.
"""

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Protocol

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from dicom_node.listen.closing import ClosingConnections
from dicom_node.listen.dimse import ProtocolError
from dicom_node.listen.store_command import StoreCommand, read_store_command
from dicom_node.listen.transport import BoundedSocket, StalledError

_P_DATA_TF = 0x04
# PS3.8 9.2.2: the association is established; it is over, the transport connection is to be closed.
_ESTABLISHED, _OVER = "Sta6", "Sta13"
# The peer has asked for an association, for a release, and has nothing to say before it is answered (PS3.8 9.2.2).
_OURS_TO_SPEAK = frozenset({"Sta3", "Sta8"})
# PS3.8 E.2: bit 0 is set for a command, bit 1 for the last fragment.
_IS_COMMAND, _IS_LAST = 0x01, 0x02
_PDU_HEAD = struct.Struct(">BxL")
# Length, presentation context, message control header (PS3.8 9.3.5.1).
_PDV_HEAD = struct.Struct(">LBB")
# The command set of a C-STORE-RQ holds two UIDs, an AE title and numbers: 300 bytes.
_LONGEST_COMMAND_BYTES = 4096
# How soon a word of the association's own thread, an abort say, is heard while nothing arrives.
_LISTEN_S = 0.05
# How long pynetdicom's loop runs after a PDU that was for it: it answers quicker.
_PATIENCE_S = 0.25
# A peer that takes less in a PDU gets its answers from pynetdicom, which splits them.
_SHORTEST_PEER_PDU_BYTES = 1024


class ObjectTaker(Protocol):
    """Where the objects go."""

    @property
    def is_taking(self) -> bool:
        """Whether an object that was begun here is on its way."""

    @property
    def is_free(self) -> bool:
        """Whether no message is on its way."""

    def accepts(self, command: StoreCommand, context_id: int) -> bool:
        """Whether a request is a plain one, in a presentation context that was accepted for it."""

    def begin(self, command: StoreCommand, context_id: int) -> None:
        """Begin to take the data set that follows; ProtocolError if none may come now."""

    def take(self, fragment: memoryview, context_id: int) -> None:
        """Take the next bytes of the data set; ProtocolError if there are too many, or in another context.

        They lie in the buffer of the connection, which says before it is used again.
        """

    def finish(self) -> bytes:
        """The PDU of the answer, once the object is durable or refused."""

    def was_answered(self) -> None:
        """The answer is on its way."""

    def abandon(self) -> None:
        """The object does not come whole."""


class Checkpoint(Event):
    """Where pynetdicom's own thread of an association passes; it waits here while the upper layer needs nobody."""

    def __init__(self) -> None:
        """Open."""
        super().__init__()
        self.set()
        self._is_needed = Event()
        self._is_needed.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the thread is needed."""
        self._is_needed.wait()
        return super().wait(timeout)

    @contextmanager
    def parked(self) -> Iterator[None]:
        """Nobody passes while the block lasts."""
        self._is_needed.clear()
        try:
            yield
        finally:
            self._is_needed.set()


class BulkUpperLayer(DULServiceProvider):
    """Upper layer provider of an acceptor."""

    def __init__(self, association: Association, taker: ObjectTaker, *, closing: ClosingConnections) -> None:
        """Give objects to the taker; to be set as the association's `dul` before its socket is.

        Args:
            association: Of pynetdicom.
            taker: Takes its objects.
            closing: Where the connection waits for the peer when the association is over.
        """
        super().__init__(association)
        self._taker = taker
        self._closing = closing
        self._checkpoint = Checkpoint()
        association._reactor_checkpoint = self._checkpoint
        self._patient_until_s = 0.0
        association.dul = self
        association.network_timeout = association.network_timeout
        association.acse_timeout = association.acse_timeout

    def _is_transport_event(self) -> bool:
        state = self.state_machine.current_state
        if state in _OURS_TO_SPEAK or not self.event_queue.empty():
            # pynetdicom would read the next PDU to its end before it acts on the last one, and before it sends our answer.
            return False
        if state == _OVER:
            self._close()
            return True
        if state != _ESTABLISHED or time.monotonic() < self._patient_until_s:
            return bool(super()._is_transport_event())
        connection = self.socket
        if not isinstance(connection, BoundedSocket):
            return False
        with self._checkpoint.parked():
            has_read = False
            while self._is_undisturbed() and connection.wait_readable(_LISTEN_S):
                has_read = True
                self._idle_timer.restart()
                self._read_pdu(connection)
        return has_read

    def _close(self) -> None:
        """Close the transport connection once the peer has, or soon; what it still says is dropped unread.

        The ARTIM timer is for that (PS3.8 9.1.5; Evt18 in Sta13, AA-2), and PDUs are to be ignored (AA-6). pynetdicom would
        wait for the end of each, minutes where a peer wants it, while no limit counts an association that is over. An
        A-ABORT in answer to an invalid one (AA-7) would only say again what the peer was told.
        """
        ours = self.socket
        if ours is None:
            return
        if ours.socket is not None:
            # Bytes that nobody read would turn the end into a reset, which may destroy our last PDU (RFC 9293 3.6.1).
            self._closing.wait_for_close(ours.socket, str(self.assoc.requestor.address))
        # Evt17, transport connection closed (AR-5).
        ours.close()

    def _is_undisturbed(self) -> bool:
        """Whether nothing waits for the state machine, and pynetdicom has no message to see to."""
        is_quiet = self.event_queue.empty() and self.to_provider_queue.empty()
        return is_quiet and time.monotonic() >= self._patient_until_s

    def _read_pdu(self, connection: BoundedSocket) -> None:
        """Take a PDU, or let pynetdicom read it."""
        try:
            if not self._is_for_taker(connection):
                self._patient_until_s = time.monotonic() + _PATIENCE_S
                self._read_pdu_data()
                return
            self._take_p_data(connection)
        except StalledError:
            self._taker.abandon()
            # Evt17, transport connection closed (PS3.8 9.2).
            self.event_queue.put("Evt17")
        except ProtocolError:
            self._taker.abandon()
            # Evt19, invalid PDU: the state machine sends A-ABORT (PS3.8 9.2, AA-8).
            self.event_queue.put("Evt19")

    def _is_for_taker(self, connection: BoundedSocket) -> bool:
        """Whether the PDU that comes goes on with an object, or begins with a plain C-STORE-RQ; nothing is read."""
        kind, pdu_length = _PDU_HEAD.unpack(connection.peek(_PDU_HEAD.size))
        if kind != _P_DATA_TF or not _PDV_HEAD.size <= pdu_length <= connection.maximum_bytes:
            return False
        if self._taker.is_taking:
            return True
        head = connection.peek(_PDU_HEAD.size + _PDV_HEAD.size)
        length, context_id, control = _PDV_HEAD.unpack(head[_PDU_HEAD.size :])
        if control & (_IS_COMMAND | _IS_LAST) != _IS_COMMAND | _IS_LAST or not self._taker.is_free:
            return False
        if not 2 < length <= min(pdu_length - 4, _LONGEST_COMMAND_BYTES):
            return False
        whole = connection.peek(_PDU_HEAD.size + 4 + length)
        command = read_store_command(whole[_PDU_HEAD.size + _PDV_HEAD.size :])
        return command is not None and self._is_answerable() and self._taker.accepts(command, context_id)

    def _is_answerable(self) -> bool:
        longest = self.assoc.requestor.maximum_length
        return not longest or longest >= _SHORTEST_PEER_PDU_BYTES

    def _take_p_data(self, connection: BoundedSocket) -> None:
        """Take the presentation data values of a P-DATA-TF (PS3.8 9.3.5)."""
        _, rest = _PDU_HEAD.unpack(connection.peek(_PDU_HEAD.size))
        connection.skip(_PDU_HEAD.size)
        while rest:
            if rest < _PDV_HEAD.size:
                raise ProtocolError
            length, context_id, control = _PDV_HEAD.unpack(connection.peek(_PDV_HEAD.size))
            rest -= 4 + length
            if length < 2 or rest < 0:
                raise ProtocolError
            connection.skip(_PDV_HEAD.size)
            if control & _IS_COMMAND:
                self._take_command(connection, length - 2, context_id)
                continue
            if not self._taker.is_taking:
                raise ProtocolError
            for piece in connection.pieces(length - 2):
                self._taker.take(piece, context_id)
            if control & _IS_LAST:
                connection.send(self._taker.finish())
                self._taker.was_answered()

    def _take_command(self, connection: BoundedSocket, length: int, context_id: int) -> None:
        if length > _LONGEST_COMMAND_BYTES or self._taker.is_taking:
            raise ProtocolError
        command = read_store_command(connection.peek(length))
        connection.skip(length)
        if command is None:
            raise ProtocolError
        self._taker.begin(command, context_id)
