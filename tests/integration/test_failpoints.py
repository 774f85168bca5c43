"""A kill at each place where one could hurt: nothing acknowledged is lost, no result is there twice."""

from pathlib import Path

import pytest

from builders.faulty_node import LISTEN_POINTS, WORK_POINTS
from builders.kill_cycle import SLICES, faulty_node, kill_at
from builders.ledger_scp import ledger_scp


@pytest.mark.parametrize("failpoint", LISTEN_POINTS)
def test_a_kill_of_the_listener_loses_nothing_that_was_acknowledged(tmp_path: Path, failpoint: str) -> None:
    """The listener dies at the failpoint, starts again, and gets what it had not acknowledged."""
    with faulty_node(tmp_path, parts=()) as node:
        assert kill_at(node, failpoint, "1.2.3.4").objects == SLICES


@pytest.mark.parametrize("failpoint", WORK_POINTS)
def test_a_kill_of_the_worker_gives_each_result_once(tmp_path: Path, failpoint: str) -> None:
    """The worker dies at the failpoint, starts again, and its result comes to the PACS once, bit by bit the same."""
    with ledger_scp() as pacs, faulty_node(tmp_path, pacs) as node:
        checked = kill_at(node, failpoint, "1.2.3.4", pacs=pacs)
    assert (checked.objects, checked.studies_delivered) == (SLICES, 1)
    assert checked.result_objects >= 3
