"""A changed configuration file takes effect in running processes, and no association is dropped for it."""

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.deadline import until
from builders.faulty_node import FaultyNode
from builders.instances import ct_instance, encoded
from builders.kill_cycle import small_study
from builders.ledger_scp import ledger_scp
from builders.listener import AE_TITLE, association, running_listener, send
from builders.node import NodeProcess
from builders.ports import free_port
from builders.raw_peer import P_DATA, RawPeer, p_data, status_of, store_command
from config import load_settings

CONTEXTS = [(CTImageStorage, [ExplicitVRLittleEndian])]
WITHIN_S = 30


def write(path: Path, *senders: str, more: str = "") -> None:
    """A configuration that lets these send."""
    path.parent.mkdir(exist_ok=True)
    peers = "".join(
        f'[[peers]]\nname = "{title.lower()}"\nae_title = "{title}"\nhost = "127.0.0.1"\nport = 104\n'
        for title in senders
    )
    node = f'[node]\nae_title = "{AE_TITLE}"\ndata_dir = "{path.parent}/data"\n'
    # The port of the file is not the one that is taken: 0 is any.
    path.write_text(f"{node}[storage]\nfree_floor_bytes = 0\n[listen]\nport = 0\n{more}{peers}")


def may_send(port: int, title: str) -> bool:
    """Whether a title gets an association."""
    with association(port, CONTEXTS, calling_aet=title) as opened:
        return opened.is_established


@pytest.mark.parametrize("processes", [1, 2])
def test_peers_come_and_go_while_an_object_arrives(tmp_path: Path, processes: int) -> None:
    """In every receiving process; the object of an association that was open before ends with Success."""
    path, data = tmp_path / "node.toml", encoded(ct_instance())
    write(path, "MODALITY", "OLD", more=f"processes = {processes}\n")
    with running_listener(load_settings(path), path=path) as running, RawPeer(running.port) as peer:
        peer.associate()
        peer.send(p_data(store_command(str(ct_instance().SOPInstanceUID)), is_command=True, is_last=True))
        peer.send(p_data(data[:100], is_command=False, is_last=False))
        assert may_send(running.port, "OLD")
        assert not may_send(running.port, "NEW")
        write(path, "NEW", more=f"processes = {processes}\n")

        def all_know() -> bool:
            """One after the other, several go to each process."""
            return all(may_send(running.port, "NEW") for _ in range(4))

        until(all_know, within_s=WITHIN_S, what="the new sender may send")
        assert not any(may_send(running.port, title) for title in ("OLD", "MODALITY", "OLD", "MODALITY"))
        peer.send(p_data(data[100:], is_command=False, is_last=True))
        kind, answer = peer.receive_pdu()
        assert (kind, status_of(answer)) == (P_DATA, 0x0000)
        assert len(running.stored()) == 1


def test_a_file_with_mistakes_changes_nothing_and_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The settings before it stay in force until it is mended."""
    path = tmp_path / "node.toml"
    write(path, "MODALITY")
    with running_listener(load_settings(path), path=path) as running, caplog.at_level(logging.ERROR):
        write(path, "NEW", more='backlog = "many"\nunheard_of = 1\n')
        until(lambda: "not taken up" in caplog.text, within_s=WITHIN_S, what="the mistakes are named")
        assert "[listen].backlog" in caplog.text
        assert "[listen].unheard_of" in caplog.text
        assert may_send(running.port, "MODALITY")
        assert not may_send(running.port, "NEW")
        write(path, "NEW")
        until(lambda: may_send(running.port, "NEW"), within_s=WITHIN_S, what="the mended file is taken up")


def test_what_waits_for_a_restart_is_said_with_the_sign_of_life(tmp_path: Path) -> None:
    """So that `dicom-node status` and the pages show it; it is gone when the change is."""
    path = tmp_path / "node.toml"
    write(path, "MODALITY")
    with NodeProcess(folder=tmp_path / "node", parts=("listen",)) as node:
        text = node.config_path.read_text()

        def says(words: str) -> bool:
            return words in node.command("status").stdout.replace("\n", " ")

        node.config_path.write_text(text.replace("[listen]", "[listen]\nbacklog = 77", 1))
        until(lambda: says("restart needed for listen.backlog"), within_s=WITHIN_S, what="it is said")
        node.config_path.write_text(text)
        until(lambda: not says("restart needed"), within_s=WITHIN_S, what="it is said no longer")


def test_a_refused_caller_is_listed_and_allowed_by_a_command(tmp_path: Path) -> None:
    """From the first refusal to the first object, with nothing started again."""
    with NodeProcess(folder=tmp_path, parts=("listen",)) as node:
        text = node.config_path.read_text().replace("accept_unknown_callers = true", "accept_unknown_callers = false")
        node.config_path.write_text(text)
        until(lambda: _refused(node), within_s=WITHIN_S, what="unknown callers are refused")
        until(lambda: "CT99" in node.command("ae", "refused").stdout, within_s=WITHIN_S, what="the caller is listed")
        node.command("ae", "allow", "CT99", "--name", "scanner")
        until(lambda: not _refused(node), within_s=WITHIN_S, what="the caller is let in")
        assert send(node.port, ct_instance(), calling_aet="CT99", called_aet="TESTNODE") == [0x0000]
        assert "CT99" not in node.command("ae", "refused").stdout
        (peer,) = load_settings(node.config_path).peers
        assert (peer.name, peer.ae_title, peer.host, peer.may_send) == ("scanner", "CT99", "127.0.0.1", True)


def _refused(node: NodeProcess) -> bool:
    with association(node.port, CONTEXTS, calling_aet="CT99", called_aet="TESTNODE") as opened:
        return opened.is_rejected


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
