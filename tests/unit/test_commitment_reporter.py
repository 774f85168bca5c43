"""Reports to callers, over real associations: one that is gone delays nobody else."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage

from builders.clock import FakeClock
from builders.index import build_index, database_url
from builders.listener import SENDER
from builders.modality import Modality, listening_modality
from builders.ports import free_port
from config.settings import NodeSettings, Peer, Settings
from dicom_node.commitment.reporter import CommitmentReporter
from dicom_node.commitment.scp import CommitmentScp
from storage import inquiries
from storage.commitment_ledger import CommitmentLedger
from storage.commitment_records import InquiryOutcome, Reference
from storage.database import open_engine, reading

GONE, OTHER_TITLE = "GONE", "GONE_SC"
REFERENCES = [Reference(sop_class_uid=CTImageStorage, sop_instance_uid="1.2.3.4")]


class Node:
    """A reporter that knows a caller that is gone and one that listens."""

    def __init__(self, folder: Path, living: Modality) -> None:
        """Nothing was asked yet."""
        self.living = living
        self.clock = FakeClock()
        self.ledger: CommitmentLedger = build_index(folder, self.clock).commitments
        self.engine = open_engine(database_url(folder))
        gone = Peer(name="gone", ae_title=GONE, commitment_ae_title=OTHER_TITLE, host="127.0.0.1", port=free_port())
        here = Peer(name="here", ae_title=SENDER, host="127.0.0.1", port=living.port)
        settings = Settings(node=NodeSettings(data_dir=folder), peers=(gone, here))
        self.reporter = CommitmentReporter(
            settings, self.ledger, CommitmentScp(settings, self.ledger), clock=self.clock
        )

    def ask(self, calling_aet: str, *transactions: str) -> None:
        """Ask, and wait until the answers are due."""
        for uid in transactions:
            assert self.ledger.ask(calling_aet, uid, REFERENCES) is InquiryOutcome.TAKEN
        self.clock.advance(1)

    def next_due(self) -> str:
        """Transaction of the question that is taken next."""
        with reading(self.engine) as connection:
            inquiry = inquiries.next_due(connection, at=self.clock.now())
        assert inquiry
        return inquiry.transaction_uid

    def tries(self) -> int:
        """How many questions are taken until none is due."""
        count = 0
        while self.reporter.answer_next():
            count += 1
        return count


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A fresh one."""
    with listening_modality() as living:
        yield Node(tmp_path, living)


def test_a_caller_that_is_gone_is_tried_once_for_all_that_it_asked(node: Node) -> None:
    """Under each of its AE titles; the report of another one, which asked last, is the next that goes out."""
    node.ask(GONE, "2.25.1", "2.25.2")
    node.ask(OTHER_TITLE, "2.25.3")
    node.ask(SENDER, "2.25.4")
    assert node.reporter.answer_next()
    assert node.reporter.answer_next()
    assert node.living.next_report()[1].TransactionUID == "2.25.4"
    assert not node.reporter.answer_next()


def test_the_pause_of_a_caller_grows_and_holds_for_what_it_asks_later(node: Node) -> None:
    """A later question is tried once, for the caller is alive, then waits with the others; nothing is forgotten."""
    node.ask(GONE, "2.25.1", "2.25.2")
    assert node.tries() == 1
    for _ in range(9):
        node.clock.advance(720)
        assert node.tries() == 1
    node.ask(GONE, "2.25.3")
    assert node.tries() == 1
    node.clock.advance(470)
    assert node.tries() == 0
    node.clock.advance(250)
    assert node.tries() == 1


def test_a_report_over_which_a_caller_breaks_keeps_its_others_back_no_longer_than_a_pause(node: Node) -> None:
    """What was tried least is tried first."""
    node.ask(GONE, "2.25.1", "2.25.2", "2.25.3")
    order = []
    for _ in range(4):
        assert node.tries() == 1
        node.clock.advance(720)
        order.append(node.next_due())
    assert order == ["2.25.2", "2.25.3", "2.25.1", "2.25.2"]


def test_what_is_asked_of_a_caller_that_is_back_is_answered_one_by_one(node: Node) -> None:
    """All of it."""
    node.living.status = 0x0110
    node.ask(SENDER, "2.25.1", "2.25.2")
    assert node.tries() == 2
    assert [node.living.next_report()[1].TransactionUID for _ in range(2)] == ["2.25.1", "2.25.2"]
    node.living.status = 0x0000
    node.clock.advance(7)
    assert node.tries() == 2
    node.clock.advance(timedelta(days=1).total_seconds())
    assert node.tries() == 0
