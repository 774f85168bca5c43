"""Which earlier studies are linked."""

from datetime import UTC, datetime

import pytest

from dicom_node.priors import comparable_name, contradiction, select_priors
from storage.lifecycle import State
from storage.records import Demographics, PriorCandidate


def person(name: str = "Doe^Jane", birth_date: str = "19500102", sex: str = "F") -> Demographics:
    """Someone."""
    return Demographics(patient_name=name, birth_date=birth_date, sex=sex)


def candidate(day: int, demographics: Demographics) -> PriorCandidate:
    """A study of January 2026."""
    return PriorCandidate(
        study_instance_uid=f"1.2.{day}",
        acquired_at=datetime(2026, 1, day, tzinfo=UTC),
        demographics=demographics,
        state=State.DELIVERED,
        instance_count=100,
    )


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (person(birth_date="19500103"), "birth date"),
        (person(sex="M"), "sex"),
        (person(name="Roe^Jane"), "name"),
        (person(name="Roe^Jane", sex="M"), "sex and name"),
    ],
)
def test_a_contradiction_is_named(other: Demographics, what: str) -> None:
    """The reason says which attribute differs, not its value."""
    reason = contradiction(person(), other)
    assert f"the {what} differ" in reason
    assert "Roe" not in reason


@pytest.mark.parametrize(
    "other", [person(name="DOE^JANE"), person(name="Jane^Doé^^^"), person(sex=""), person(name="")]
)
def test_spelling_and_absent_values_do_not_contradict(other: Demographics) -> None:
    """Case, accents, order of components and missing values are no contradiction."""
    assert contradiction(person(), other) == ""


def test_a_contradicting_study_is_refused_and_the_newest_others_are_linked() -> None:
    """Refused ones take no place among those linked."""
    candidates = [candidate(9, person(sex="M")), candidate(8, person()), candidate(7, person()), candidate(6, person())]
    selection = select_priors(person(), candidates, maximum_count=2)
    assert [prior.study_instance_uid for prior in selection.linked] == ["1.2.8", "1.2.7"]
    assert [prior.study_instance_uid for prior in selection.refused] == ["1.2.9"]


def test_only_the_alphabetic_group_of_a_name_is_compared() -> None:
    """Ideographic and phonetic groups (PS3.5 6.2.1) may be absent in one system."""
    assert comparable_name("Yamada^Tarou=山田^太郎=やまだ^たろう") == comparable_name("YAMADA^TAROU")
