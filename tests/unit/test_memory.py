"""When garbage is collected, and that memory goes back to the system."""

import gc
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builders.freed_heap import resident_before_and_after
from builders.listener import association, listener_settings, running_listener
from builders.raw_peer import RawPeer
from dicom_node.memory import COLLECT_S, TimedCollection, loading

CONNECTIONS = 150

ARENAS = """
import sys, threading
from pathlib import Path
from dicom_node.memory import share_one_heap

if sys.argv[1:]:
    share_one_heap()

def virtual_mib():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmSize"))
    return int(line.split()[1]) / 1024

before = virtual_mib()
all_there = threading.Barrier(5)
over = threading.Event()

def work():
    piece = b"x" * 60_000
    all_there.wait()
    over.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
all_there.wait()
print(virtual_mib() - before)
over.set()
"""
"""Four threads at the same time; an arena reserves 64 MiB of addresses."""


def test_a_collection_is_due_by_the_clock_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by how often it is looked for."""
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    collection = TimedCollection()
    assert not any(collection.collect_when_due() for _ in range(1000))
    now_s += COLLECT_S
    assert collection.collect_when_due()
    assert not collection.collect_when_due()


def test_a_burst_of_connections_brings_no_collection_each_sixty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole collections keep whoever comes next waiting."""
    asked: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda *_: asked.append(1) or 0)
    started_at_s = time.monotonic()
    with running_listener(listener_settings(tmp_path)) as running:
        for _ in range(CONNECTIONS):
            RawPeer(running.port).__enter__().__exit__(None, None, None)
        with association(running.port, [("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])]) as opened:
            assert opened.send_c_echo().Status == 0x0000
    assert len(asked) <= (time.monotonic() - started_at_s) / COLLECT_S


@pytest.mark.parametrize("collects", [True, False])
def test_nothing_is_collected_while_packages_are_loaded(collects: bool) -> None:
    """Afterwards as before, also where one of them cannot be loaded."""
    was_enabled = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(ImportError), loading():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is collects
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_what_threads_freed_goes_back_to_the_system() -> None:
    """Also what lies below something that stays."""
    before_mib, after_mib = resident_before_and_after("dicom_node.memory", "give_back")
    assert before_mib > 150
    assert after_mib < before_mib / 3


def test_threads_that_share_one_heap_reserve_none_for_themselves() -> None:
    """But for their stacks they add nothing; without it each has an arena."""
    command = [sys.executable, "-c", ARENAS]
    apart_mib, shared_mib = (
        float(subprocess.run([*command, *flag], capture_output=True, text=True, check=True, timeout=60).stdout)
        for flag in ([], ["one"])
    )
    assert shared_mib < apart_mib - 100
