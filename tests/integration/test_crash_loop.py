"""A study that kills whoever analyses it is put aside; others are not held up."""

from pathlib import Path

from builders.kill_cycle import faulty_node, small_study
from builders.ledger_scp import ledger_scp
from builders.sender_ledger import SenderLedger
from storage.lifecycle import State
from storage.records import StudyView

BAD, GOOD = "1.2.3.4", "1.2.3.5"
ATTEMPTS = 3


def is_put_aside(view: StudyView | None) -> bool:
    """Whether nobody tries the study again."""
    return view is not None and view.state is State.PIPELINE_FAILED


def test_a_study_that_kills_its_worker_three_times_is_quarantined_and_the_next_one_is_delivered(tmp_path: Path) -> None:
    """Three workers die within its attempts; the fourth leaves it alone and says why."""
    sent = SenderLedger()
    with ledger_scp() as pacs, faulty_node(tmp_path, pacs) as node:
        sent.send_all(node.port, small_study(BAD))
        for _ in range(ATTEMPTS):
            node.start_with_failpoint("work", "job.mid_inference")
            node.wait_for_the_kill("work")
        node.start_again("work")
        node.watch(BAD, is_put_aside, within_s=60, what="the study is put aside")
        sent.send_all(node.port, small_study(GOOD))
        node.wait_until_delivered(GOOD)

        view = node.study(BAD)
        assert view is not None
        assert "without an outcome" in view.reason
        assert not pacs.contents_of(BAD)
