"""Lets pynetdicom hand on the data set of a C-STORE piece by piece instead of gathering it in memory."""

import logging
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import (
    C_STORE_RQ,
    N_ACTION_RQ,
    N_CREATE_RQ,
    N_EVENT_REPORT_RQ,
    N_SET_RQ,
    DIMSEMessage,
)
from pynetdicom.dimse_primitives import N_EVENT_REPORT, DimsePrimitiveType
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext

from dicom_node.commitment.datasets import COMMITMENT_CLASS_UID
from dicom_node.listen.contexts import STORAGE_CLASSES
from dicom_node.listen.errors import InstanceRefusedError, NoDataSetError, ProcessingFailedError
from dicom_node.listen.limits import AssociationBudget, BudgetExceededError
from dicom_node.listen.notices import MAXIMUM_NOTICE_BYTES, NOTICE_CLASSES
from dicom_node.listen.receive import Receiver, Reception, StoreRequest
from dicom_node.listen.store_command import StoreCommand, store_response
from dicom_node.listen.tally import TransferTally
from storage.failpoints import reach

logger = logging.getLogger(__name__)

_SUCCESS = 0x0000
# Larger than any real command set: it holds UIDs, AE titles and numbers (PS3.7 9.3, 10.3).
_MAXIMUM_COMMAND_BYTES = 64 * 1024
# An object that goes on to arrive long after it became too large will never end.
_ENDLESS = 2
_WITH_DATA_SET = (N_CREATE_RQ, N_SET_RQ, N_ACTION_RQ, N_EVENT_REPORT_RQ)
_NOTICES = frozenset({*NOTICE_CLASSES, COMMITMENT_CLASS_UID})
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

    def __init__(
        self, begin: Callable[[], Reception | NoticeBuffer], *, spend: Callable[[int], None] = lambda _: None
    ) -> None:
        """Begin the reception when the first fragment comes: the command set is complete then; count its bytes."""
        super().__init__()
        self._begin = begin
        self._spend = spend
        self.reception: Reception | NoticeBuffer | None = None

    def write(self, fragment: bytes) -> int:  # type: ignore[override]  # pynetdicom writes bytes
        """Hand the next bytes on."""
        if self.reception is None:
            self.reception = self._begin()
        self._spend(len(fragment))
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
        self._budget = AssociationBudget(receiver.listen)
        self._stopping = stopping
        self._reception: Reception | None = None
        self._command: StoreCommand | None = None
        self._context_id = 0
        self.is_receiving = False
        """Whether an object is on its way, from its first byte until its answer is on its own way."""
        self.stored_count = 0
        self.refused_count = 0
        self.tally = TransferTally()

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a P-DATA; whatever is wrong with it ends in an abort of this association alone."""
        try:
            if self.message is None:
                self.message = self._new_message()
            super().receive_primitive(primitive)
            self._check_size()
        except BudgetExceededError as over:
            logger.warning("association aborted: %s", over)
            self.dul.event_queue.put("Evt19")
        except _MALFORMED as exc:
            logger.warning("association aborted: malformed message [%s]", type(exc).__name__)
            # Evt19, invalid PDU: the state machine sends A-ABORT (PS3.8 9.2, AA-8).
            self.dul.event_queue.put("Evt19")

    def send_msg(self, primitive: DimsePrimitiveType, context_id: int) -> None:
        """Queue an answer; whatever is queued after it, an abort too, reaches the peer after it."""
        super().send_msg(primitive, context_id)
        is_report_of_ours = isinstance(primitive, N_EVENT_REPORT) and primitive.is_valid_request
        if not is_report_of_ours:
            self.is_receiving = False

    def handle_store(self, event: Event) -> int | Dataset:
        """Finish what arrived and answer the C-STORE: Success only when the object is durable (PS3.4 B.2.3)."""
        reception = _reception_of(event)
        if reception is None:
            return self._refused(NoDataSetError())
        refusal = self._refusal_after(reception)
        return self._refused(refusal) if refusal else _SUCCESS

    @property
    def is_taking(self) -> bool:
        """Whether an object that was begun by `begin` is on its way."""
        return self._command is not None

    @property
    def is_free(self) -> bool:
        """Whether no message is on its way."""
        return self.message is None and not self.is_receiving

    def accepts(self, command: StoreCommand, context_id: int) -> bool:
        """Whether a request came in a presentation context that was accepted for its storage SOP class."""
        context = self.assoc._accepted_cx.get(context_id)
        sop_class_uid = str(context.abstract_syntax) if context else ""
        return sop_class_uid in STORAGE_CLASSES and sop_class_uid.encode() == command.sop_class_uid

    def begin(self, command: StoreCommand, context_id: int) -> None:
        """Begin to receive the data set that follows.

        Raises:
            ProtocolError: None may come now, or not in this context.
        """
        if self._stopping.is_set() or not self.is_free or not self.accepts(command, context_id):
            raise ProtocolError
        self._command, self._context_id = command, context_id
        with _logged_budget():
            self._begin_reception(
                command.sop_class_uid.decode("ascii", "replace"),
                command.sop_instance_uid.decode("ascii", "replace"),
                self.assoc._accepted_cx[context_id],
            )

    def take(self, fragment: memoryview, context_id: int) -> None:
        """Take the next bytes of the data set.

        Raises:
            ProtocolError: They do not end, or came in another context than the request.
        """
        if self._reception is None or context_id != self._context_id:
            raise ProtocolError
        with _logged_budget():
            self._budget.spend(len(fragment))
        self._reception.write(fragment)
        self._check_size()

    def flush(self) -> None:
        """Let go of what was taken so far: its buffer is about to be used again."""
        if self._reception:
            self._reception.flush()

    def finish(self) -> bytes:
        """The PDU of the answer: Success only when the object is durable (PS3.4 B.2.3)."""
        command, reception = self._command, self._reception
        if command is None or reception is None:
            raise ProtocolError
        self._command = None
        refusal = self._refusal_after(reception)
        if refusal is None:
            return store_response(command, context_id=self._context_id, status=_SUCCESS)
        comment = self._comment_on(refusal)
        return store_response(command, context_id=self._context_id, status=refusal.status, comment=comment)

    def was_answered(self) -> None:
        """The answer is on its way."""
        self.is_receiving = False

    def abandon(self) -> None:
        """The object does not come whole: drop what is there."""
        self._command = None
        self.end()

    def end(self) -> None:
        """The association is over: drop what had not arrived whole."""
        if self._reception:
            self._reception.discard()

    def _new_message(self) -> DIMSEMessage:
        if self._stopping.is_set():
            raise ProtocolError
        message = DIMSEMessage()
        message.encoded_command_set = _CommandBuffer()
        message.data_set = DataSetStream(lambda: self._begin(message), spend=self._budget.spend)
        return message

    def _begin(self, message: DIMSEMessage) -> Reception | NoticeBuffer:
        """Begin to receive the data set that follows a request."""
        if self.is_receiving:
            # No requests are negotiated before the last answer (PS3.7 D.3.3.3).
            raise ProtocolError
        if isinstance(message, C_STORE_RQ):
            return self._begin_object(message)
        if not isinstance(message, _WITH_DATA_SET) or not self._is_notice(message):
            # Nothing else with a data set is negotiated.
            raise ProtocolError
        self.is_receiving = True
        # What comes after the first fragment goes there directly, and pynetdicom decodes it from there.
        message.data_set = NoticeBuffer()
        return message.data_set

    def _is_notice(self, message: DIMSEMessage) -> bool:
        """Whether the message came in the presentation context of a notice or of storage commitment."""
        context = self.assoc._accepted_cx.get(message.context_id or 0)
        return context is not None and str(context.abstract_syntax) in _NOTICES

    def _begin_object(self, message: DIMSEMessage) -> Reception:
        """Begin to receive the data set that follows a C-STORE-RQ."""
        command = message.command_set
        return self._begin_reception(
            _text(command, "AffectedSOPClassUID"),
            _text(command, "AffectedSOPInstanceUID"),
            self.assoc._accepted_cx[message.context_id or 0],
        )

    def _begin_reception(self, sop_class_uid: str, sop_instance_uid: str, context: PresentationContext) -> Reception:
        sender, receiver = self._sender_and_receiver()
        request = StoreRequest(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=str(context.transfer_syntax[0]),
            calling_aet=sender,
            called_aet=receiver,
            association=self._name,
        )
        self._budget.begin_object()
        self.is_receiving = True
        self._reception = self._receiver.begin(request)
        return self._reception

    def _sender_and_receiver(self) -> tuple[str, str]:
        """AE titles of who sends the objects, of who gets them."""
        return self.assoc.requestor.ae_title, self.assoc.acceptor.ae_title

    def _refusal_after(self, reception: Reception) -> InstanceRefusedError | None:
        """Finish what arrived; why it is not stored, None if it is and is durable."""
        try:
            recorded = reception.finish()
        except InstanceRefusedError as refusal:
            return refusal
        except Exception:
            logger.exception("object refused: a defect of the node")
            return ProcessingFailedError()
        finally:
            reception.discard()
        self.stored_count += 1
        if reception.header:
            self.tally.add(reception.header)
        logger.debug("object stored: %s", recorded)
        reach("store.before_rsp")
        return None

    def _refused(self, refusal: InstanceRefusedError) -> Dataset:
        """Status and error comment of a refusal (PS3.7 C)."""
        status = Dataset()
        status.Status = refusal.status
        status.ErrorComment = self._comment_on(refusal)
        return status

    def _comment_on(self, refusal: InstanceRefusedError) -> str:
        """Log and count a refusal; what the sender is told: (0000,0902) is an LO of at most 64 characters."""
        self.refused_count += 1
        logger.warning("object refused with 0x%04X: %s", refusal.status, refusal.reason)
        return refusal.reason.replace("\\", "/")[:64]

    def _check_size(self) -> None:
        if self._reception and self._reception.received_bytes > _ENDLESS * self._receiver.maximum_object_bytes:
            raise ProtocolError


@contextmanager
def _logged_budget() -> Iterator[None]:
    """Log what the association brought too much, and have it aborted as after any breach."""
    try:
        yield
    except BudgetExceededError as over:
        logger.warning("association aborted: %s", over)
        raise ProtocolError from over


def _reception_of(event: Event) -> Reception | None:
    """The reception that a C-STORE-RQ was streamed into; None if it came without a data set."""
    stream = getattr(event.request, "DataSet", None)
    reception = stream.reception if isinstance(stream, DataSetStream) else None
    return reception if isinstance(reception, Reception) else None


def _text(command: Dataset, keyword: str) -> str:
    """A UID of the command set as text, without padding."""
    return str(command.get(keyword, "") or "").rstrip("\0 ")
