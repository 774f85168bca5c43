"""Takes notices of what a study consists of: Instance Availability Notification (PS3.4 R), MPPS (PS3.4 F.7).

They are evidence of completeness and nothing else: no procedure step is managed here, nobody can query them.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from pydicom.dataset import Dataset
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
)

from dicom_node.listen.errors import NotUnderstoodError
from dicom_node.listen.text import uid_from
from storage.errors import StorageError
from storage.evidence_records import StudyNotice
from storage.index import Index

logger = logging.getLogger(__name__)

NOTICE_CLASSES = (str(InstanceAvailabilityNotification), str(ModalityPerformedProcedureStep))
MAXIMUM_NOTICE_BYTES = 4 * 1024 * 1024
"""Of a data set: 20,000 references take about as much."""

_MAXIMUM_REFERENCES = 20_000

# PS3.7 C.5 and PS3.4 table F.7.2-2.
_SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_INVALID_VALUE = 0x0106
_DUPLICATE_INSTANCE = 0x0111
_NO_SUCH_INSTANCE = 0x0112
_INVALID_INSTANCE = 0x0117
_MISSING_ATTRIBUTE = 0x0120
_RESOURCE_LIMITATION = 0x0213

# PS3.4 table F.7.2-1, Performed Procedure Step Status (0040,0252): after these nothing changes any more.
_FINAL = frozenset({"COMPLETED", "DISCONTINUED"})

Answer = tuple[int, Dataset | None]


class _RefusedError(Exception):
    """The notice is answered with a status that is not Success."""

    def __init__(self, status: int) -> None:
        """Keep the status."""
        self.status = status
        super().__init__(f"0x{status:04X}")


class NoticeScp:
    """Answers N-CREATE and N-SET; whatever is wrong with a request, the answer is a status."""

    def __init__(self, index: Index) -> None:
        """Keep notices in the index."""
        self._index = index

    def handle_create(self, event: Event) -> Answer:
        """Keep a notification, or begin to follow a procedure step (PS3.7 10.1.5)."""
        return _answered(lambda: self._create(event))

    def handle_set(self, event: Event) -> Answer:
        """Keep what a procedure step made, once it has ended (PS3.7 10.1.3)."""
        return _answered(lambda: self._set(event))

    def _create(self, event: Event) -> None:
        uid = _notice_uid(event, "AffectedSOPInstanceUID")
        calling_aet = event.assoc.requestor.ae_title
        attributes = event.attribute_list
        if event.context.abstract_syntax == InstanceAvailabilityNotification:
            self._index.note_notice(_notice_from_notification(attributes, uid, calling_aet))
            return
        if self._index.notices_under(uid):
            raise _RefusedError(_DUPLICATE_INSTANCE)
        for notice in _notices_from_step(attributes, uid, calling_aet):
            self._index.note_notice(notice)

    def _set(self, event: Event) -> None:
        known = self._index.notices_under(_notice_uid(event, "RequestedSOPInstanceUID"))
        if not known:
            raise _RefusedError(_NO_SUCH_INSTANCE)
        if any(notice.is_final for notice in known):
            # Performed Procedure Step Object may no longer be updated (PS3.4 F.7.2.2.2).
            raise _RefusedError(_PROCESSING_FAILURE)
        changes = event.modification_list
        made = _made_by_step(changes)
        is_final = str(changes.get("PerformedProcedureStepStatus", "")) in _FINAL
        for notice in known:
            self._index.note_notice(
                replace(notice, sop_instance_uids=made or notice.sop_instance_uids, is_final=is_final)
            )


def _answered(task: Callable[[], None]) -> Answer:
    """Status of a task; success is said last."""
    try:
        task()
    except _RefusedError as refusal:
        status = refusal.status
    except NotUnderstoodError:
        status = _INVALID_VALUE
    except StorageError as error:
        logger.warning("a notice was not kept: %s", error.detail)
        status = _RESOURCE_LIMITATION
    except Exception as error:  # noqa: BLE001  # pydicom raises whatever it likes over a malformed data set
        logger.warning("a notice was not understood [%s]", type(error).__name__)
        status = _PROCESSING_FAILURE
    else:
        return _SUCCESS, None
    logger.warning("notice refused with 0x%04X", status)
    return status, None


def _notice_uid(event: Event, keyword: str) -> str:
    """What the command set calls the instance."""
    uid = getattr(event.request, keyword, None)
    if not uid:
        raise _RefusedError(_INVALID_INSTANCE)
    return uid_from(str(uid).encode(), "SOP Instance UID")


def _notice_from_notification(attributes: Dataset, uid: str, calling_aet: str) -> StudyNotice:
    """PS3.4 table R.3.2-1."""
    series = _items(attributes, "ReferencedSeriesSequence")
    references = (item for one in series for item in _items(one, "ReferencedSOPSequence"))
    return StudyNotice(
        notice_uid=uid,
        study_instance_uid=_uid(attributes, "StudyInstanceUID"),
        kind="ian",
        is_final=True,
        sop_instance_uids=_referenced(references),
        calling_aet=calling_aet,
    )


def _notices_from_step(attributes: Dataset, uid: str, calling_aet: str) -> tuple[StudyNotice, ...]:
    """PS3.4 table F.7.2-1: a step belongs to each study that its scheduled steps name."""
    scheduled = _items(attributes, "ScheduledStepAttributesSequence")
    studies = {_uid(item, "StudyInstanceUID") for item in scheduled}
    if not studies:
        raise _RefusedError(_MISSING_ATTRIBUTE)
    return tuple(
        StudyNotice(
            notice_uid=uid,
            study_instance_uid=study,
            kind="mpps",
            is_final=False,
            sop_instance_uids=_made_by_step(attributes),
            calling_aet=calling_aet,
        )
        for study in sorted(studies)
    )


def _made_by_step(attributes: Dataset) -> frozenset[str]:
    """Images and other objects of the Performed Series Sequence (0040,0340)."""
    return _referenced(
        item
        for series in _items(attributes, "PerformedSeriesSequence")
        for keyword in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
        for item in _items(series, keyword)
    )


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """Items of a sequence; none where it is missing, empty or no sequence."""
    element = dataset.get(keyword)
    return (item for item in element or () if isinstance(item, Dataset))


def _referenced(items: Iterable[Dataset]) -> frozenset[str]:
    uids: set[str] = set()
    for item in items:
        uids.add(_uid(item, "ReferencedSOPInstanceUID"))
        if len(uids) > _MAXIMUM_REFERENCES:
            raise _RefusedError(_RESOURCE_LIMITATION)
    return frozenset(uids)


def _uid(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    if not value:
        raise _RefusedError(_MISSING_ATTRIBUTE)
    return uid_from(str(value).encode(), keyword)
