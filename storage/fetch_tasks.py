"""What the search for earlier studies is given by the index."""

from dataclasses import dataclass
from datetime import datetime

from storage.patient_records import Waiver
from storage.records import Demographics, PatientKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SoughtPatient:
    """A patient under whom the person of the current study may have earlier ones."""

    patient: PatientKey
    waivers: tuple[Waiver, ...]
    """What may contradict between the current study and an earlier one of this patient that is not here yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchTask:
    """A search that is to be run now."""

    fetch_id: int
    study_instance_uid: str
    patient: PatientKey
    """Whom the study was assigned to, else whom its images name: what the PACS is asked for first."""
    demographics: Demographics
    """As the images say."""
    acquired_at: datetime
    """Of the current study, by the clock of its scanner: what is later is not earlier."""
    planned_at: datetime
    tries: int
    """Counting this one."""
    waivers: tuple[Waiver, ...] = ()
    """As of `SoughtPatient`, for this patient."""
    merged: tuple[SoughtPatient, ...] = ()
    """Patients who are merged with this one, over any number of steps: the PACS is asked for each."""

    @property
    def sought(self) -> tuple[SoughtPatient, ...]:
        """Everyone whom the PACS is asked for."""
        return (SoughtPatient(patient=self.patient, waivers=self.waivers), *self.merged)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldStudy:
    """A study that the node has, as a search sees it."""

    patient: PatientKey
    was_fetched: bool
    """It came as an earlier study; false when it was sent to be analysed."""
    is_whole: bool
    """False while, and when, only a part of it was fetched."""
    images_by_series: dict[str, int]
    """Usable instances by Series Instance UID."""
