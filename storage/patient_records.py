"""Records of what administrators say about patients."""

from dataclasses import dataclass
from datetime import datetime

from storage.lifecycle import State
from storage.records import Demographics, PatientKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """What contradicted between two studies when an administrator said that they are of one person."""

    said: Demographics
    other_said: Demographics
    attributes: tuple[str, ...]
    """Of birth date, sex and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeView:
    """Two patients that an administrator said are one person."""

    one: PatientKey
    other: PatientKey
    although_contradicting: bool
    waives: tuple[Waiver, ...]
    """What was shown to contradict, and nothing else; none in what was said before this was kept."""
    made_by: str
    """Operator, as the operating system calls them."""
    made_at: datetime
    undone_by: str | None
    """None while the merge stands."""
    undone_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentView:
    """A study that an administrator gave to a patient."""

    study_instance_uid: str
    patient: PatientKey
    although_contradicting: bool
    waives: tuple[Waiver, ...]
    made_by: str
    made_at: datetime
    undone_by: str | None
    undone_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientStudy:
    """A study of a person."""

    study_instance_uid: str
    patient: PatientKey
    """Whom its images name."""
    demographics: Demographics
    acquired_at: datetime | None
    """By the clock of its scanner; as if that went by UTC where it says no offset."""
    state: State
    is_assigned: bool
    """Whether an administrator gave it to this person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientView:
    """A patient as people see them."""

    patient: PatientKey
    same_person: tuple[PatientKey, ...]
    """Merged with this one."""
    studies: tuple[PatientStudy, ...]
    """Of the person, newest first."""
    merges: tuple[MergeView, ...]
    """Oldest first, also those undone."""
    assignments: tuple[AssignmentView, ...]
