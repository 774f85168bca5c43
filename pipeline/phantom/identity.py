"""Who a phantom study belongs to, and the UIDs its objects carry."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID, uuid5

_NAMESPACE = UUID("6e1f5fd1-62c1-5d0c-8f2e-0d1c8a5a7f60")
"""Of the names of phantom objects; made once, at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A made-up person, as the Patient Module names one (PS3.3 C.7.1.1)."""

    patient_id: str = "PHANTOM-1"
    issuer: str = "DICOM-NODE-PHANTOM"
    patient_name: str = "Phantom^One"
    birth_date: date = date(1960, 1, 1)
    sex: str = "O"
    """F, M or O."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLabel:
    """What all objects of one study share."""

    identity: Identity
    study_date_time: datetime
    """Aware; written as local time of its own zone with the zone's offset."""
    uid_seed: str
    """Studies with different seeds have different UIDs; the same seed gives the same UIDs again."""

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return derive_uid(self.uid_seed, "study")

    @property
    def frame_of_reference_uid(self) -> str:
        """Shared by all series of the study."""
        return derive_uid(self.uid_seed, "frame of reference")

    def series_uid(self, number: int) -> str:
        """Series Instance UID of a series number."""
        return derive_uid(self.uid_seed, f"series {number}")

    def instance_uid(self, series_number: int, instance_number: int) -> str:
        """SOP Instance UID."""
        return derive_uid(self.uid_seed, f"series {series_number} instance {instance_number}")


def derive_uid(seed: str, name: str) -> str:
    """A UID below 2.25 (PS3.5 B.2) that only the seed and the name decide."""
    return f"2.25.{uuid5(_NAMESPACE, f'{seed}/{name}').int}"
