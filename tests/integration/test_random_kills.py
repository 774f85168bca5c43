"""Kills at random moments: whenever the node dies, nothing acknowledged is lost and no result is there twice."""

from pathlib import Path

import pytest

from builders.ledger_scp import ledger_scp
from builders.random_kills import kill_listeners, kill_nodes


@pytest.mark.slow
def test_kills_of_a_listener_under_load_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Sixteen kills while four senders send."""
    checked = kill_listeners(tmp_path, seed=1, kills=16)
    assert sum(one.objects for one in checked) > 16


@pytest.mark.slow
def test_kills_of_a_node_at_work_give_each_result_once(tmp_path: Path) -> None:
    """Four kills of listener, worker or both while a study is received, analysed or sent."""
    with ledger_scp() as pacs:
        checked = kill_nodes(tmp_path, pacs, seed=2, kills=4)
    assert checked[-1].studies_delivered == 4
