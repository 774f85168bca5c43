"""The process as a service."""

import os
import signal
import socket
from pathlib import Path

import pytest

from dicom_node.service import StopSignal, notify_ready, notify_watchdog


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A service manager's end of the notification socket."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(path))
        end.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield end


def test_ready_reaches_the_service_manager(manager: socket.socket) -> None:
    """READY=1 comes with the status in one datagram."""
    notify_ready("listening")
    assert manager.recv(1000) == b"READY=1\nSTATUS=listening"


def test_watchdog_reaches_the_service_manager(manager: socket.socket) -> None:
    """WATCHDOG=1 comes alone when there is nothing to say."""
    notify_watchdog()
    assert manager.recv(1000) == b"WATCHDOG=1"


def test_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address with @ is in the abstract namespace."""
    name = f"dicom-node-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{name}")
        end.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify_ready()
        assert end.recv(1000) == b"READY=1"


def test_absent_manager_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification without a listener is lost, not raised."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify_ready()
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify_ready()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_sets_the_event(number: signal.Signals) -> None:
    """A signal while the context lasts is an event, and afterwards what it was before."""
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)
    assert signal.getsignal(number) is before
