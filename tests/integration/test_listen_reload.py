"""A listener that runs follows its configuration file; nobody is cut off for it."""

import json
import logging
import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import AE_TITLE, STARTED_WITHIN_S, association
from builders.receiving_processes import CONTEXTS, children_of, further_than, rest, serves, sockets_of, spread
from dicom_node.cli.app import app
from dicom_node.clock import SystemClock
from dicom_node.listen.server import run_listener
from dicom_node.settings_file import SettingsFile
from storage.database import open_engine
from storage.index import Index

WITHIN_S = 60.0
PEER = '[[peers]]\nname = "{0}"\nae_title = "{0}"\nhost = "127.0.0.1"\nport = 104\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowingListener:
    """A listener in this process, with its file."""

    port: int
    path: Path
    index: Index

    def write(self, *peers: str, listen: str = "") -> None:
        """Write the file."""
        blocks = "".join(PEER.format(peer) for peer in peers)
        self.path.write_text(configuration(self.path.parent, listen) + blocks)

    def admits(self, title: str) -> bool:
        """Whether a caller gets an association."""
        with association(self.port, CONTEXTS, calling_aet=title) as opened:
            return opened.is_established


def configuration(folder: Path, listen: str = "") -> str:
    """Of a node that nobody may send to."""
    return (
        f'[node]\nae_title = "{AE_TITLE}"\ndata_dir = "{folder}/data"\n[storage]\nfree_floor_bytes = 0\n'
        f"[listen]\nport = 0\n{listen}\n"
    )


@contextmanager
def following(folder: Path, *peers: str, processes: int = 1) -> Iterator[FollowingListener]:
    """A listener that knows these peers."""
    (folder / "data").mkdir()
    path = folder / "node.toml"
    path.write_text(configuration(folder, f"processes = {processes}") + "".join(PEER.format(peer) for peer in peers))
    file = SettingsFile.opened(path, "listen")
    stop, ports = threading.Event(), queue.SimpleQueue[int]()
    with ThreadPoolExecutor(1) as executor:
        ended = executor.submit(run_listener, file.settings, stop=stop, on_ready=ports.put, file=file)
        ended.add_done_callback(lambda _: ports.put(0))
        port = ports.get(timeout=STARTED_WITHIN_S)
        try:
            with closing(Index(open_engine(file.settings.database_url), now=SystemClock().now)) as index:
                yield FollowingListener(port=port, path=path, index=index)
        finally:
            stop.set()
        ended.result()


def test_an_open_association_ends_well_through_an_edit(tmp_path: Path) -> None:
    """Its sender was taken out meanwhile: it is refused the next time, a sender that was added is let in."""
    with following(tmp_path, "OLD") as running:
        assert not running.admits("NEW")
        with association(running.port, CONTEXTS, calling_aet="OLD") as opened:
            assert opened.send_c_store(ct_instance(1)).Status == 0x0000
            running.write("NEW")
            until(lambda: running.admits("NEW"), within_s=WITHIN_S, what="the added sender is let in")
            assert not running.admits("OLD")
            assert opened.send_c_store(ct_instance(2)).Status == 0x0000
        assert len(running.index.stored_instances("1.2.3.4")) == 2
        refused = running.index.refused_callers
        until(lambda: len(refused.newest()) == 2, within_s=WITHIN_S, what="both refusals are in the index")
        assert {one.key.calling_aet for one in refused.newest()} == {"OLD", "NEW"}


def test_a_caller_that_was_refused_is_let_in_by_one_command(tmp_path: Path) -> None:
    """Without a restart."""
    with following(tmp_path) as running:
        assert not running.admits("CT_7")
        until(lambda: running.index.refused_callers.newest() != (), within_s=WITHIN_S, what="the refusal is noted")
        assert CliRunner().invoke(app, ["--config", str(running.path), "ae", "allow", "CT_7"]).exit_code == 0
        until(lambda: running.admits("CT_7"), within_s=WITHIN_S, what="it is let in")


def test_a_broken_edit_keeps_the_old_configuration(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line says why; what needs a restart is named in the log, by `status` and by `config check`."""
    with following(tmp_path, "OLD") as running, caplog.at_level(logging.INFO, logger="dicom_node.settings_file"):
        running.path.write_text("[listen]\nport = -1\nhots = 1\n")
        until(lambda: "the old one stays" in caplog.text, within_s=WITHIN_S, what="the problems are in the log")
        (line,) = [record.getMessage() for record in caplog.records]
        assert "[listen].port" in line and "[listen].hots" in line
        assert running.admits("OLD")
        running.write("OLD", "NEW", listen="processes = 1\nbacklog = 7")
        until(lambda: "needs a restart: [listen].backlog" in caplog.text, within_s=WITHIN_S, what="the key is named")
        assert running.admits("NEW")
        until(lambda: running.index.heartbeats()[0].needs_restart != (), within_s=WITHIN_S, what="status knows it")
        for command in ("status", "config check"):
            said = CliRunner().invoke(app, ["--config", str(running.path), *command.split()]).stdout
            assert "listen: changed since start, needs a restart: [listen].backlog" in said
        shown = json.loads(CliRunner().invoke(app, ["--config", str(running.path), "status", "--json"]).stdout)
        assert shown["processes"][0]["heartbeat"]["needs_restart"] == ["[listen].backlog"]


def test_several_processes_follow(tmp_path: Path) -> None:
    """Wherever a connection lands; limits of all processes together too."""
    before = children_of(os.getpid())
    with following(tmp_path, "MODALITY", processes=2) as running:
        until(lambda: bool(_further(before)), within_s=WITHIN_S, what="there is a further process")
        (child,) = _further(before)
        until(lambda: serves(running.port, child), within_s=WITHIN_S, what="the further process serves")
        rest(running.port)
        with spread(child, *[lambda: association(running.port, CONTEXTS)] * 2) as opened:
            running.write("NEW", listen="processes = 2")
            until(lambda: _both_admit(running, child), within_s=WITHIN_S, what="both processes let the new one in")
            running.write("NEW", listen="processes = 2\nmaximum_associations = 3")
            until(lambda: not _both_admit(running, child), within_s=WITHIN_S, what="the fourth has no place")
            assert running.admits("NEW")
            assert [one.send_c_store(ct_instance(number)).Status for number, one in enumerate(opened)] == [0x0000] * 2
        until(lambda: sockets_of(child) == 0, within_s=WITHIN_S, what="its connections are closed")
        assert not running.admits("MODALITY")


def _further(before: list[int]) -> list[int]:
    return sorted(further_than(before))


def _both_admit(running: FollowingListener, child: int) -> bool:
    """Whether the added sender gets one association more in each of the two processes, which have one each."""
    with (
        association(running.port, CONTEXTS, calling_aet="NEW") as one,
        association(running.port, CONTEXTS, calling_aet="NEW") as other,
    ):
        return one.is_established and other.is_established and sockets_of(child) == 2
