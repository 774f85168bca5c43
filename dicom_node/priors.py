"""Which earlier studies belong to a study, which are refused."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from storage.records import Demographics, PriorCandidate


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


def select_priors(current: Demographics, candidates: Sequence[PriorCandidate], *, maximum_count: int) -> PriorSelection:
    """Choose the newest earlier studies that are surely of the same patient.

    The candidates already share patient ID and issuer; what contradicts in birth date, sex or name is refused, never
    guessed away.

    Args:
        current: Of the study to be analysed.
        candidates: Newest first.
        maximum_count: At most so many are linked.
    """
    linked: list[PriorCandidate] = []
    refused: list[RefusedPrior] = []
    for candidate in candidates:
        reason = contradiction(current, candidate.demographics)
        if reason:
            refused.append(RefusedPrior(study_instance_uid=candidate.study_instance_uid, reason=reason))
        elif len(linked) < maximum_count:
            linked.append(candidate)
    return PriorSelection(linked=tuple(linked), refused=tuple(refused))


def contradiction(one: Demographics, other: Demographics) -> str:
    """Say which of birth date, sex or name contradict; empty when none does. An absent value contradicts nothing."""
    pairs = (
        ("birth date", one.birth_date.strip(), other.birth_date.strip()),
        ("sex", one.sex.strip().upper(), other.sex.strip().upper()),
        ("name", comparable_name(one.patient_name), comparable_name(other.patient_name)),
    )
    differing = [what for what, left, right in pairs if left and right and left != right]
    if not differing:
        return ""
    return f"same patient ID, but the {' and '.join(differing)} differ: not linked; correct the patient in the PACS"


def comparable_name(person_name: str) -> str:
    """A person name (PS3.5 6.2.1) without what two systems may write differently: case, accents, empty components."""
    alphabetic = person_name.split("=")[0]
    plain = unicodedata.normalize("NFKD", alphabetic)
    letters = "".join(character for character in plain if not unicodedata.combining(character))
    parts = [part.strip().casefold() for part in letters.replace("^", " ").split()]
    return " ".join(sorted(part for part in parts if part))
