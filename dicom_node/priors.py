"""Which earlier studies belong to a study, which are refused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeVar

from storage.identity import Attribute, contradicting_demographics, in_words
from storage.records import Demographics, PriorCandidate

Earlier = TypeVar("Earlier")

LEAST_GAP = timedelta(hours=12)
"""Studies nearer to each other are of one day and say the same."""

EPISODE_GAP = timedelta(days=90)
"""A longer pause ends an episode of disease: COVID-19 pneumonia is followed up for 12 weeks (British Thoracic Society,
"Guidance on respiratory follow up of patients with a clinico-radiological diagnosis of COVID-19 pneumonia", 2020)."""

CORRECT = "correct the patient in the PACS"
MARRIED = (
    f"{CORRECT}, or, where it is one person under a new name, say so by "
    "`dicom-node patient assign STUDY_UID PATIENT_ID --although-contradicting`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPrior:
    """An earlier study under the same patient ID that is not linked."""

    study_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSelection:
    """The earlier studies to compare with, newest first, with those refused."""

    linked: tuple[PriorCandidate, ...]
    refused: tuple[RefusedPrior, ...]


def select_priors(
    current: Demographics,
    candidates: Sequence[PriorCandidate],
    *,
    acquired_at: datetime | None,
    maximum_count: int,
) -> PriorSelection:
    """Choose earlier studies that are surely of the same patient.

    The candidates already share patient ID and issuer; what contradicts in birth date, sex or name is refused, never
    guessed away, unless an administrator saw that very contradiction and said that it is one person.

    Args:
        current: Of the study to be analysed.
        candidates: Newest first.
        acquired_at: When the study to be analysed was acquired.
        maximum_count: At most so many are linked.
    """
    linked: list[PriorCandidate] = []
    refused: list[RefusedPrior] = []
    for candidate in candidates:
        reason = why_not_linked(current, candidate)
        if reason:
            refused.append(RefusedPrior(study_instance_uid=candidate.study_instance_uid, reason=reason))
        else:
            linked.append(candidate)
    chosen = choose_priors(linked, acquired_at, at=lambda prior: prior.acquired_at, maximum_count=maximum_count)
    return PriorSelection(linked=chosen, refused=tuple(refused))


def why_not_linked(current: Demographics, candidate: PriorCandidate) -> str:
    """Why an earlier study of the index is not compared with; empty where it may be."""
    return "" if candidate.is_confirmed else contradiction(current, candidate.demographics)


def candidates_in_words(current: Demographics, candidates: Sequence[PriorCandidate]) -> str:
    """How many earlier studies the index has, and why some of them are not linked; without patient data."""
    refused = [reason for one in candidates if (reason := why_not_linked(current, one))]
    found = f"{len(candidates)} earlier CT studies in the index"
    return f"{found}, {len(refused)} of them not linked: {'; '.join(dict.fromkeys(refused))}" if refused else found


def choose_priors(
    priors: Sequence[Earlier], acquired_at: datetime | None, *, at: Callable[[Earlier], datetime], maximum_count: int
) -> tuple[Earlier, ...]:
    """The earlier studies worth comparing with: the nearest in time, and the oldest of the episode; one for each day.

    Args:
        priors: All of the same patient, newest first.
        acquired_at: When the current study was acquired; None where it is not known.
        at: When one of them was acquired.
        maximum_count: At most so many.
    """
    later = acquired_at
    days: list[Earlier] = []
    for prior in priors:
        if later is None or later - at(prior) >= LEAST_GAP:
            days.append(prior)
            later = at(prior)
    if len(days) <= maximum_count or maximum_count < 2:
        return tuple(days[:maximum_count])
    nearest = days[: maximum_count - 1]
    oldest = _oldest_of_episode(days, at)
    return (*nearest, oldest if oldest not in nearest else days[maximum_count - 1])


def _oldest_of_episode(days: Sequence[Earlier], at: Callable[[Earlier], datetime]) -> Earlier:
    """The study before which the first long pause lies, counted from the newest."""
    for later, earlier in pairwise(days):
        if at(later) - at(earlier) > EPISODE_GAP:
            return later
    return days[-1]


def contradiction(one: Demographics, other: Demographics) -> str:
    """Say which of birth date, sex or name contradict, and what to do; empty when none does."""
    attributes = contradicting_demographics(one, other)
    if not attributes:
        return ""
    cure = MARRIED if attributes == (Attribute.NAME,) else CORRECT
    return f"same patient ID, but {in_words(attributes)}: not linked; {cure}"
