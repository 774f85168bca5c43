"""The node asks whether its results are kept, with a real index and real associations."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ComprehensiveSRStorage

from builders.clock import FakeClock
from builders.committing_archive import CommittingArchive, committing_archive, report_content
from builders.delivered import BACK_OFF, DAY_S, STUDY, index_with_result
from builders.index import build_index, state_of, to, view_of
from dicom_node.commitment.datasets import report_from
from dicom_node.commitment.scu import CommitmentRules, CommitmentScu
from dicom_node.outbox import BackOff, Outbox
from storage.commitment_records import Keeping, ReportOutcome
from storage.index import Index
from storage.lifecycle import State

HOUR_S = 3600.0
RULES = CommitmentRules(
    silence=BackOff(first_s=HOUR_S, maximum_s=DAY_S, give_up_after_s=7 * DAY_S),
    failure=BACK_OFF,
    maximum_resends=2,
    stay_s=0.0,
)


@pytest.fixture
def archive() -> Iterator[CommittingArchive]:
    """An archive that says nothing after it was asked."""
    with committing_archive(sop_class_uids=[ComprehensiveSRStorage]) as running:
        yield running


def deliver(index: Index, archive: CommittingArchive, clock: FakeClock) -> None:
    """Send what waits."""
    Outbox(index, archive.peer, own_aet="NODE", back_off=BACK_OFF, clock=clock).send_due()


def scu(index: Index, archive: CommittingArchive, clock: FakeClock, *, stay_s: float = 0.0) -> CommitmentScu:
    """A fresh one, as after a restart of the worker."""
    rules = CommitmentRules(
        silence=RULES.silence, failure=RULES.failure, maximum_resends=RULES.maximum_resends, stay_s=stay_s
    )
    return CommitmentScu(index, archive.peer, own_aet="NODE", rules=rules, clock=clock)


def keeping(index: Index) -> list[Keeping | None]:
    """What is known of each object of the study."""
    return [one.commitment.state if one.commitment else None for one in view_of(index).deliveries]


def reported(index: Index, uid: str, kept: list[str], lost: dict[str, int] | None = None) -> ReportOutcome:
    """Let a report come, as the listener would take it."""
    report = report_from(report_content(uid, kept, lost))
    return index.commitments.note_report(report, destinations={"pacs"}, maximum_resends=RULES.maximum_resends)


def test_a_result_is_asked_for_once_when_all_of_it_was_taken(tmp_path: Path, archive: CommittingArchive) -> None:
    """One N-ACTION names every object; nothing is asked before, nothing twice."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock)
    asking = scu(index, archive, clock)
    assert not asking.ask_due()
    deliver(index, archive, clock)
    assert asking.ask_due()
    assert not asking.ask_due()
    assert [archive.asked_for(0)] == [uids]
    assert keeping(index) == [Keeping.PENDING] * 2


def test_a_report_on_the_same_association_is_taken(tmp_path: Path, archive: CommittingArchive) -> None:
    """The archive gets its answer before the association ends."""
    clock = FakeClock()
    index, _ = index_with_result(tmp_path, clock)
    deliver(index, archive, clock)
    archive.reports_at_once = True
    scu(index, archive, clock, stay_s=20.0).ask_due()
    assert archive.reported == [0x0000]
    assert keeping(index) == [Keeping.COMMITTED] * 2
    assert state_of(index) is State.DELIVERED


def test_silence_is_asked_about_again_with_a_new_transaction(tmp_path: Path, archive: CommittingArchive) -> None:
    """After an hour, then after two, by a worker that was started anew; the late first report still counts."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock)
    deliver(index, archive, clock)
    asked = []
    for hours in (0.0, 0.75, 0.5, 1.5, 1.0):
        clock.advance(hours * HOUR_S)
        asked.append(scu(index, archive, clock).ask_due())
    assert asked == [True, False, True, False, True]
    first, second, third = archive.transaction_uids
    assert len({first, second, third}) == 3
    assert reported(index, first, uids) is ReportOutcome.TAKEN
    assert keeping(index) == [Keeping.COMMITTED] * 2
    assert reported(index, second, uids) is ReportOutcome.TAKEN
    assert reported(index, second, uids) is ReportOutcome.DOUBLED


def test_what_is_never_confirmed_is_shown_so_and_stays_delivered(tmp_path: Path, archive: CommittingArchive) -> None:
    """After seven days nobody waits any more; a report that comes later counts all the same."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock)
    deliver(index, archive, clock)
    scu(index, archive, clock).ask_due()
    clock.advance(8 * DAY_S)
    assert not scu(index, archive, clock).ask_due()
    assert keeping(index) == [Keeping.UNCONFIRMED] * 2
    assert state_of(index) is State.DELIVERED
    assert index.commitments.counts_of("pacs").unconfirmed == 2
    reported(index, archive.transaction_uids[0], uids)
    assert keeping(index) == [Keeping.COMMITTED] * 2


