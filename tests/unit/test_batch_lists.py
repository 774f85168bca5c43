"""Batches of listed studies: what a PACS is asked, and what of its answers is believed."""

from collections.abc import Sequence

import pytest
from pydicom.dataset import Dataset

from builders.find_scp import find_scp, match
from config.settings import Peer
from dicom_node.batch.listing import by_accession_number, by_uid
from dicom_node.retrieve.association import StopSwitch, conversation
from dicom_node.retrieve.errors import ArchiveFailedError, TooManyAnswersError
from dicom_node.retrieve.find import FIND_OFFER

NUMBERS = {"A1": ("1.2.1",), "A2": ("1.2.2", "1.2.3"), "*": ()}


def every_study(_query: Dataset) -> Sequence[Dataset]:
    """A PACS that matches neither accession numbers nor UIDs."""
    return [
        match("STUDY", StudyInstanceUID=uid, AccessionNumber=number) for number, uids in NUMBERS.items() for uid in uids
    ]


def numbered(peer: Peer, *numbers: str) -> dict[str, list[str]]:
    """Studies by accession number."""
    with conversation(peer, FIND_OFFER, own_aet="NODE", limit_s=30, switch=StopSwitch()) as talk:
        return {
            number: [one.study_instance_uid for one in found] for number, found in by_accession_number(talk, numbers)
        }


def of_uids(peer: Peer, *uids: str) -> list[str]:
    """Those that the PACS has."""
    with conversation(peer, FIND_OFFER, own_aet="NODE", limit_s=30, switch=StopSwitch()) as talk:
        return [one.study_instance_uid for one in by_uid(talk, uids)]


def test_only_studies_of_the_accession_number_are_taken_from_a_pacs_that_lists_all() -> None:
    """An order may have several; a number that is a pattern is none of them."""
    with find_scp(every_study) as peer:
        assert numbered(peer, "A2", "A1", "A", "*") == {"A2": ["1.2.2", "1.2.3"], "A1": ["1.2.1"], "A": [], "*": []}


def test_only_studies_of_the_list_are_taken() -> None:
    """Whatever else the PACS names."""
    with find_scp(every_study) as peer:
        assert of_uids(peer, "1.2.3", "1.2.9", "1.2.1") == ["1.2.1", "1.2.3"]


def test_a_pacs_that_lists_far_too_much_is_not_believed() -> None:
    """More answers than UIDs that were asked for."""
    with find_scp(every_study) as peer, pytest.raises(TooManyAnswersError, match="more than 2 answers"):
        of_uids(peer, "1.2.1", "1.2.2")


def test_long_lists_are_asked_for_in_pieces() -> None:
    """Of 50 UIDs, each asked for once."""
    asked: list[int] = []

    def answer(query: Dataset) -> Sequence[Dataset]:
        uids = [str(uid) for uid in query.StudyInstanceUID]
        asked.append(len(uids))
        return [match("STUDY", StudyInstanceUID=uid) for uid in uids]

    uids = [f"1.2.{number}" for number in range(120)]
    with find_scp(answer) as peer:
        assert of_uids(peer, *uids) == uids
    assert asked == [50, 50, 20]


def test_a_pacs_that_fails_says_so() -> None:
    """Nothing is begun with half a list."""
    with find_scp(lambda _query: 0xC000) as peer, pytest.raises(ArchiveFailedError, match="0xC000"):
        numbered(peer, "A1")
