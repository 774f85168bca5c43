"""What speaks for and against a study being whole, as the index keeps it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryingAssociation:
    """An association that carried instances of a study that is being received."""

    association: str
    study_instance_uid: str
    calling_aet: str
    seen_at: datetime
    """When the listener last said that it is open."""
    ended_at: datetime | None
    """None while it is open."""
    was_released: bool
    """Ended by A-RELEASE, not by an abort or a lost connection (PS3.8 7.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHoldings:
    """What is here of a series."""

    series_instance_uid: str
    modality: str
    instance_count: int
    slice_positions_mm: tuple[float, ...]
    """Of its axial slices, along their normal, ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyNotice:
    """What a source said that a study consists of."""

    notice_uid: str
    """SOP Instance UID of the notification or of the performed procedure step."""
    study_instance_uid: str
    kind: str
    """ian or mpps."""
    is_final: bool
    """False while the procedure step is in progress."""
    sop_instance_uids: frozenset[str]
    calling_aet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeHoldings:
    """How much of what a notice names is here."""

    kind: str
    """ian or mpps."""
    is_final: bool
    named_count: int
    missing_count: int
