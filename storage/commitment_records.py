"""Records of storage commitment (PS3.4 annex J): what destinations keep of our results, what we keep of what we were sent."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CommitmentState(StrEnum):
    """Where the question stands whether a destination keeps a result."""

    DUE = "due"
    """To be asked."""
    ASKED = "asked"
    """The destination took the question; its report has not come."""
    SETTLED = "settled"
    """Nothing more is expected."""


class Keeping(StrEnum):
    """Whether a destination keeps one delivered object."""

    PENDING = "pending"
    COMMITTED = "committed"
    RESENDING = "resending"
    """The destination said that it does not keep it; it is sent again."""
    FAILED = "failed"
    """It said so each time."""
    UNCONFIRMED = "unconfirmed"
    """It never said anything; the object was delivered all the same."""


class ReportOutcome(StrEnum):
    """What was done with a report of a destination."""

    TAKEN = "taken"
    DOUBLED = "doubled"
    UNKNOWN = "unknown"


class InquiryState(StrEnum):
    """Where an inquiry stands, whether we keep what we were sent."""

    DUE = "due"
    REPORTED = "reported"
    GIVEN_UP = "given_up"
    """Nobody took the report."""


class InquiryOutcome(StrEnum):
    """What was done with an inquiry."""

    TAKEN = "taken"
    OTHER_REFERENCES = "other_references"
    """The same transaction asked for other instances before."""
    TOO_MANY = "too_many"
    """So many inquiries of this caller are open already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An instance by class and UID (PS3.3 10.8, SOP Instance Reference Macro)."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedReference:
    """An instance that is not kept, and why."""

    sop_class_uid: str
    sop_instance_uid: str
    failure_reason: int
    """Failure Reason (0008,1197), PS3.3 C.14."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentTask:
    """What one destination is to be asked now."""

    commitment_id: int
    study_instance_uid: str
    references: tuple[Reference, ...]
    tries: int
    """How often it took the question and said nothing."""
    failures: int
    """How often in a row it could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentReport:
    """What a destination said (PS3.4 table J.3-2)."""

    transaction_uid: str
    committed: frozenset[str]
    """SOP Instance UIDs."""
    failed: dict[str, int]
    """Failure Reason (0008,1197) by SOP Instance UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryCommitment:
    """Whether the destination of a delivery keeps the object, as people see it."""

    state: Keeping
    requested_at: datetime | None
    """When the destination was last asked; null before the first time."""
    settled_at: datetime | None
    """When it was committed, refused for the last time, or no longer waited for."""
    resends: int
    """How often the object was sent again because the destination did not keep it."""
    words: str
    """What the destination said, or why it could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentCounts:
    """Objects of a destination that are not committed."""

    pending: int
    resending: int
    failed: int
    unconfirmed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A question of a caller whether we keep what we were sent."""

    inquiry_id: int
    calling_aet: str
    transaction_uid: str
    asked_at: datetime
    tries: int
    """How often the report could not be brought."""
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCopy:
    """One stored copy of an instance, with what its file must be."""

    sop_class_uid: str
    relative_path: str
    """Below the data folder."""
    size_bytes: int
    sha256: str
