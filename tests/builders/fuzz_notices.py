"""A fuzz target over notices of what a study consists of: Instance Availability Notification, MPPS."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from dicom_node.listen.notices import NOTICE_CLASSES, NoticeScp
from dicom_node.uids import is_uid
from storage.evidence_records import StudyNotice

_UID = "1.2.3.6"
_CT = "1.2.840.10008.5.1.4.1.1.2"
# PS3.7 C.5 and PS3.4 F.7.2.2: Success, what the provider may refuse with.
_STATUSES = frozenset({0x0000, 0x0106, 0x0110, 0x0111, 0x0112, 0x0117, 0x0120, 0x0213})


def take_notice(data: bytes) -> None:
    """A notice in a data set.

    The bits of its first byte say: implicit VR; a procedure step; its end; it was begun here.
    """
    kind = data[0] if data else 0
    index = _Notices(is_begun=bool(kind & 8))
    provider: Any = NoticeScp(index)  # type: ignore[arg-type]  # as much of an index as it needs
    handle = provider.handle_set if kind & 4 else provider.handle_create
    status, answered = handle(_event(data[1:], kind))
    assert status in _STATUSES
    assert answered is None
    assert all(is_uid(uid) for notice in index.kept for uid in (notice.study_instance_uid, *notice.sop_instance_uids))


def notices() -> list[bytes]:
    """Of honest sources, in both encodings, and of steps that nobody began."""
    told = [(0, _notification()), (2, _step("IN PROGRESS")), (12, _step("COMPLETED")), (4, _step("DISCONTINUED"))]
    return [
        bytes([kind | is_implicit]) + (encode(dataset, is_implicit, True) or b"")
        for is_implicit in (False, True)
        for kind, dataset in told
    ]


class _Notices:
    """Keeps notices as the index does."""

    def __init__(self, *, is_begun: bool) -> None:
        """With a procedure step in progress, or none."""
        begun = StudyNotice(
            notice_uid=_UID,
            study_instance_uid="1.2.3.7",
            kind="mpps",
            is_final=False,
            sop_instance_uids=frozenset(),
            calling_aet="CT",
        )
        self.kept = [begun] if is_begun else []

    def note_notice(self, notice: StudyNotice) -> None:
        """Keep it."""
        self.kept.append(notice)

    def notices_under(self, notice_uid: str) -> tuple[StudyNotice, ...]:
        """What was kept before."""
        return tuple(notice for notice in self.kept if notice.notice_uid == notice_uid)


def _event(data: bytes, kind: int) -> evt.Event:
    """As pynetdicom hands it over."""
    context = build_context(
        NOTICE_CLASSES[bool(kind & 6)], ImplicitVRLittleEndian if kind & 1 else ExplicitVRLittleEndian
    )
    request = N_SET() if kind & 4 else N_CREATE()
    if isinstance(request, N_SET):
        request.RequestedSOPInstanceUID, request.ModificationList = _UID, BytesIO(data)
    else:
        request.AffectedSOPInstanceUID, request.AttributeList = _UID, BytesIO(data)
    association: Any = SimpleNamespace(requestor=SimpleNamespace(ae_title="CT"))
    intervention = evt.EVT_N_SET if kind & 4 else evt.EVT_N_CREATE
    return evt.Event(association, intervention, {"request": request, "context": context.as_tuple})


def _notification() -> Dataset:
    """PS3.4 table R.3.2-1."""
    notice, series = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.3.8", [_image(1), _image(2)]
    notice.StudyInstanceUID, notice.ReferencedSeriesSequence = "1.2.3.7", [series]
    return notice


def _step(status: str) -> Dataset:
    """PS3.4 table F.7.2-1."""
    step, scheduled, series = Dataset(), Dataset(), Dataset()
    scheduled.StudyInstanceUID = "1.2.3.7"
    series.SeriesInstanceUID, series.ReferencedImageSequence = "1.2.3.8", [_image(1)]
    series.ReferencedNonImageCompositeSOPInstanceSequence = [_image(3)]
    step.ScheduledStepAttributesSequence, step.PerformedSeriesSequence = [scheduled], [series]
    step.PerformedProcedureStepStatus = status
    return step


def _image(number: int) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = _CT, f"1.2.3.9.{number}"
    return image
