"""What a PACS says about the images that it was asked to send."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_node.retrieve.association import Answer, Conversation
from dicom_node.retrieve.errors import ArchiveFailedError, ArchiveRefusesError

_PENDING = 0xFF00
_DESTINATION_UNKNOWN = 0xA801
"""PS3.4 table C.4-2, Refused: Move Destination unknown."""
_WITH_FAILURES = 0xB000
"""PS3.4 tables C.4-2 and C.4-3: sub-operations complete, one or more failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubOperations:
    """How the C-STORE sub-operations ended, as the PACS counts them (PS3.4 C.4.2.1.6 to C.4.2.1.9)."""

    completed: int
    """With and without warning."""
    failed: int

    def __add__(self, other: "SubOperations") -> "SubOperations":
        """Both together."""
        return SubOperations(completed=self.completed + other.completed, failed=self.failed + other.failed)


def series_identifier(study_instance_uid: str, series_instance_uid: str) -> Dataset:
    """The request for one series (PS3.4 C.4.2.1.4, C.6.2.1)."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID = study_instance_uid
    identifier.SeriesInstanceUID = series_instance_uid
    return identifier


def end_of_transfer(talk: Conversation, responses: Iterable[Answer], *, own_aet: str) -> SubOperations:
    """Wait until the PACS says that it sent everything.

    Raises:
        RetrieveError: It did not answer, failed as a whole, or does not know our AE title as a destination.
    """
    last = Dataset()
    for status, _ in talk.answers(responses):
        last = status
    code = int(last.get("Status", _PENDING))
    if code == _DESTINATION_UNKNOWN:
        reason = (
            f"{talk.peer.name}: does not know {own_aet} as a destination (status 0xA801): configure this node there, "
            "with its AE title, address and port"
        )
        raise ArchiveRefusesError(reason)
    if code not in {0x0000, _WITH_FAILURES}:
        reason = f"{talk.peer.name}: the retrieval failed with status 0x{code:04X}"
        raise ArchiveFailedError(reason)
    completed = _count(last, "NumberOfCompletedSuboperations") + _count(last, "NumberOfWarningSuboperations")
    return SubOperations(completed=completed, failed=_count(last, "NumberOfFailedSuboperations"))


def _count(status: Dataset, keyword: str) -> int:
    return int(status.get(keyword) or 0)
