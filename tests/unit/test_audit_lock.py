"""An audit trail whose lock another process keeps."""

import fcntl
import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders.audit import EVENTS, build_trail, messages_in
from dicom_node.audit import trail as trail_module
from dicom_node.audit.chain import Chain
from dicom_node.audit.verifying import verify
from dicom_node.cli.app import app
from storage.migrations import migrate

_WAIT_S = 1.0


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The lock of a trail, as another process has it: flock(2) goes by the open file."""
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / "audit.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here waits for ten seconds."""
    monkeypatch.setattr(trail_module, "LOCK_TIMEOUT_S", _WAIT_S)


def test_a_lock_that_is_held_for_too_long_is_said_with_what_to_do(tmp_path: Path) -> None:
    """Nothing is written without it; afterwards the chain goes on."""
    chain = Chain(tmp_path, maximum_file_bytes=1_000_000)
    with held(tmp_path), pytest.raises(TimeoutError, match=r"audit\.lock for more than 0\.1 s: `lslocks` names it"):
        chain.append("<m n='1'/>", within_s=0.1)
    chain.append("<m n='2'/>", within_s=20)
    assert messages_in(tmp_path) == ["<m n='2'/>"]


def test_a_lock_that_another_process_keeps_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is waited for once, events wait in memory and are written in order with the first one that has the lock."""
    trail = build_trail(tmp_path)
    with held(tmp_path):
        trail.record(EVENTS[0])
        began_s = time.monotonic()
        for event in EVENTS[1:6]:
            trail.record(event)
        assert time.monotonic() - began_s < _WAIT_S * 4
        assert messages_in(tmp_path) == []
    assert "`lslocks` names it; end it; 6 events wait" in caplog.text
    trail.record(EVENTS[6])
    whole = build_trail(tmp_path / "whole")
    for event in EVENTS[:7]:
        whole.record(event)
    assert messages_in(tmp_path) == messages_in(tmp_path / "whole")
    assert verify(tmp_path).passed


def test_events_that_end_with_their_process_are_said_to_be_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """How many; of a trail that was written whole nothing is said."""
    trail = build_trail(tmp_path)
    with held(tmp_path):
        trail.record(EVENTS[0])
        trail.record(EVENTS[1])
        assert "lost" not in caplog.text
        del trail
        gc.collect()
    assert "the audit trail lost 2 events" in caplog.text
    caplog.clear()
    trail = build_trail(tmp_path)
    trail.record(EVENTS[0])
    del trail
    gc.collect()
    assert "lost" not in caplog.text


def test_a_command_says_that_it_is_not_in_the_trail(tmp_path: Path) -> None:
    """What it did stands."""
    config, data = tmp_path / "node.toml", tmp_path / "data"
    data.mkdir()
    config.write_text(f'[node]\ndata_dir = "{data}"\n')
    migrate(f"sqlite:///{data / 'index.sqlite'}")
    with held(data / "audit"):
        ended = CliRunner().invoke(app, ["--config", str(config), "ae", "add", "pacs", "PACS", "10.0.0.5:104"])
    assert ended.exit_code == 0, ended.output
    assert "`lslocks` names it; end it: this is not in the audit trail\n" in ended.stderr
    assert "PACS" in config.read_text()
