"""A changed configuration takes effect in a worker that runs."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from builders.deadline import until
from builders.faulty_node import FaultyNode
from builders.kill_cycle import small_study
from builders.ledger_scp import ledger_scp
from builders.listener import send
from builders.node import NodeProcess
from builders.ports import free_port


def test_a_worker_sends_to_the_port_that_was_corrected(tmp_path: Path) -> None:
    """The waiting delivery goes out without a restart, each object once; the worker ends in order afterwards."""
    with ledger_scp() as pacs:
        wrong = replace(pacs.destination, port=free_port())
        with FaultyNode(folder=tmp_path, destinations=[wrong], parts=("listen", "work"), quiet_period_s=0.5) as node:
            uid = "1.2.77"
            assert set(send(node.port, *small_study(uid), called_aet="TESTNODE")) == {0x0000}
            until(lambda: _is_down(node), within_s=90, what="nobody answers at the wrong port")
            node.command("ae", "change", "pacs", f"port={pacs.port}")
            node.wait_until_delivered(uid)
            assert node.stop("work") == 0
        arrived = [arrival.sop_instance_uid for arrival in pacs.arrivals]
        assert arrived
        assert len(arrived) == len(set(arrived))


def _is_down(node: NodeProcess) -> bool:
    with closing(node.index()) as index:
        return index.outages.of("pacs") is not None
