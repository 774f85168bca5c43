"""What is known about runs over studies of an archive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class BatchState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"


class BatchStudyState(StrEnum):
    """Where a study of a run stands."""

    WAITING = "waiting"
    """It is not here, or not as a whole."""
    FETCHING = "fetching"
    ANALYSING = "analysing"
    """It is here; the life of the study says the rest."""
    ANALYSED = "analysed"
    REFUSED = "refused"
    """The pipeline, a rule or an operator said that it is not analysed."""
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = frozenset({BatchStudyState.ANALYSED, BatchStudyState.REFUSED, BatchStudyState.FAILED, BatchStudyState.CANCELLED})
UNENDED = frozenset(BatchStudyState) - ENDS
IN_FLIGHT = frozenset({BatchStudyState.FETCHING, BatchStudyState.ANALYSING})


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """A run as it is ordered."""

    name: str
    """What people call it."""
    peer: str
    """Name of the PACS in the configuration."""
    delivers: bool
    """Whether results go to the destinations; without it nothing is sent."""
    in_flight: int
    """At most so many studies are fetched and not yet analysed."""
    per_hour: int
    """At most so many studies are asked for in any hour."""
    hours: str
    """HH:MM-HH:MM in the time zone of the machine; empty: always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """A run as it stands."""

    number: int
    state: BatchState
    created_at: datetime
    plan: BatchPlan
    studies: Mapping[BatchStudyState, int]
    """How many are in each state; states without a study are left out."""
    asked_in_last_hour: int
    next_try_at: datetime
    """The PACS is left alone until then."""
    failures: int
    """Retrievals that failed since one succeeded."""
    words: str
    """About the last failure since somebody moved it; empty when there is none. One that is paused with words paused itself."""
    waits: str = ""
    """Why nothing is asked for although it runs; empty where it goes on, and in what the index says."""

    @property
    def has_paused_itself(self) -> bool:
        """Whether it waits for somebody to put something right."""
        return self.state is BatchState.PAUSED and bool(self.words)

    @property
    def unended(self) -> int:
        """Studies that have not ended."""
        return sum(self.studies.get(state, 0) for state in UNENDED)

    @property
    def total(self) -> int:
        """Studies of the run."""
        return sum(self.studies.values())

    @property
    def in_flight(self) -> int:
        """Studies that were asked for and have not ended."""
        return sum(self.studies.get(state, 0) for state in IN_FLIGHT)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFindings:
    """What was found in a study of a run, as the table of the run has it."""

    revision: int
    """Of the result."""
    images: int
    """Of the series that was read."""
    lesions: int
    priors_used: int
    """Earlier studies that were compared."""
    patient_score: float
    """0..1: how much the study looks like diseased ones."""
    involvement_percent: float
    """Of both lungs."""
    lesion_volume_ml: float
    """Of all lesions."""
    stage: str
    algorithm: str
    algorithm_version: str
    weights_sha256: str
    qualifications: str
    """What weakens the findings, in words with spaces between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    """A study of a run."""

    number: int
    """Of the run."""
    study_instance_uid: str
    study_date: str
    """YYYYMMDD as the PACS said it; empty where it said none."""
    state: BatchStudyState
    tries: int
    asked_at: datetime | None
    ended_at: datetime | None
    words: str
    """Why it ended so, without patient data."""
    findings: BatchFindings | None = None
    """Of an analysed study; None where it ended before they were kept."""
