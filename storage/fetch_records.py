"""Records of the search for earlier studies at a PACS."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FetchState(StrEnum):
    """Where the search at one PACS stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


class FoundState(StrEnum):
    """What became of an earlier study that a PACS named."""

    HELD = "held"
    """The node has it already."""
    FETCHING = "fetching"
    FETCHED = "fetched"
    REFUSED = "refused"
    """It may be of another patient, or is no earlier study."""
    UNSUITABLE = "unsuitable"
    """It holds no chest CT."""
    NOT_NEEDED = "not_needed"
    """Others are worth more; no more than the configured number is compared with."""
    FAILED = "failed"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPriorView:
    """An earlier study that a PACS named."""

    study_instance_uid: str
    study_date: str
    """YYYYMMDD as the PACS said it; empty where it said none."""
    state: FoundState
    words: str
    instance_count: int
    """Images fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorFetchView:
    """The search for earlier studies at one PACS, as people see it."""

    peer: str
    state: FetchState
    tries: int
    planned_at: datetime
    settled_at: datetime | None
    words: str
    found: tuple[FoundPriorView, ...]

    @property
    def is_open(self) -> bool:
        """Whether something may still come of it."""
        return self.state in {FetchState.WAITING, FetchState.RUNNING}
