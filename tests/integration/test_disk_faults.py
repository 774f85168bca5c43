"""Disks that are full or read-only, with a real file system: nothing is acknowledged that is not kept, then all goes on."""

import resource
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import association, listener_settings, running_listener, send
from builders.master_check import footprint, master_check
from builders.node import AE_TITLE, NodeProcess
from builders.ports import is_open
from builders.raw_peer import RawPeer
from builders.sender_ledger import SenderLedger
from builders.small_disk import SmallDisk, listener_on_small_disk
from storage import database
from storage.database import open_engine, writing

STUDY = "1.2.3.4"
OUT_OF_RESOURCES = 0xA700
CONTEXTS = [(CTImageStorage, [ExplicitVRLittleEndian])]


def large_images(count: int, *, first: int = 0) -> list[Dataset]:
    """Images of half a megabyte, each with other bytes."""
    pixels = 512 * 512 * 2
    numbers = range(first, first + count)
    return [
        ct_instance(n, study=STUDY, Rows=512, Columns=512, PixelData=n.to_bytes(2, "little") * (pixels // 2))
        for n in numbers
    ]


def send_once(disk: SmallDisk, sent: SenderLedger, images: Sequence[Dataset]) -> list[int]:
    """Send over one association, which must last; the answers other than Success."""
    before = len(sent.other_statuses)
    assert sent.send(disk.port, images) == [], "the association did not last"
    return sent.other_statuses[before:]


def test_a_disk_that_fills_up_inside_an_object_refuses_it_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """ENOSPC of a real file system at some byte of an object: 0xA700, no partial file, no lost object."""
    sent = SenderLedger()
    with listener_on_small_disk(tmp_path) as disk:
        ballast = disk.fill(disk.disk, leave_bytes=3 * 2**20)
        answers = send_once(disk, sent, large_images(12))
        assert set(answers) == {OUT_OF_RESOURCES}
        assert sent.acknowledged
        disk.master_check(sent)
        ballast.unlink()
        assert send_once(disk, sent, large_images(4, first=100)) == []
        disk.master_check(sent)


@pytest.mark.sqlite
@pytest.mark.parametrize("leave_kib", [0, 96, 160, 320])
def test_an_index_whose_disk_is_full_acknowledges_nothing_and_is_whole_when_there_is_room(
    tmp_path: Path, leave_kib: int
) -> None:
    """ENOSPC for the database alone, at several places of its log."""
    sent = SenderLedger()
    with listener_on_small_disk(tmp_path, index_apart=True) as disk:
        ballast = disk.fill(disk.index_disk, leave_bytes=leave_kib * 1024)
        refused = send_once(disk, sent, [ct_instance(number, study=STUDY) for number in range(40)])
        assert set(refused) == {OUT_OF_RESOURCES}
        ballast.unlink()
        assert send_once(disk, sent, [ct_instance(number, study=STUDY) for number in range(40)]) == []
        assert disk.master_check(sent).objects == 40


def test_a_folder_that_turned_read_only_refuses_and_goes_on_when_it_is_writable(tmp_path: Path) -> None:
    """EROFS of a real file system: 0xA700 each time, the process lives and takes the objects afterwards."""
    sent = SenderLedger()
    with listener_on_small_disk(tmp_path) as disk:
        assert send_once(disk, sent, large_images(2)) == []
        with disk.read_only("data/incoming"):
            assert send_once(disk, sent, large_images(3, first=10)) == [OUT_OF_RESOURCES] * 3
        assert send_once(disk, sent, large_images(3, first=10)) == []
        assert disk.master_check(sent).objects == 5


@pytest.mark.sqlite
def test_an_index_that_another_process_keeps_locked_refuses_and_takes_the_object_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0xA700 after a bounded wait; the waits of the listener are shortened for the test."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(database, "_SQLITE_PRAGMAS", ("PRAGMA synchronous = FULL", "PRAGMA busy_timeout = 200"))
    with running_listener(listener_settings(tmp_path)) as running:
        engine = open_engine(running.settings.database_url)
        with writing(engine):
            assert send(running.port, ct_instance()) == [OUT_OF_RESOURCES]
        engine.dispose()
        assert send(running.port, ct_instance()) == [0x0000]
        assert len(running.stored()) == 1


def test_a_listener_without_descriptors_pauses_and_recovers(tmp_path: Path) -> None:
    """EMFILE: connections that nobody can accept wait; with descriptors again a sender is served, none is leaked."""
    sent = SenderLedger()
    with NodeProcess(folder=tmp_path, parts=("listen",)) as node:
        sent.send_all(node.port, [ct_instance(1, study=STUDY)])
        pid = node.pid("listen")
        base = footprint(pid).descriptors
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (base + 8, before[1]))
        with ExitStack() as connections:
            for _ in range(40):
                connections.enter_context(RawPeer(node.port))
            until(lambda: footprint(pid).descriptors >= base + 8, within_s=15, what="no descriptor is left")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        sent.send_all(node.port, [ct_instance(number, study=STUDY) for number in range(2, 6)])
        until(lambda: footprint(pid).descriptors <= base + 2, within_s=30, what="descriptors are back to base")
        master_check(node.data_dir, sent)


@pytest.mark.sqlite
def test_a_second_node_on_a_data_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    """Neither listener nor worker; the first one goes on receiving."""
    sent = SenderLedger()
    with NodeProcess(folder=tmp_path, parts=("listen", "work")) as node:
        until(lambda: (node.data_dir / "work.lock").exists(), within_s=60, what="the worker has its lock")
        for part in ("listen", "work"):
            assert f"{part} runs as process {node.pid(part)}" in node.command(part, exit_code=1).stderr
        assert is_open(node.port)
        sent.send_all(node.port, [ct_instance(number, study=STUDY) for number in range(5)])
        master_check(node.data_dir, sent)


def test_associations_leave_no_thread_and_no_descriptor_behind(tmp_path: Path) -> None:
    """After a hundred of them a process holds what it held after the first."""
    with NodeProcess(folder=tmp_path, parts=("listen",)) as node:
        for _ in range(3):
            with association(node.port, CONTEXTS, called_aet=AE_TITLE):
                pass
        pid = node.pid("listen")
        base = footprint(pid)
        for _ in range(100):
            with association(node.port, CONTEXTS, called_aet=AE_TITLE):
                pass
        until(lambda: footprint(pid).threads <= base.threads + 2, within_s=30, what="threads are back to base")
        until(lambda: footprint(pid).descriptors <= base.descriptors + 2, within_s=30, what="so are descriptors")
