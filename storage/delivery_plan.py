"""Which objects of a result go to a destination, which stand by in their place, and what it wants in vain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from storage.records import Alternative, Destination, Role

_ONLY_OF_LESIONS = frozenset({"presentation_state", "key_objects"})
"""Kinds that point at lesions: a result without one has none of them."""
_LESIONS = "seg-lesions"
"""Kind that every result with a lesion has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A DICOM object of a result."""

    result_file_id: int
    kind: str
    sop_class_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An object that is sent to a destination, or stands by."""

    result_file_id: int
    role: str
    rank: int
    """0 is sent; a higher one stands by until everything below it is declined."""
    may_be_declined: bool = False


Plans: TypeAlias = dict[str, dict[int, Planned]]
"""By destination and result file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What a destination wants of a result that was made without it."""

    destination: str
    roles: tuple[str, ...]
    is_failure: bool
    """No other role makes up for one of these."""

    @property
    def words(self) -> str:
        """For people, with what helps: `pacs wants key objects, which this result lacks: ...`."""
        named = " and ".join(role.replace("_", " ") for role in self.roles)
        return (
            f"{self.destination} wants {named}, which this result lacks: `dicom-node study retry UID` makes a whole one"
        )


def lack_of(candidates: Sequence[Candidate], destination: Destination) -> Lack | None:
    """What a destination wants and the result lacks, as one that was made before anybody wanted it; None for nothing.

    Objects that point at lesions are not wanted of a result without lesions.
    """
    has_lesions = any(one.kind == _LESIONS for one in candidates)
    empty = {role.name: role for role in destination.roles if not any(_filled(candidates, role))}
    lacking = [role for role in empty.values() if has_lesions or not _points_at_lesions(role)]
    if not lacking:
        return None
    filled = {role.name for role in destination.roles} - empty.keys()
    return Lack(
        destination=destination.name,
        roles=tuple(role.name for role in lacking),
        is_failure=any(role.covered_by not in filled for role in lacking),
    )


def lacks_of(candidates: Sequence[Candidate], destinations: Sequence[Destination]) -> tuple[Lack, ...]:
    """What destinations want and the result lacks."""
    found = (lack_of(candidates, destination) for destination in destinations)
    return tuple(lack for lack in found if lack)


def in_words(lacks: Sequence[Lack]) -> str:
    """What is lacking, for people; empty for nothing."""
    return "; ".join(lack.words for lack in lacks)


def _points_at_lesions(role: Role) -> bool:
    return all(_ONLY_OF_LESIONS.issuperset(alternative.kinds) for alternative in role.alternatives)


def plans_of(candidates: Sequence[Candidate], destinations: Sequence[Destination]) -> Plans:
    """What of a result each destination is to get."""
    return {
        destination.name: {plan.result_file_id: plan for plan in planned_deliveries(candidates, destination)}
        for destination in destinations
    }


def planned_deliveries(candidates: Sequence[Candidate], destination: Destination) -> tuple[Planned, ...]:
    """The plan for one destination, in the order of the candidates; an object is planned at most once."""
    if not destination.roles:
        return tuple(Planned(result_file_id=one.result_file_id, role=one.kind, rank=0) for one in candidates)
    filled = {role.name: list(_filled(candidates, role)) for role in destination.roles}
    plans: dict[int, Planned] = {}
    for role in destination.roles:
        for rank, objects in enumerate(filled[role.name]):
            for one in objects:
                planned = Planned(
                    result_file_id=one.result_file_id,
                    role=role.name,
                    rank=rank,
                    may_be_declined=bool(filled.get(role.covered_by)),
                )
                plans.setdefault(one.result_file_id, planned)
    return tuple(plans[one.result_file_id] for one in candidates if one.result_file_id in plans)


def _filled(candidates: Sequence[Candidate], role: Role) -> Iterator[list[Candidate]]:
    """The objects of each alternative that the result has, best first.

    A result that was made before the destination named its classes may have none of them: it then sends what it has of
    the first alternative's kinds.
    """
    found = [
        objects
        for alternative in role.alternatives
        if (objects := [one for one in candidates if _fits(one, alternative)])
    ]
    if found:
        yield from found
        return
    of_any_class = [one for one in candidates if one.kind in role.alternatives[0].kinds]
    if of_any_class:
        yield of_any_class


def _fits(one: Candidate, alternative: Alternative) -> bool:
    return one.kind in alternative.kinds and alternative.sop_class_uid in {"", one.sop_class_uid}
