"""What the index says of an earlier study that may be compared with."""

from dataclasses import dataclass
from datetime import datetime

from storage.lifecycle import State
from storage.records import Demographics


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesWords:
    """What a CT series says of the region that it shows."""

    body_part: str
    """Body Part Examined (0018,0015); empty where it says none."""
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorCandidate:
    """An earlier CT study under the same patient ID and issuer, or merged or assigned by an administrator."""

    study_instance_uid: str
    acquired_at: datetime
    """By the clock of its scanner; as if that went by UTC where it says no offset."""
    demographics: Demographics
    state: State
    instance_count: int
    is_confirmed: bool = False
    """An administrator saw what contradicts between this and the current study, and said that it is one person."""
    refusal: str = ""
    """Why the analysis of the images that are here now refused them; empty where it did not, or was never run."""
    description: str = ""
    """Study Description."""
    series: tuple[SeriesWords, ...] = ()
    """Its CT series, where only their words say what it shows; none where more is known, by a result or a refusal of its own
    or because it was fetched as a chest CT."""
