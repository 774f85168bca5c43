"""Which data sets can be of one patient."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.identity import Attribute, contradicting_demographics, contradicting_keys
from storage.records import Demographics, PatientKey

PEOPLE = st.builds(
    Demographics,
    patient_name=st.sampled_from(["", "Doe^Jane", "Roe^Jane", "DOE^JANE", "=山田^太郎", "山田^太郎"]),
    birth_date=st.sampled_from(["", "19500102", "19500103"]),
    sex=st.sampled_from(["", "M", "F", "O"]),
)
KEYS = st.builds(PatientKey, patient_id=st.sampled_from(["", "1", "2"]), issuer=st.sampled_from(["", "A", "B"]))


def person(name: str = "Doe^Jane", birth_date: str = "19500102", sex: str = "F") -> Demographics:
    """Someone."""
    return Demographics(patient_name=name, birth_date=birth_date, sex=sex)


@given(PEOPLE, PEOPLE)
def test_the_order_does_not_matter(one: Demographics, other: Demographics) -> None:
    """Both studies are told the same."""
    assert contradicting_demographics(one, other) == contradicting_demographics(other, one)


@given(PEOPLE)
def test_nobody_contradicts_themselves(one: Demographics) -> None:
    """Not even who says little."""
    assert contradicting_demographics(one, one) == ()


@given(PEOPLE)
def test_who_says_nothing_contradicts_nobody(one: Demographics) -> None:
    """An empty value is no value."""
    assert contradicting_demographics(one, person("", "", "")) == ()


@given(KEYS, KEYS)
def test_keys_contradict_both_ways_or_not_at_all(one: PatientKey, other: PatientKey) -> None:
    """And nobody themselves."""
    assert contradicting_keys(one, other) == contradicting_keys(other, one)
    assert contradicting_keys(one, one) == ()


@pytest.mark.parametrize(
    ("one", "other", "attributes"),
    [
        (PatientKey(patient_id="1", issuer="A"), PatientKey(patient_id="1", issuer="B"), (Attribute.ISSUER,)),
        (PatientKey(patient_id="1", issuer=""), PatientKey(patient_id="1", issuer="B"), ()),
        (PatientKey(patient_id="1", issuer="A"), PatientKey(patient_id="2", issuer=""), (Attribute.PATIENT_ID,)),
        (PatientKey(patient_id="", issuer=""), PatientKey(patient_id="2", issuer="A"), ()),
    ],
)
def test_an_id_counts_with_its_issuer(one: PatientKey, other: PatientKey, attributes: tuple[Attribute, ...]) -> None:
    """What is left out contradicts nothing."""
    assert contradicting_keys(one, other) == attributes


def test_names_in_two_scripts_need_a_birth_date_that_agrees() -> None:
    """Else nothing says that it is one person."""
    latin, russian = person("Ivanov^Ivan"), person("Иванов^Иван")
    assert contradicting_demographics(latin, russian) == ()
    assert contradicting_demographics(latin, person("Иванов^Иван", birth_date="")) == (Attribute.NAME,)
