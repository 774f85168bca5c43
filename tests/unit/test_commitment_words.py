"""What people read about storage commitment."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, claimed_study, result_files, to, view_of
from config.settings import NodeSettings, Peer, Settings
from dicom_node.commitment.words import commitment_in_words
from dicom_node.status import node_status
from storage.commitment_records import CommitmentReport, DeliveryCommitment, Keeping

NOON = datetime(2026, 1, 2, 12, 3, tzinfo=UTC)
ASKED = DeliveryCommitment(state=Keeping.PENDING, requested_at=NOON, settled_at=None, resends=0, words="")


@pytest.mark.parametrize(
    ("commitment", "words"),
    [
        (replace(ASKED, requested_at=None), "pacs is to be asked whether it keeps it"),
        (ASKED, "waiting for pacs to confirm, asked 2026-01-02 12:03 UTC"),
        (replace(ASKED, state=Keeping.COMMITTED, settled_at=NOON), "committed by pacs 2026-01-02 12:03 UTC"),
        (
            replace(ASKED, state=Keeping.RESENDING, resends=2, words="gone"),
            "not kept by pacs (gone): sent again, time 2",
        ),
        (replace(ASKED, state=Keeping.FAILED, resends=1, words="gone"), "not kept by pacs (gone), sent again 1 time"),
        (replace(ASKED, state=Keeping.UNCONFIRMED), "never confirmed by pacs"),
    ],
    ids=lambda value: value.state if isinstance(value, DeliveryCommitment) else None,
)
def test_each_state_reads_as_a_sentence(commitment: DeliveryCommitment, words: str) -> None:
    """With who, when and why."""
    assert commitment_in_words("pacs", commitment) == words


def test_status_counts_what_is_not_committed_and_alerts_of_what_is_lost(tmp_path: Path) -> None:
    """An outage is shown with the next try; a peer that is not asked has no counts."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    peers = [
        Peer(
            name=name, ae_title=name.upper(), host="127.0.0.1", port=104, receives_results=True, storage_commitment=asks
        )
        for name, asks in {"pacs": True, "other": False}.items()
    ]
    settings = Settings(node=NodeSettings(data_dir=tmp_path), peers=tuple(peers))
    index.finish_succeeded(claimed_study(index), result_files("2.25.1"), destinations=to("pacs"), why="found")
    (due,) = index.due_deliveries(destination="pacs", limit=9)
    index.delivery_succeeded(due.delivery_id, "status 0x0000 Success")
    index.commitments.plan("pacs", since=clock.now())
    task = index.commitments.next_due("pacs")
    assert task is not None
    index.commitments.begin(task.commitment_id, "2.25.7", next_try_at=clock.now())
    index.outages.note("other", "down", next_try_at=clock.now())

    pacs, other = node_status(settings, index, clock=clock).destinations

    assert pacs.commitment is not None
    assert (pacs.commitment.pending, pacs.commitment.failed) == (1, 0)
    assert (pacs.outage, other.commitment) == (None, None)
    assert other.outage is not None

    report = CommitmentReport(transaction_uid="2.25.7", committed=frozenset(), failed={"2.25.1": 0x0110})
    index.commitments.note_report(report, destinations={"pacs"}, maximum_resends=0)

    (alert,) = node_status(settings, index, clock=clock).alerts
    assert "pacs does not keep 1 object" in alert
    assert "0x0110" in view_of(index).deliveries[0].last_status
