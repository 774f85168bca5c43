"""Lets pynetdicom hand on the data set of a C-STORE piece by piece instead of gathering it in memory."""

import logging
import struct
import threading
from collections.abc import Callable
from io import BytesIO

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, N_CREATE_RQ, N_SET_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import DimsePrimitiveType
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.listen.errors import InstanceRefusedError, NoDataSetError, ProcessingFailedError
from dicom_node.listen.notices import MAXIMUM_NOTICE_BYTES, NOTICE_CLASSES
from dicom_node.listen.receive import Receiver, Reception, StoreRequest
from storage.failpoints import reach

logger = logging.getLogger(__name__)

_SUCCESS = 0x0000
# Larger than any real command set: it holds UIDs, AE titles and numbers (PS3.7 9.3, 10.3).
_MAXIMUM_COMMAND_BYTES = 64 * 1024
# An object that goes on to arrive long after it became too large will never end.
_ENDLESS = 2
# What pynetdicom and pydicom raise over malformed commands; each ends the association, not the thread.
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
)


class ProtocolError(ValueError):
    """The peer breaks PS3.7: the association is aborted."""


class _CommandBuffer(BytesIO):
    """The command set while it arrives, bounded."""

    def write(self, fragment: bytes) -> int:  # type: ignore[override]  # pynetdicom writes bytes
        """Take the next bytes."""
        if self.tell() + len(fragment) > _MAXIMUM_COMMAND_BYTES:
            raise ProtocolError
        return super().write(fragment)


class NoticeBuffer(BytesIO):
    """The data set of a notice while it arrives, bounded."""

    def write(self, fragment: bytes) -> int:  # type: ignore[override]  # pynetdicom writes bytes
        """Take the next bytes."""
        if self.tell() + len(fragment) > MAXIMUM_NOTICE_BYTES:
            raise ProtocolError
        return super().write(fragment)


class DataSetStream(BytesIO):
    """Stands where pynetdicom gathers a data set; hands each fragment on and keeps none."""

    def __init__(self, begin: Callable[[], Reception | NoticeBuffer]) -> None:
        """Begin the reception when the first fragment comes: the command set is complete then."""
        super().__init__()
        self._begin = begin
        self.reception: Reception | NoticeBuffer | None = None

    def write(self, fragment: bytes) -> int:  # type: ignore[override]  # pynetdicom writes bytes
        """Hand the next bytes on."""
        if self.reception is None:
            self.reception = self._begin()
        self.reception.write(fragment)
        return len(fragment)


