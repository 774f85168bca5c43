"""Which earlier studies belong to a study, which are refused."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeVar

from config.settings import PriorsSettings
from storage.identity import Attribute, contradicting_demographics, in_words
from storage.prior_records import PriorCandidate
from storage.records import Demographics

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

_ELSEWHERE = "each of its series names another part of the body, and none of them the chest"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPrior:
    """An earlier study of the same patient that is not linked."""

    study_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSelection:
    """The earlier studies to compare with, newest first, and what became of all others."""

    linked: tuple[PriorCandidate, ...]
    refused: tuple[RefusedPrior, ...]
    left_out: tuple[RefusedPrior, ...]
    """Those that could be compared with and are not."""


def select_priors(
    current: Demographics,
    candidates: Sequence[PriorCandidate],
    *,
    acquired_at: datetime | None,
    maximum_count: int,
    chest: re.Pattern[str],
) -> PriorSelection:
    """Choose earlier studies that are surely of the same patient, and not surely of another region.

    The candidates already share patient ID and issuer; what contradicts in birth date, sex or name is refused, never
    guessed away, unless an administrator saw that very contradiction and said that it is one person. What is refused takes
    no place of another study.

    Args:
        current: Of the study to be analysed.
        candidates: Newest first.
        acquired_at: When the study to be analysed was acquired.
        maximum_count: At most so many are linked.
        chest: Of `chest_words`.
    """
    linked: list[PriorCandidate] = []
    refused: list[RefusedPrior] = []
    for candidate in candidates:
        reason = why_not_linked(current, candidate, chest=chest)
        if reason:
            refused.append(RefusedPrior(study_instance_uid=candidate.study_instance_uid, reason=reason))
        else:
            linked.append(candidate)
    chosen = choose_priors(linked, acquired_at, at=lambda prior: prior.acquired_at, maximum_count=maximum_count)
    left_out = [
        RefusedPrior(
            study_instance_uid=prior.study_instance_uid,
            reason=why_left_out(
                prior.acquired_at, (acquired_at, *(one.acquired_at for one in chosen)), maximum_count=maximum_count
            ),
        )
        for prior in linked
        if prior not in chosen
    ]
    return PriorSelection(linked=chosen, refused=tuple(refused), left_out=tuple(left_out))


def chest_words(priors: PriorsSettings) -> re.Pattern[str]:
    """What the name of a chest CT shows, in the settings of a node."""
    return re.compile("|".join(priors.fetch_chest_words), re.IGNORECASE)


def why_not_linked(current: Demographics, candidate: PriorCandidate, *, chest: re.Pattern[str]) -> str:
    """Why an earlier study of the index is not compared with; empty where it may be. Without patient data."""
    contradicts = "" if candidate.is_confirmed else contradiction(current, candidate.demographics)
    return contradicts or _why_no_chest(candidate, chest)


def _why_no_chest(candidate: PriorCandidate, chest: re.Pattern[str]) -> str:
    """Why it is known that there is no chest CT in a study; empty where it may have one.

    A study that a rule excluded, that was discarded or that nobody analysed may be as good as any.
    """
    if candidate.refusal:
        first_sentence = candidate.refusal.partition(". ")[0].removesuffix(".")
        return f"its own analysis refused it ({first_sentence}): not linked; `dicom-node study retry UID` analyses it again"
    said = [candidate.description, *(f"{one.body_part} {one.description}" for one in candidate.series)]
    is_elsewhere = bool(candidate.series) and all(one.body_part for one in candidate.series)
    if is_elsewhere and not any(chest.search(words) for words in said):
        return f"{_ELSEWHERE}: not linked; `dicom-node study retry UID` analyses it all the same"
    return ""


def candidates_in_words(current: Demographics, candidates: Sequence[PriorCandidate], *, chest: re.Pattern[str]) -> str:
    """How many earlier studies the index has, and why some of them are not linked; without patient data."""
    refused = [reason for one in candidates if (reason := why_not_linked(current, one, chest=chest))]
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


def why_left_out(at: datetime, compared: Sequence[datetime | None], *, maximum_count: int) -> str:
    """Why an earlier study that could be compared with is not among those that `choose_priors` gave.

    Args:
        at: When it was acquired.
        compared: When the current study and those that were chosen were acquired; None where that is not known.
        maximum_count: At most so many are chosen.
    """
    if any(other and abs(other - at) < LEAST_GAP for other in compared):
        return f"within {LEAST_GAP / timedelta(hours=1):g} hours of a study that is compared: it says the same"
    if maximum_count == 0:
        return "[priors].maximum_count is 0: no study is compared with earlier ones"
    return "others are nearer in time, and no more than [priors].maximum_count are compared with"


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