def test_an_object_that_was_lost_is_sent_again_bit_by_bit(tmp_path: Path, archive: CommittingArchive) -> None:
    """Then it alone is asked for again, and the study is delivered again."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock)
    deliver(index, archive, clock)
    scu(index, archive, clock).ask_due()
    reported(index, archive.transaction_uids[0], uids[:1], {uids[1]: 0x0112})
    assert keeping(index) == [Keeping.COMMITTED, Keeping.RESENDING]
    assert state_of(index) is State.SENDING
    clock.advance(1)
    deliver(index, archive, clock)
    assert state_of(index) is State.DELIVERED
    assert [uid for uid, _ in archive.stored] == [*uids, uids[1]]
    assert archive.stored[2][1] == archive.stored[1][1]
    assert scu(index, archive, clock).ask_due()
    assert archive.asked_for() == [uids[1]]
    reported(index, archive.transaction_uids[1], [uids[1]])
    assert keeping(index) == [Keeping.COMMITTED] * 2


def test_an_object_that_is_lost_each_time_fails_with_the_reason(tmp_path: Path, archive: CommittingArchive) -> None:
    """After the allowed number of times; `study resend` begins anew."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock, objects=1)
    for _ in range(1 + RULES.maximum_resends):
        deliver(index, archive, clock)
        assert scu(index, archive, clock).ask_due()
        reported(index, archive.transaction_uids[-1], [], {uids[0]: 0x0112})
        clock.advance(1)
    assert len(archive.stored) == 3
    assert keeping(index) == [Keeping.FAILED]
    assert state_of(index) is State.DELIVERY_FAILED
    assert "no such object instance" in view_of(index).deliveries[0].last_status
    index.resend(STUDY, destinations=to("pacs"))
    deliver(index, archive, clock)
    assert scu(index, archive, clock).ask_due()
    reported(index, archive.transaction_uids[-1], uids)
    assert keeping(index) == [Keeping.COMMITTED]
    assert state_of(index) is State.DELIVERED


def test_a_report_that_names_half_leaves_the_rest_to_be_asked_again(tmp_path: Path, archive: CommittingArchive) -> None:
    """What it does not name is not taken as kept."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock)
    deliver(index, archive, clock)
    scu(index, archive, clock).ask_due()
    reported(index, archive.transaction_uids[0], uids[:1])
    assert keeping(index) == [Keeping.COMMITTED, Keeping.PENDING]
    clock.advance(2 * HOUR_S)
    scu(index, archive, clock).ask_due()
    assert archive.asked_for() == uids[1:]


def test_reports_of_others_and_of_unknown_transactions_change_nothing(
    tmp_path: Path, archive: CommittingArchive
) -> None:
    """Only who was asked can say that it keeps something."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock)
    deliver(index, archive, clock)
    scu(index, archive, clock).ask_due()
    report = report_from(report_content(archive.transaction_uids[0], uids))
    answer = index.commitments.note_report(report, destinations={"other"}, maximum_resends=1)
    assert answer is ReportOutcome.UNKNOWN
    assert reported(index, "2.25.99", uids) is ReportOutcome.UNKNOWN
    assert keeping(index) == [Keeping.PENDING] * 2


def test_a_refused_question_is_asked_again_with_back_off(tmp_path: Path, archive: CommittingArchive) -> None:
    """The reason is shown; the delivery is not touched."""
    clock = FakeClock()
    index, _ = index_with_result(tmp_path, clock)
    deliver(index, archive, clock)
    archive.action_status = 0x0110
    asking = scu(index, archive, clock)
    assert [asking.ask_due(), asking.ask_due()] == [True, False]
    commitment = view_of(index).deliveries[0].commitment
    assert commitment is not None
    assert "0x0110" in commitment.words
    archive.action_status = 0x0000
    clock.advance(7)
    assert asking.ask_due()
    assert len(archive.questions) == 2


def test_a_destination_without_the_service_is_named(tmp_path: Path) -> None:
    """What to do is in the words; after days nothing is waited for."""
    clock = FakeClock()
    index, _ = index_with_result(tmp_path, clock)
    with committing_archive(sop_class_uids=[ComprehensiveSRStorage], with_commitment=False) as archive:
        deliver(index, archive, clock)
        assert scu(index, archive, clock).ask_due()
    commitment = view_of(index).deliveries[0].commitment
    assert commitment is not None
    assert "does not accept Storage Commitment" in commitment.words
    clock.advance(8 * DAY_S)
    scu(index, archive, clock).ask_due()
    assert keeping(index) == [Keeping.UNCONFIRMED] * 2


def test_what_was_delivered_long_before_is_not_asked_for(tmp_path: Path, archive: CommittingArchive) -> None:
    """Whoever switches it on does not flood the archive with the past."""
    clock = FakeClock()
    index, _ = index_with_result(tmp_path, clock)
    deliver(index, archive, clock)
    clock.advance(8 * DAY_S)
    assert not scu(index, archive, clock).ask_due()
    assert keeping(index) == [None, None]


def test_an_unanswered_question_survives_a_restart(tmp_path: Path, archive: CommittingArchive) -> None:
    """The transaction is in the index before the question goes out."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock)
    deliver(index, archive, clock)
    scu(index, archive, clock).ask_due()
    index.close()
    restarted = build_index(tmp_path, clock)
    assert reported(restarted, archive.transaction_uids[0], uids) is ReportOutcome.TAKEN
    assert keeping(restarted) == [Keeping.COMMITTED] * 2


def test_an_archive_that_loses_one_in_ten_has_all_in_the_end(tmp_path: Path, archive: CommittingArchive) -> None:
    """It acknowledged each of them; what it lost comes again with the same bytes, and nothing else does."""
    clock = FakeClock()
    index, uids = index_with_result(tmp_path, clock, objects=20)
    archive.reports_at_once = True
    archive.lost = dict.fromkeys(uids[::10], 0x0112)
    deliver(index, archive, clock)
    scu(index, archive, clock, stay_s=20.0).ask_due()
    archive.lost = {}
    clock.advance(1)
    deliver(index, archive, clock)
    scu(index, archive, clock, stay_s=20.0).ask_due()
    assert [uid for uid, _ in archive.stored] == [*uids, *uids[::10]]
    assert len(set(archive.stored)) == 20
    assert keeping(index) == [Keeping.COMMITTED] * 20
    assert state_of(index) is State.DELIVERED
