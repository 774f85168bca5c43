"""A worker that runs follows its configuration file."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.uid import ComprehensiveSRStorage

from builders.clock import FakeClock
from builders.deadline import until
from builders.delivered import STUDY, index_with_result
from builders.index import database_url, state_of
from builders.scripted_scp import scripted_scp
from config.settings import Peer, Settings
from dicom_node.clock import SystemClock
from dicom_node.settings_file import SettingsFile
from dicom_node.work import run_worker
from dicom_node.worker_duties import WorkerDuties
from storage.index import Index
from storage.lifecycle import State

WITHIN_S = 60.0


def configuration(folder: Path, *peers: Peer, node: str = "") -> str:
    """Of a node with these destinations."""
    blocks = [
        f'[[peers]]\nname = "{peer.name}"\nae_title = "{peer.ae_title}"\nhost = "{peer.host}"\nport = {peer.port}\n'
        "receives_results = true\n"
        for peer in peers
    ]
    storage = f'[storage]\ndatabase_url = "{database_url(folder)}"\n'
    return f'[node]\ndata_dir = "{folder}"\n{node}\n{storage}' + "".join(blocks)


@contextmanager
def running_worker(path: Path) -> Iterator[None]:
    """A worker in this process for as long as the block lasts."""
    stop, ready = threading.Event(), threading.Event()
    file = SettingsFile.opened(path, "work")
    with ThreadPoolExecutor(1) as executor:
        ended = executor.submit(run_worker, file, stop=stop, on_ready=ready.set)
        ended.add_done_callback(lambda _: ready.set())
        try:
            assert ready.wait(WITHIN_S)
            yield
        finally:
            stop.set()
        ended.result()


def test_a_destination_that_is_added_gets_what_waits_for_it(tmp_path: Path) -> None:
    """Without a restart; what needs one is named beside the sign of life."""
    index, _ = index_with_result(tmp_path, FakeClock(), objects=1)
    path = tmp_path / "node.toml"
    path.write_text(configuration(tmp_path))
    with scripted_scp(lambda _: 0x0000, sop_class_uids=[ComprehensiveSRStorage]) as scp, running_worker(path):
        path.write_text(configuration(tmp_path, scp.peer, node='ae_title = "OTHER"'))
        until(lambda: state_of(index) is State.DELIVERED, within_s=WITHIN_S, what="the result is delivered")
        until(lambda: bool(index.heartbeats()[0].needs_restart), within_s=WITHIN_S, what="the key is named")
        assert index.heartbeats()[0].needs_restart == ("[node].ae_title",)
    assert len(scp.received) == 1
    assert index.study(STUDY) is not None
    index.close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index for duties that are never run."""
    made, _ = index_with_result(tmp_path, FakeClock())
    yield made
    made.close()


def test_duties_are_made_again_only_where_their_settings_changed(tmp_path: Path, index: Index) -> None:
    """A destination that did not change keeps its outbox, with what it remembers."""
    a, b = (Peer(name=name, ae_title=name, host="127.0.0.1", port=1, receives_results=True) for name in "AB")
    before = Settings.model_validate({"node": {"data_dir": str(tmp_path)}}).model_copy(update={"peers": (a, b)})
    asked = {"query_retrieve": "move", "storage_commitment": True}
    after = before.model_copy(update={"peers": (a, b.model_copy(update=asked))})
    duties = WorkerDuties(before, index, clock=SystemClock())
    first = {name: one.made_of for name, one in duties.wanted().items()}
    duties.follow(after)
    second = {name: one.made_of for name, one in duties.wanted().items()}
    changed = {name for name in first if second.get(name, ()) != first[name]}
    assert changed == {"outbox B"}
    assert second.keys() - first.keys() == {"batch B", "commitment B", "fetch B"}
