"""Takes the data set of a C-STORE from the wire to the disk.

This is the seam between the protocol and the storage: whoever reads the P-DATA calls `Receiver.begin`, then `write` for
each fragment, then `finish`, then answers; `discard` ends it in every case.
"""

import logging
from dataclasses import dataclass
from functools import partial

from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.listen.errors import (
    FreeFloorError,
    InstanceRefusedError,
    MismatchError,
    OutOfResourcesError,
    PatientIdTooLongError,
    TooLargeError,
)
from dicom_node.listen.file_meta import file_meta
from dicom_node.listen.header import HEAD_BYTES, Header, read_header, read_header_within
from dicom_node.listen.intake import Intake
from dicom_node.listen.text import uid_from
from storage.errors import StorageError
from storage.files import MAXIMUM_PIECES, ObjectStore, PartFile, StoredObject
from storage.identity import fits_index
from storage.records import ReceivedInstance, Recorded

logger = logging.getLogger(__name__)

# Nearly every header ends before; the pixels begin behind some 3 KiB.
_START_BYTES = 16 * 1024
# As much as the buffer of a connection holds.
_GATHERED_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """What the command set and the association say about an object that is about to arrive."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_aet: str
    called_aet: str
    association: str = ""
    """Name of the association in the ledger; empty for none."""


class Reception:
    """One object on its way to the disk.

    A refusal does not show before `finish`: until then the sender talks and does not listen, so the rest of the object
    is taken and dropped. Memory holds the start of the data set, whatever its size.
    """

    def __init__(self, request: StoreRequest, receiver: "Receiver") -> None:
        """Open the file; what prevents it is kept for `finish`."""
        self._request = request
        self._receiver = receiver
        self._start = bytearray()
        self._gathered: list[bytes | memoryview] = []
        self._gathered_bytes = 0
        self._data_set_at = 0
        self._part: PartFile | None = None
        self._refusal: InstanceRefusedError | None = None
        self.received_bytes = 0
        self.header: Header | None = None
        """What the object says about itself, once it was read."""
        try:
            self._begin_file()
        except InstanceRefusedError as refusal:
            self._refuse(refusal)
        except StorageError as error:
            self._refuse(_refusal_from(error))

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next bytes of the data set; they are to stay as they are until `flush`, or `finish`."""
        self.received_bytes += len(fragment)
        if self._part is None:
            return
        if self.received_bytes > self._receiver.maximum_object_bytes:
            self._refuse(TooLargeError())
            return
        if (missing := _START_BYTES - len(self._start)) > 0:
            self._start += fragment[:missing]
        self._gathered.append(fragment)
        self._gathered_bytes += len(fragment)
        if self._gathered_bytes >= _GATHERED_BYTES or len(self._gathered) >= MAXIMUM_PIECES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered: the buffers that fragments lie in may be used for something else then."""
        pieces = self._gathered
        if self._part is None or not pieces:
            return
        self._gathered, self._gathered_bytes = [], 0
        try:
            self._part.write(*pieces)
        except StorageError as error:
            self._refuse(_refusal_from(error))

    def finish(self) -> Recorded:
        """Make the object durable; Success may be answered when this returns.

        Raises:
            InstanceRefusedError: It is not stored; the status is in the error.
        """
        self.flush()
        if self._refusal:
            raise self._refusal
        if self._part is None:
            raise OutOfResourcesError
        header = self._header_in(self._part)
        self._check(header)
        self.header = header
        describe = partial(self._receiver.describe, self._request, header)
        try:
            recorded = self._receiver.intake.keep(self._part, describe)
        except StorageError as error:
            raise _refusal_from(error) from error
        if recorded is Recorded.OTHER_PATIENT:
            logger.warning("an instance names another patient than its study: kept, the study is held")
        return recorded

    def discard(self) -> None:
        """Remove what is not in its place; harmless after `finish`, may be called again."""
        self._remove_file()

    def _begin_file(self) -> None:
        request = self._request
        beginning = file_meta(
            sop_class_uid=uid_from(request.sop_class_uid.encode(), "Affected SOP Class UID"),
            sop_instance_uid=uid_from(request.sop_instance_uid.encode(), "Affected SOP Instance UID"),
            transfer_syntax_uid=request.transfer_syntax_uid,
        )
        if self._receiver.store.free_bytes() < self._receiver.free_floor_bytes:
            raise FreeFloorError
        self._part = self._receiver.store.new_part()
        self._gathered.append(beginning)
        self._data_set_at = len(beginning)

    def _header_in(self, part: PartFile) -> Header:
        """From what is kept of the data set; a header that is longer is read back."""
        syntax = self._request.transfer_syntax_uid
        header = read_header_within(bytes(self._start), syntax)
        if header is not None:
            return header

        def more(at: int) -> bytes:
            return part.read(HEAD_BYTES, at=self._data_set_at + at)

        try:
            return read_header(more(0), syntax, more=more)
        except StorageError as error:
            raise _refusal_from(error) from error

    def _refuse(self, refusal: InstanceRefusedError) -> None:
        """Give the room on the disk back at once; the answer comes when the sender listens."""
        self._refusal = refusal
        self._remove_file()

    def _remove_file(self) -> None:
        if self._part:
            self._part.discard()
        self._part = None
        self._gathered = []

    def _check(self, header: Header) -> None:
        request = self._request
        if (header.sop_class_uid, header.sop_instance_uid) != (request.sop_class_uid, request.sop_instance_uid):
            raise MismatchError
        if not fits_index(header.patient):
            raise PatientIdTooLongError


class Receiver:
    """Begins receptions; knows where objects go and which limits hold."""

    def __init__(self, settings: Settings, store: ObjectStore, intake: Intake, *, clock: Clock) -> None:
        """Receive into the store, through the intake."""
        self.follow(settings)
        self.store = store
        self.intake = intake
        self._clock = clock

    def follow(self, settings: Settings) -> None:
        """Go by the limits of these settings from now on."""
        self.maximum_object_bytes = settings.listen.maximum_object_bytes
        self.listen = settings.listen
        self.free_floor_bytes = settings.storage.free_floor_bytes

    def begin(self, request: StoreRequest) -> Reception:
        """Get ready for one object."""
        return Reception(request, self)

    def describe(self, request: StoreRequest, header: Header, stored: StoredObject) -> ReceivedInstance:
        """The row of an object in the index."""
        return ReceivedInstance(
            sop_instance_uid=header.sop_instance_uid,
            sop_class_uid=header.sop_class_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
            patient=header.patient,
            patient_name=header.patient_name,
            birth_date=header.birth_date,
            sex=header.sex,
            accession_number=header.accession_number,
            study_description=header.study_description,
            series_description=header.series_description,
            modality=header.modality,
            body_part=header.body_part,
            instance_number=header.instance_number,
            acquired_at=header.acquired_at,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            relative_path=stored.relative_path,
            calling_aet=request.calling_aet,
            called_aet=request.called_aet,
            received_at=self._clock.now(),
            is_of_our_make=header.is_of_our_make,
            association=request.association,
            slice_position_mm=header.slice_position_mm,
        )


def _refusal_from(error: StorageError) -> OutOfResourcesError:
    """Whatever the storage says, the sender hears that it may try again: 0xA700 (PS3.4 B.2.3)."""
    return OutOfResourcesError(f"{type(error).__name__} {error.detail}".strip())
