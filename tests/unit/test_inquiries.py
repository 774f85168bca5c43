"""Questions whether the node keeps what it was sent: each asking is answered, by one alone."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage

from builders.clock import FakeClock
from builders.index import build_index
from storage.commitment_ledger import CommitmentLedger
from storage.commitment_records import Inquiry, InquiryOutcome, InquiryState, Reference

CALLER, TRANSACTION = "CT1", "2.25.1"
HELD_FOR = timedelta(minutes=2)
REFERENCES = [Reference(sop_class_uid=CTImageStorage, sop_instance_uid="1.2.3.4")]


@pytest.fixture
def clock() -> FakeClock:
    """It moves when a test says so."""
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> CommitmentLedger:
    """With one question, which is due."""
    made = build_index(tmp_path, clock).commitments
    ask(made, clock)
    return made


def ask(ledger: CommitmentLedger, clock: FakeClock) -> None:
    """Ask, and wait until the answer is due."""
    assert ledger.ask(CALLER, TRANSACTION, REFERENCES) is InquiryOutcome.TAKEN
    clock.advance(2)


def test_a_question_that_is_asked_again_while_it_is_answered_is_answered_again(
    ledger: CommitmentLedger, clock: FakeClock
) -> None:
    """The report of the first asking ends the first alone."""
    first = ledger.take_inquiry(held_for=HELD_FOR)
    assert first
    ask(ledger, clock)
    assert not ledger.end_inquiry(first, InquiryState.REPORTED)
    ledger.postpone_inquiry(first, next_try_at=clock.now() + timedelta(days=1))
    second = ledger.take_inquiry(held_for=HELD_FOR)
    assert second
    assert second.tries == 0
    assert ledger.end_inquiry(second, InquiryState.REPORTED)
    assert ledger.take_inquiry(held_for=HELD_FOR) is None


def test_what_one_answers_nobody_else_takes(ledger: CommitmentLedger, clock: FakeClock) -> None:
    """Neither another reporter nor the process with the association, until whoever took it must be dead."""
    assert ledger.take_inquiry(held_for=HELD_FOR)
    assert ledger.take_inquiry(held_for=HELD_FOR) is None
    assert ledger.claim_inquiry(CALLER, TRANSACTION, until=clock.now() + HELD_FOR) is None
    clock.advance(HELD_FOR.total_seconds() + 1)
    assert ledger.take_inquiry(held_for=HELD_FOR)


def test_the_process_with_the_association_comes_first(ledger: CommitmentLedger, clock: FakeClock) -> None:
    """What it took, the reporter does not take."""
    assert ledger.claim_inquiry(CALLER, TRANSACTION, until=clock.now() + HELD_FOR)
    assert ledger.take_inquiry(held_for=HELD_FOR) is None


@pytest.mark.usefixtures("each_engine")
def test_what_a_caller_asked_waits_together_and_nothing_else_does(tmp_path: Path, clock: FakeClock) -> None:
    """Neither what another one asked, nor what is spared, asked just now, or answered by somebody at this moment."""
    ledger = build_index(tmp_path, clock).commitments
    for calling_aet, transaction in ((CALLER, "2.25.1"), (CALLER, "2.25.2"), (CALLER, "2.25.3"), ("CT2", "2.25.4")):
        assert ledger.ask(calling_aet, transaction, REFERENCES) is InquiryOutcome.TAKEN
    assert ledger.claim_inquiry(CALLER, "2.25.3", until=clock.now() + HELD_FOR)
    clock.advance(2)
    assert ledger.ask(CALLER, "2.25.5", REFERENCES) is InquiryOutcome.TAKEN
    later = clock.now() + timedelta(minutes=10)
    ledger.postpone_inquiries([CALLER], spare=["2.25.2"], next_try_at=later)
    assert ledger.claim_inquiry(CALLER, "2.25.5", until=clock.now() + HELD_FOR)
    assert [one.transaction_uid for one in taken(ledger)] == ["2.25.2", "2.25.4"]
    clock.advance(130)
    assert {one.transaction_uid for one in taken(ledger)} == {"2.25.2", "2.25.3", "2.25.4", "2.25.5"}
    clock.advance(470)
    assert "2.25.1" in {one.transaction_uid for one in taken(ledger)}


def taken(ledger: CommitmentLedger) -> list[Inquiry]:
    """All that are due, each held from now on."""
    return list(iter(lambda: ledger.take_inquiry(held_for=HELD_FOR), None))
