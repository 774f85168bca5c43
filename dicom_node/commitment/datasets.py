"""Questions and reports of storage commitment as data sets (PS3.4 tables J.3-1 and J.3-2)."""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from dicom_node.uids import is_uid
from storage.commitment_records import CommitmentReport, FailedReference, Reference

COMMITMENT_CLASS_UID = str(StorageCommitmentPushModel)
COMMITMENT_INSTANCE_UID = str(StorageCommitmentPushModelInstance)
"""The well-known instance of the class (PS3.4 J.3.5)."""
REQUEST_COMMITMENT = 1
"""Action type (PS3.4 J.3.2.1)."""
ALL_KEPT = 1
SOME_NOT_KEPT = 2
"""Event types (PS3.4 J.3.3.1)."""
MAXIMUM_REFERENCES = 20_000
"""Of one question or report; a CT study has some thousand images."""

_PROCESSING_FAILURE = 0x0110


class BadContentError(ValueError):
    """A question or report lacks what PS3.4 annex J demands, or holds what is no UID."""


class TooManyReferencesError(ValueError):
    """A question or report names more instances than the node takes."""


def question(transaction_uid: str, references: Sequence[Reference]) -> Dataset:
    """Action Information of an N-ACTION that asks to keep these instances."""
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    dataset.ReferencedSOPSequence = [_item(one) for one in references]
    return dataset


def report(transaction_uid: str, kept: Sequence[Reference], not_kept: Sequence[FailedReference]) -> Dataset:
    """Event Information of an N-EVENT-REPORT; both sequences are of type 1C."""
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    if kept:
        dataset.ReferencedSOPSequence = [_item(one) for one in kept]
    if not_kept:
        dataset.FailedSOPSequence = [_failed_item(one) for one in not_kept]
    return dataset


def event_type_of(not_kept: Sequence[FailedReference]) -> int:
    """Event Type ID of a report (PS3.4 table J.3-2)."""
    return SOME_NOT_KEPT if not_kept else ALL_KEPT


def references_asked_for(information: Dataset) -> tuple[str, tuple[Reference, ...]]:
    """Transaction UID and instances of an N-ACTION, each instance once.

    Raises:
        BadContentError: A UID is missing or none, or no instance is named.
        TooManyReferencesError: More than 20,000.
    """
    items = _items(information, "ReferencedSOPSequence")
    references = tuple(dict.fromkeys(_reference(item) for item in items))
    if not references:
        raise BadContentError
    return _uid(information, "TransactionUID"), references


def report_from(information: Dataset) -> CommitmentReport:
    """What an N-EVENT-REPORT says.

    Raises:
        BadContentError: A UID is missing or none, or nothing is named.
        TooManyReferencesError: More than 20,000.
    """
    committed = {_reference(item).sop_instance_uid for item in _items(information, "ReferencedSOPSequence")}
    failed = {
        _reference(item).sop_instance_uid: int(item.get("FailureReason") or _PROCESSING_FAILURE)
        for item in _items(information, "FailedSOPSequence")
    }
    if not (committed or failed):
        raise BadContentError
    # What is named in both is not kept: the careful reading.
    return CommitmentReport(
        transaction_uid=_uid(information, "TransactionUID"),
        committed=frozenset(committed - failed.keys()),
        failed=failed,
    )


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _failed_item(failed: FailedReference) -> Dataset:
    item = _item(Reference(sop_class_uid=failed.sop_class_uid, sop_instance_uid=failed.sop_instance_uid))
    item.FailureReason = failed.failure_reason
    return item


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """Items of a sequence; none where it is missing, empty or no sequence."""
    for number, item in enumerate(dataset.get(keyword) or ()):
        if number >= MAXIMUM_REFERENCES:
            raise TooManyReferencesError
        if isinstance(item, Dataset):
            yield item


def _reference(item: Dataset) -> Reference:
    return Reference(
        sop_class_uid=_uid(item, "ReferencedSOPClassUID"), sop_instance_uid=_uid(item, "ReferencedSOPInstanceUID")
    )


def _uid(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "").rstrip("\0 ")
    if not is_uid(value):
        raise BadContentError
    return value
