"""A fuzz target over the upper layer, the state machine and DIMSE of an established association, without a network."""

import threading
from types import SimpleNamespace
from typing import Any

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.presentation import build_context
from pynetdicom.transport import AddressInformation

from builders.instances import ct_instance, encoded
from builders.raw_peer import associate_request, p_data, pdu, store_command, store_request
from config.settings import ListenSettings
from dicom_node.listen.closing import ClosingConnections
from dicom_node.listen.dimse import ReceivingDimse
from dicom_node.listen.guard import GuardedAssociation
from dicom_node.listen.transport import BoundedSocket, StalledError
from dicom_node.listen.upper_layer import BulkUpperLayer

_MOST_PDUS = 300
_AE = AE(ae_title="NODE")


def take_pdus(data: bytes) -> None:
    """What a peer says on an established association, to its end, as the thread of the upper layer hears it."""
    association: Any = _Association(_AE)
    dimse = ReceivingDimse(association, _receiver(), stopping=threading.Event(), name="")
    association.dimse = dimse
    association.requestor.address_info = AddressInformation("127.0.0.1", 11112)
    context = build_context(CTImageStorage, ExplicitVRLittleEndian)
    context.context_id, context.result = 1, 0
    association._accepted_cx = {1: context}
    layer = BulkUpperLayer(association, dimse, closing=ClosingConnections())
    association.guard(layer)
    layer.state_machine.current_state = "Sta6"
    layer.socket = connection = _Said(association, data)
    try:
        for _ in range(_MOST_PDUS):
            if not connection.unread_bytes or association._kill or layer.state_machine.current_state != "Sta6":
                break
            layer._read_pdu(connection)
            while not layer.event_queue.empty():
                layer.state_machine.do_action(layer.event_queue.get())
    finally:
        dimse.abandon()


def conversations() -> list[bytes]:
    """Stored objects, in one PDU or several; other kinds of PDUs."""
    data = encoded(ct_instance())
    halves = p_data(data[:300], is_command=False, is_last=False) + p_data(data[300:], is_command=False, is_last=True)
    command = p_data(store_command("1.2.3"), is_command=True, is_last=True)
    echo = store_command("1.2.3", CommandField=0x0030, CommandDataSetType=0x0101)
    return [
        store_request("1.2.3", data),
        store_request("1.2.3", data) * 3,
        command + halves,
        p_data(store_command("1.2.3")[:40], is_command=True, is_last=False)
        + p_data(b"", is_command=True, is_last=True),
        *(p_data(store_command("1.2.3", CommandField=kind), is_command=True, is_last=True) + halves for kind in _KINDS),
        p_data(echo, is_command=True, is_last=True),
        associate_request(),
        *(pdu(kind, bytes(4)) for kind in range(1, 8)),
    ]


# PS3.7 E.1: C-GET, C-FIND, C-MOVE, C-CANCEL, N-EVENT-REPORT, N-SET, N-ACTION, N-CREATE, and answers.
_KINDS = (0x0010, 0x0020, 0x0021, 0x0FFF, 0x0100, 0x0120, 0x0130, 0x0140, 0x8001, 0x8030)


class _Association(GuardedAssociation):
    """Of nobody; what pynetdicom would serve in a thread of its own is left out."""

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Leave it."""


class _Said(BoundedSocket):
    """All that a peer said, after which it closed."""

    def __init__(self, association: Any, data: bytes) -> None:
        """Not connected."""
        self._assoc = association
        self.socket = None
        self._buffer = memoryview(bytearray(data))
        self._unread = slice(0, len(data))
        self.maximum_bytes = 256 * 1024
        self._before_refill = lambda: None

    def send(self, bytestream: bytes) -> None:
        """The peer does not listen."""

    def close(self) -> None:
        """Nothing is open."""

    def _fill(self, ends_at_s: float) -> None:
        raise StalledError

    def _shutdown_socket(self) -> None:
        """Nothing is open."""


class _Reception:
    """Takes bytes and keeps none."""

    def __init__(self) -> None:
        self.received_bytes = 0
        self.header = None

    def write(self, fragment: bytes | memoryview) -> None:
        """Count."""
        self.received_bytes += len(fragment)

    def finish(self) -> str:
        """Whole."""
        return "new"

    def discard(self) -> None:
        """Nothing is kept."""


def _receiver() -> Any:
    return SimpleNamespace(listen=ListenSettings(), maximum_object_bytes=2**20, begin=lambda _: _Reception())