class ReceivingDimse(DIMSEServiceProvider):
    """DIMSE provider of one association that streams objects into a Receiver."""

    def __init__(self, association: Association, receiver: Receiver, *, stopping: threading.Event, name: str) -> None:
        """Receive for an association until `stopping` is set; the object that is arriving then is still taken.

        Args:
            association: Of pynetdicom.
            receiver: Takes its objects.
            stopping: Set when the listener ends.
            name: Of the association in the ledger.
        """
        super().__init__(association)
        self._name = name
        self._receiver = receiver
        self._stopping = stopping
        self._reception: Reception | None = None
        self.is_receiving = False
        """Whether an object is on its way, from its first byte until its answer is on its own way."""
        self.stored_count = 0
        self.refused_count = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a P-DATA; whatever is wrong with it ends in an abort of this association alone."""
        try:
            if self.message is None:
                self.message = self._new_message()
            super().receive_primitive(primitive)
            self._check_size()
        except _MALFORMED as exc:
            logger.warning("association aborted: malformed message [%s]", type(exc).__name__)
            # Evt19, invalid PDU: the state machine sends A-ABORT (PS3.8 9.2, AA-8).
            self.dul.event_queue.put("Evt19")

    def send_msg(self, primitive: DimsePrimitiveType, context_id: int) -> None:
        """Queue an answer; whatever is queued after it, an abort too, reaches the peer after it."""
        super().send_msg(primitive, context_id)
        self.is_receiving = False

    def handle_store(self, event: Event) -> int | Dataset:
        """Finish what arrived and answer the C-STORE: Success only when the object is durable (PS3.4 B.2.3)."""
        reception = _reception_of(event)
        if reception is None:
            return self._refused(NoDataSetError())
        try:
            recorded = reception.finish()
        except InstanceRefusedError as refusal:
            return self._refused(refusal)
        except Exception:
            logger.exception("object refused: a defect of the node")
            return self._refused(ProcessingFailedError())
        finally:
            reception.discard()
        self.stored_count += 1
        logger.debug("object stored: %s", recorded)
        reach("store.before_rsp")
        return _SUCCESS

    def end(self) -> None:
        """The association is over: drop what had not arrived whole."""
        if self._reception:
            self._reception.discard()

    def _new_message(self) -> DIMSEMessage:
        if self._stopping.is_set():
            raise ProtocolError
        message = DIMSEMessage()
        message.encoded_command_set = _CommandBuffer()
        message.data_set = DataSetStream(lambda: self._begin(message))
        return message

    def _begin(self, message: DIMSEMessage) -> Reception | NoticeBuffer:
        """Begin to receive the data set that follows a request."""
        if self.is_receiving:
            # No requests are negotiated before the last answer (PS3.7 D.3.3.3).
            raise ProtocolError
        if isinstance(message, C_STORE_RQ):
            return self._begin_object(message)
        if not isinstance(message, N_CREATE_RQ | N_SET_RQ) or not self._is_notice(message):
            # Nothing else with a data set is negotiated.
            raise ProtocolError
        self.is_receiving = True
        # What comes after the first fragment goes there directly, and pynetdicom decodes it from there.
        message.data_set = NoticeBuffer()
        return message.data_set

    def _is_notice(self, message: DIMSEMessage) -> bool:
        """Whether the message came in the presentation context of a notice."""
        context = self.assoc._accepted_cx.get(message.context_id or 0)
        return context is not None and str(context.abstract_syntax) in NOTICE_CLASSES

    def _begin_object(self, message: DIMSEMessage) -> Reception:
        """Begin to receive the data set that follows a C-STORE-RQ."""
        command = message.command_set
        context = self.assoc._accepted_cx[message.context_id or 0]
        sender, receiver = self._sender_and_receiver()
        request = StoreRequest(
            sop_class_uid=_text(command, "AffectedSOPClassUID"),
            sop_instance_uid=_text(command, "AffectedSOPInstanceUID"),
            transfer_syntax_uid=str(context.transfer_syntax[0]),
            calling_aet=sender,
            called_aet=receiver,
            association=self._name,
        )
        self.is_receiving = True
        self._reception = self._receiver.begin(request)
        return self._reception

    def _sender_and_receiver(self) -> tuple[str, str]:
        """AE titles of who sends the objects, of who gets them."""
        return self.assoc.requestor.ae_title, self.assoc.acceptor.ae_title

    def _refused(self, refusal: InstanceRefusedError) -> Dataset:
        """Status and error comment of a refusal (PS3.7 C)."""
        self.refused_count += 1
        logger.warning("object refused with 0x%04X: %s", refusal.status, refusal.reason)
        status = Dataset()
        status.Status = refusal.status
        # (0000,0902) is an LO of at most 64 characters.
        status.ErrorComment = refusal.reason.replace("\\", "/")[:64]
        return status

    def _check_size(self) -> None:
        if self._reception and self._reception.received_bytes > _ENDLESS * self._receiver.maximum_object_bytes:
            raise ProtocolError


def _reception_of(event: Event) -> Reception | None:
    """The reception that a C-STORE-RQ was streamed into; None if it came without a data set."""
    stream = getattr(event.request, "DataSet", None)
    reception = stream.reception if isinstance(stream, DataSetStream) else None
    return reception if isinstance(reception, Reception) else None


def _text(command: Dataset, keyword: str) -> str:
    """A UID of the command set as text, without padding."""
    return str(command.get(keyword, "") or "").rstrip("\0 ")
