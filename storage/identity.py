"""Says whether two data sets can be of one patient (PS3.3 C.7.1.1)."""

from enum import StrEnum

from storage.person_names import NameComparison, compare_names
from storage.records import Demographics, PatientKey

MAXIMUM_KEY_BYTES = 1000
"""Of a Patient ID, and of its issuer, in UTF-8. LO has at most 64 characters (PS3.5 6.2); the two together make an entry of an
index, and PostgreSQL takes none of more than 2704 bytes (src/include/access/nbtree.h, BTMaxItemSize)."""


class Attribute(StrEnum):
    """What may contradict."""

    PATIENT_ID = "patient ID"
    ISSUER = "issuer of patient ID"
    BIRTH_DATE = "birth date"
    SEX = "sex"
    NAME = "name"


def fits_index(key: PatientKey) -> bool:
    """Whether ID and issuer are short enough for the index, whichever database has it."""
    return all(len(text.encode()) <= MAXIMUM_KEY_BYTES for text in (key.patient_id, key.issuer))


def contradicting_keys(one: PatientKey, other: PatientKey) -> tuple[Attribute, ...]:
    """Which of patient ID and issuer contradict; what one leaves out contradicts nothing."""
    return tuple(attribute for attribute, left, right in _pairs(one, other) if _differ(left, right))


def differing_keys(one: PatientKey, other: PatientKey) -> tuple[Attribute, ...]:
    """Which of patient ID and issuer are not the same; also where one leaves it out."""
    return tuple(attribute for attribute, left, right in _pairs(one, other) if left != right)


def contradicting_demographics(one: Demographics, other: Demographics) -> tuple[Attribute, ...]:
    """Which of birth date, sex and name contradict; the order of the arguments does not matter.

    An empty value contradicts nothing. Names in two scripts cannot be compared: they contradict unless the birth dates
    are known and agree.
    """
    birth_dates = (one.birth_date.strip(), other.birth_date.strip())
    found = [Attribute.BIRTH_DATE] if _differ(*birth_dates) else []
    if _differ(one.sex.strip().upper(), other.sex.strip().upper()):
        found.append(Attribute.SEX)
    names = compare_names(one.patient_name, other.patient_name)
    is_unconfirmed = names is NameComparison.NOT_COMPARABLE and not (birth_dates[0] and birth_dates[1])
    if names is NameComparison.DIFFER or is_unconfirmed:
        found.append(Attribute.NAME)
    return tuple(found)


def in_words(attributes: tuple[Attribute, ...]) -> str:
    """The attributes as the subject of a sentence, with their verb."""
    return f"the {' and '.join(attributes)} {'differs' if len(attributes) == 1 else 'differ'}"


def _pairs(one: PatientKey, other: PatientKey) -> tuple[tuple[Attribute, str, str], ...]:
    return (
        (Attribute.PATIENT_ID, one.patient_id, other.patient_id),
        (Attribute.ISSUER, one.issuer, other.issuer),
    )


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one != other
