"""What contradicted when an administrator said that it is one person, and how far that reaches."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select

from storage.database import AnyRow, AnySelect
from storage.identity import Attribute, contradicting_demographics
from storage.link_models import WaivedContradiction
from storage.patient_records import Waiver
from storage.records import Contradiction, Demographics

_WAIVED = select(WaivedContradiction).order_by(WaivedContradiction.id)
_BY_MERGES = _WAIVED.where(WaivedContradiction.merge_id.in_(bindparam("statements", expanding=True)))
_BY_ASSIGNMENTS = _WAIVED.where(WaivedContradiction.assignment_id.in_(bindparam("statements", expanding=True)))
_SEPARATOR = ","
_NEW_NAME = (Attribute.NAME,)
"""As after a marriage: later studies have the new name too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """Everything that is waived between studies of a person."""

    by_merges: Sequence[Waiver]
    by_study: Mapping[int, Sequence[Waiver]]
    """By primary key of the study that was assigned."""

    def between(self, study_ids: Collection[int], *, is_across_merge: bool) -> Iterator[Waiver]:
        """What may be waived between two studies: a new name between all, what is more between those it was said of.

        Args:
            study_ids: Primary keys of the two.
            is_across_merge: Whether only a merge that was made although something contradicts makes them one person.
        """
        yield from (one for one in self.by_merges if is_across_merge or one.attributes == _NEW_NAME)
        for study_id, waivers in self.by_study.items():
            yield from (one for one in waivers if study_id in study_ids or one.attributes == _NEW_NAME)


def waived_by_merges(connection: Connection, merge_ids: Collection[int]) -> dict[int, list[Waiver]]:
    """What each of these merges waives, in the order in which it was shown."""
    return _by_statement(connection, _BY_MERGES, merge_ids)


def waived_by_assignments(connection: Connection, assignment_ids: Collection[int]) -> dict[int, list[Waiver]]:
    """What each of these assignments waives, in the order in which it was shown."""
    return _by_statement(connection, _BY_ASSIGNMENTS, assignment_ids)


def keep_waived(
    connection: Connection,
    shown: Collection[Contradiction],
    *,
    merge_id: int | None = None,
    assignment_id: int | None = None,
) -> None:
    """Keep what was shown with the merge or the assignment that was made although it contradicts."""
    rows = [
        {
            "merge_id": merge_id,
            "assignment_id": assignment_id,
            "patient_name": one.said.patient_name,
            "birth_date": one.said.birth_date,
            "sex": one.said.sex,
            "other_patient_name": one.other_said.patient_name,
            "other_birth_date": one.other_said.birth_date,
            "other_sex": one.other_said.sex,
            "attributes": _SEPARATOR.join(one.attributes),
        }
        for one in shown
    ]
    if rows:
        connection.execute(insert(WaivedContradiction), rows)


def is_waived(one: Demographics, other: Demographics, waivers: Iterable[Waiver]) -> bool:
    """Whether something contradicts between two studies, and all of it is what somebody saw and waived.

    Each study must by itself agree with one of the two that were shown: a third name was not seen.
    """
    attributes = contradicting_demographics(one, other)
    return bool(attributes) and any(
        set(attributes) <= set(waiver.attributes) and (_is_pair(waiver, one, other) or _is_pair(waiver, other, one))
        for waiver in waivers
    )


def _is_pair(waiver: Waiver, one: Demographics, other: Demographics) -> bool:
    sides = ((waiver.said, one), (waiver.other_said, other))
    return not any(contradicting_demographics(shown, given) for shown, given in sides)


def _by_statement(connection: Connection, wanted: AnySelect, keys: Collection[int]) -> dict[int, list[Waiver]]:
    """By primary key of the statement; nothing is asked where there is none."""
    rows = connection.execute(wanted, {"statements": list(keys)}).all() if keys else ()
    found: dict[int, list[Waiver]] = {key: [] for key in keys}
    for row in rows:
        found[row.assignment_id if row.merge_id is None else row.merge_id].append(_waiver(row))
    return found


def _waiver(row: AnyRow) -> Waiver:
    other = Demographics(patient_name=row.other_patient_name, birth_date=row.other_birth_date, sex=row.other_sex)
    return Waiver(
        said=Demographics(patient_name=row.patient_name, birth_date=row.birth_date, sex=row.sex),
        other_said=other,
        attributes=tuple(row.attributes.split(_SEPARATOR)),
    )
