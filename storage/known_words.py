"""What in the index identifies somebody, as words to be struck out of texts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, select

from storage.database import reading
from storage.link_models import ForeignPatient, WaivedContradiction
from storage.models import Patient, Study

_WORD = re.compile(r"[A-Za-z0-9]+")
_SHORTEST = 3
"""Shorter parts stand in every text; a whole ID counts whatever its length."""

_FOREIGN = (ForeignPatient.patient_name, ForeignPatient.birth_date, ForeignPatient.accession_number)
_WAIVED = (
    WaivedContradiction.patient_name,
    WaivedContradiction.birth_date,
    WaivedContradiction.other_patient_name,
    WaivedContradiction.other_birth_date,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWords:
    """Words in lower case, and UIDs."""

    words: frozenset[str]
    """Parts of names, patient IDs, accession numbers; dates of birth. ASCII only."""
    study_instance_uids: frozenset[str]


def known_words(engine: Engine) -> KnownWords:
    """Everything in the index that names a patient or a study.

    Raises:
        StorageError: The index cannot be read.
    """
    named = (Study.patient_name, Study.accession_number, Study.birth_date, Study.study_instance_uid)
    with reading(engine) as connection:
        studies = connection.execute(select(*named)).all()
        foreign = connection.execute(select(*_FOREIGN)).all()
        waived = connection.execute(select(*_WAIVED)).all()
        ids = connection.execute(select(Patient.patient_id)).scalars().all()
    texts = [text for row in studies for text in row[:3]] + [text for row in (*foreign, *waived) for text in row]
    words = {word for text in (*texts, *ids) for word in _words_of(text)}
    return KnownWords(words=frozenset(words), study_instance_uids=frozenset(row[3] for row in studies))


def _words_of(text: str) -> Iterator[str]:
    parts = _WORD.findall(text.casefold())
    yield from (part for part in parts if len(part) >= _SHORTEST or len(parts) == 1)
