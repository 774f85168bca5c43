"""When the listener collects garbage."""

import gc
import time
from pathlib import Path

import pytest

from builders.listener import association, listener_settings, running_listener
from builders.raw_peer import RawPeer
from dicom_node.listen.garbage import COLLECT_S, TimedCollection

CONNECTIONS = 150


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
