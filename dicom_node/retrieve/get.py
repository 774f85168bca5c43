"""C-GET: the PACS sends series over the association that asks for them (PS3.4 C.4.3)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from threading import Event as Flag

from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StudyRootQueryRetrieveInformationModelGet,
)

from config.settings import Peer
from dicom_node.audit.events import AuditedStudy
from dicom_node.listen.dimse import DataSetStream, NoticeBuffer, ProtocolError, ReceivingDimse
from dicom_node.listen.errors import MismatchError
from dicom_node.listen.header import Header
from dicom_node.listen.receive import Receiver, Reception, StoreRequest
from dicom_node.retrieve.association import Offer, StopSwitch, conversation
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.transfer import SubOperations, end_of_transfer, series_identifier

GET_MODEL = UID(StudyRootQueryRetrieveInformationModelGet)

_MAXIMUM_IDENTIFIER_BYTES = 4 * 1024 * 1024
"""The list of failed SOP Instance UIDs of a response (PS3.4 C.4.3.1.4); room for 60,000 of them."""
_SYNTAXES = (
    (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
    *(
        (syntax,)
        for syntax in (
            *(JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless),
            *(JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K, RLELossless),
        )
    ),
)
"""An association has room for 128 contexts (PS3.8 9.3.2.2), too few for every class in every syntax."""
_CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)


def storage_contexts() -> list[PresentationContext]:
    """Each CT class in each transfer syntax of CT archives, one a context: the PACS sends as it keeps them."""
    return [build_context(uid, list(group)) for uid in _CT_CLASSES for group in _SYNTAXES]


GET_OFFER = Offer(
    model=GET_MODEL,
    contexts=[build_context(GET_MODEL), *storage_contexts()],
    roles=[build_role(uid, scp_role=True) for uid in _CT_CLASSES],
)


class GetRetriever:
    """Fetches series over its own association; what comes is made durable as the listener does it."""

    def __init__(
        self,
        peer: Peer,
        receiver: Receiver,
        *,
        own_aet: str,
        switch: StopSwitch,
        audit: RetrieveAudit | None = None,
    ) -> None:
        """Ask one PACS, keep with the receiver."""
        self._audit = audit
        self._peer = peer
        self._receiver = receiver
        self._own_aet = own_aet
        self._switch = switch

    def retrieve(self, study_instance_uid: str, series_uids: Sequence[str], *, limit_s: float) -> SubOperations:
        """Fetch series, one request each; returns when the PACS says that all were sent.

        Raises:
            NodeError: The PACS was not reached, did not answer in time, or failed.
        """
        wanted = _OneStudyReceiver(self._receiver, study_instance_uid)
        offer, end = _offer(wanted)
        total = SubOperations(completed=0, failed=0)
        try:
            with conversation(self._peer, offer, own_aet=self._own_aet, limit_s=limit_s, switch=self._switch) as talk:
                for series_uid in series_uids:
                    identifier = series_identifier(study_instance_uid, series_uid)
                    responses = talk.association.send_c_get(identifier, GET_MODEL)
                    total += end_of_transfer(talk, responses, own_aet=self._own_aet)
        finally:
            came = end()
            if self._audit:
                self._audit.note_transfer(came)
        return total


def _offer(receiver: "_OneStudyReceiver") -> tuple[Offer, Callable[[], tuple[AuditedStudy, ...]]]:
    """What the association is opened for; what drops an object that did not arrive whole, and says what did."""
    providers: list[_GettingDimse] = []

    def take_over(event: Event) -> None:
        """Before the first PDU: data sets go to the disk instead of into memory."""
        provider = _GettingDimse(event.assoc, receiver)
        event.assoc.dimse = provider
        providers.append(provider)

    def handle_store(event: Event) -> int | Dataset:
        return providers[-1].handle_store(event)

    def end() -> tuple[AuditedStudy, ...]:
        for provider in providers:
            provider.end()
        return tuple(study for provider in providers for study in provider.tally.studies())

    handlers: list[EventHandlerType] = [(evt.EVT_CONN_OPEN, take_over), (evt.EVT_C_STORE, handle_store)]
    return replace(GET_OFFER, handlers=handlers), end


class _OneStudyReceiver(Receiver):
    """Takes instances of one study alone, whatever the PACS sends."""

    def __init__(self, receiver: Receiver, study_instance_uid: str) -> None:
        """Keep where the given receiver keeps."""
        vars(self).update(vars(receiver))
        self.study_instance_uid = study_instance_uid

    def begin(self, request: StoreRequest) -> Reception:
        """Get ready for one object."""
        return _OneStudyReception(request, self)


class _OneStudyReception(Reception):
    """Refuses an instance of another study than the one that was asked for."""

    def __init__(self, request: StoreRequest, receiver: _OneStudyReceiver) -> None:
        """Open the file."""
        super().__init__(request, receiver)
        self._study_instance_uid = receiver.study_instance_uid

    def _check(self, header: Header) -> None:
        super()._check(header)
        if header.study_instance_uid != self._study_instance_uid:
            raise MismatchError


class _GettingDimse(ReceivingDimse):
    """DIMSE provider of a requestor: C-STORE requests go to the disk, identifiers of responses stay small."""

    def __init__(self, association: Association, receiver: Receiver) -> None:
        """Receive for an association, which is no evidence that a study is whole."""
        super().__init__(association, receiver, stopping=Flag(), name="")

    def _new_message(self) -> DIMSEMessage:
        message = super()._new_message()
        message.data_set = _DataSetOrIdentifier(message, lambda: self._begin(message))
        return message

    def _sender_and_receiver(self) -> tuple[str, str]:
        return self.assoc.acceptor.ae_title, self.assoc.requestor.ae_title


class _DataSetOrIdentifier(DataSetStream):
    """Hands the data set of a C-STORE on; gathers the identifier of a C-GET response, bounded."""

    def __init__(self, message: DIMSEMessage, begin: Callable[[], Reception | NoticeBuffer]) -> None:
        super().__init__(begin)
        self._message = message

    def write(self, fragment: bytes) -> int:  # type: ignore[override]  # pynetdicom writes bytes
        """Take the next bytes."""
        if isinstance(self._message, C_STORE_RQ):
            return super().write(fragment)
        if self.tell() + len(fragment) > _MAXIMUM_IDENTIFIER_BYTES:
            raise ProtocolError
        return BytesIO.write(self, fragment)
