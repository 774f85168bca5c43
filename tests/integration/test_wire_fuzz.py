"""Mutated conversations of real senders against a listener that runs."""

from pathlib import Path

import pytest

from builders.wire_fuzz import fuzz

# Those that write to the disk (storage.files); they stay.
SYNC_THREADS = 8


@pytest.mark.filterwarnings("ignore")
def test_mutated_conversations_end_no_thread_and_keep_nobody_out(tmp_path: Path) -> None:
    """Each ends in a status, an abort or a closed connection; a real sender is served between them."""
    report = fuzz(tmp_path, cases=400, seed=20)
    assert report.cases == 400
    assert report.uncaught == []
    assert report.last_heard["aborted"] > 100
    assert report.last_heard["accepted"] > 10
    assert report.kept_inside > 0
    assert report.partial_files_left == 0
    assert report.memory_growth_mib < 32
    assert report.after.threads <= report.fresh.threads + SYNC_THREADS
