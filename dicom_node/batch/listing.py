"""Lists the studies of a batch: those of a file, or those that a PACS names for a query (PS3.4 C.4.1, Study Root)."""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pydicom.dataset import Dataset

from dicom_node.batch.errors import BatchListError
from dicom_node.retrieve.answers import StudyAnswer, study_answer_from
from dicom_node.retrieve.association import Conversation
from dicom_node.retrieve.errors import TooManyAnswersError
from dicom_node.retrieve.find import answers_of

FIRST_WINDOW_DAYS = 16
_MOST_DAYS = 64
_HALF_DAYS = ("000000-115959.999999", "120000-235959.999999")
_UIDS_AT_A_TIME = 50
"""A list of UIDs is one value of the identifier (PS3.4 C.2.2.2.2); 50 of 64 characters stay well below a PDU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """What the studies of a batch have in common."""

    since: date
    until: date
    """The last day, included."""
    modality: str = "CT"
    description: str = ""
    """With * and ?; also held against what the PACS answers, for one that does not match this key (PS3.4 C.6.2.1.2)."""
    answer_limit: int = 500
    """More answers to one question, and fewer days are asked for at a time."""


def list_from_file(path: Path) -> list[str]:
    """The entries of a file, one a line; empty lines and what follows # are passed over, repetitions too.

    Raises:
        BatchListError: The file cannot be read or names nothing.
    """
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as exc:
        reason = f"{path}: cannot be read as a list of studies: {exc}"
        raise BatchListError(reason) from exc
    entries = list(dict.fromkeys(line for line in lines if line))
    if not entries:
        reason = f"{path}: names no study: one Study Instance UID or accession number a line"
        raise BatchListError(reason)
    return entries


def by_query(talk: Conversation, query: StudyQuery) -> Iterator[StudyAnswer]:
    """Studies of a query, newest days last, each once a day that names it.

    Days are asked for in windows that halve where a PACS lists too much, and grow again where it lists little.

    Args:
        talk: An association for C-FIND.
        query: What is asked for.

    Raises:
        RetrieveError: The PACS did not answer or failed; on half a day there are still more than it lists.
    """
    since, days = query.since, FIRST_WINDOW_DAYS
    while since <= query.until:
        days = min(days, (query.until - since).days + 1)
        try:
            found = _of_days(talk, query, since, days)
        except TooManyAnswersError:
            if days > 1:
                days = (days + 1) // 2
                continue
            found = [one for half in _HALF_DAYS for one in _of_days(talk, query, since, 1, times=half)]
        yield from (one for one in found if _fits(one, query))
        since += timedelta(days=days)
        days = min(2 * days, _MOST_DAYS) if 4 * len(found) < query.answer_limit else days


def by_uid(talk: Conversation, uids: Sequence[str]) -> Iterator[StudyAnswer]:
    """Those of the studies that the PACS has.

    Raises:
        RetrieveError: The PACS did not answer or failed.
    """
    for first in range(0, len(uids), _UIDS_AT_A_TIME):
        asked = list(uids[first : first + _UIDS_AT_A_TIME])
        identifier = _identifier()
        identifier.StudyInstanceUID = asked
        yield from (one for one in _answers(talk, identifier, len(asked)) if one.study_instance_uid in asked)


def by_accession_number(talk: Conversation, numbers: Sequence[str]) -> Iterator[tuple[str, list[StudyAnswer]]]:
    """Each accession number with the studies that the PACS has under it; an order may have several.

    The number is held against the answers too, which have it (PS3.4 table C.6-5): a PACS may not match it, and matches one
    that has * or ? as a pattern (PS3.4 C.2.2.2.4).

    Raises:
        RetrieveError: The PACS did not answer, failed, or matches nothing and lists everything.
    """
    for number in numbers:
        identifier = _identifier()
        identifier.AccessionNumber = number
        yield number, [one for one in _answers(talk, identifier, _UIDS_AT_A_TIME) if one.accession_number == number]


def _of_days(talk: Conversation, query: StudyQuery, since: date, days: int, *, times: str = "") -> list[StudyAnswer]:
    until = since + timedelta(days=days - 1)
    identifier = _identifier()
    identifier.StudyDate = f"{since:%Y%m%d}-{until:%Y%m%d}"
    identifier.StudyTime = times
    identifier.ModalitiesInStudy = query.modality
    identifier.StudyDescription = query.description
    return _answers(talk, identifier, query.answer_limit)


def _identifier() -> Dataset:
    """A question at study level; of the patient nothing is asked for that is not needed."""
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = ""
    identifier.StudyDate = ""
    identifier.StudyTime = ""
    identifier.StudyDescription = ""
    identifier.AccessionNumber = ""
    identifier.ModalitiesInStudy = ""
    return identifier


def _answers(talk: Conversation, identifier: Dataset, maximum: int) -> list[StudyAnswer]:
    answers = [study_answer_from(one) for one in answers_of(talk, identifier, maximum=maximum)]
    return [one for one in answers if one.study_instance_uid]


def _fits(answer: StudyAnswer, query: StudyQuery) -> bool:
    if answer.modalities and query.modality not in answer.modalities:
        return False
    wanted = query.description.upper()
    return not wanted or fnmatch.fnmatchcase(answer.description.upper(), wanted.replace("[", "[[]"))
