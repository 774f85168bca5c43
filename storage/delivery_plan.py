"""Which objects of a result go to a destination, and which stand by in their place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage.records import Alternative, Destination, Role


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
