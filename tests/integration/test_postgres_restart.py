"""The database server goes away while the listener or the pages run, or is not there when they start."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest

from builders.instances import ct_instance
from builders.listener import listener_settings, running_listener, send
from builders.ports import free_port
from builders.postgres import PostgresServer, running_server, why_no_postgres
from config.settings import Settings
from config.storage import StorageSettings
from config.web import WebSettings
from dicom_node.listen.server import run_listener
from dicom_node.settings_file import SettingsFile
from dicom_node.web.server import run_web

pytestmark = pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres() or "there is one")

_BEAT_WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Manager:
    """The service manager's end of the notification socket."""

    end: socket.socket

    def until_said(self, word: str, *, times: int = 1) -> None:
        """Return when a word came so often from now on."""
        while times:
            times -= word in self.end.recv(1000).decode()

    def forget(self) -> None:
        """Leave aside what came until now."""
        self.end.setblocking(False)
        try:
            while True:
                self.end.recv(1000)
        except BlockingIOError:
            self.end.settimeout(_BEAT_WITHIN_S)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """That a service of this process speaks to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(_BEAT_WITHIN_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield Manager(end)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Of one test, which stops and starts it."""
    with running_server() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, server: PostgresServer) -> Settings:
    """Of a node on the server."""
    storage = StorageSettings(free_floor_bytes=0, database_url=server.url)
    made = listener_settings(tmp_path / "data")
    return made.model_copy(update={"storage": storage, "web": WebSettings(port=free_port())})


def _listen(settings: Settings, stop: Event, ready: SimpleQueue[int | str]) -> None:
    run_listener(settings, stop=stop, on_ready=ready.put)


def _serve(settings: Settings, stop: Event, ready: SimpleQueue[int | str]) -> None:
    run_web(SettingsFile(None, settings), stop=stop, on_ready=ready.put)


Service = Callable[[Settings, Event, SimpleQueue[int | str]], None]
each_service = pytest.mark.parametrize("service", [_listen, _serve], ids=["listen", "web"])


@contextmanager
def started(service: Service, settings: Settings) -> Iterator[SimpleQueue[int | str]]:
    """A service that is told to stop at the end; what it says when it is ready."""
    stop, ready = Event(), SimpleQueue[int | str]()
    with ThreadPoolExecutor(1) as executor:
        ended = executor.submit(service, settings, stop, ready)
        try:
            yield ready
        finally:
            stop.set()
        ended.result(timeout=_BEAT_WITHIN_S)


def test_nothing_is_lost_when_the_server_crashes(server: PostgresServer, settings: Settings) -> None:
    """Senders hear 0xA700 meanwhile, and Success by themselves afterwards; what was acknowledged is there."""
    with running_listener(settings) as listener:
        assert send(listener.port, ct_instance(1)) == [0x0000]
        server.stop("immediate")
        assert send(listener.port, ct_instance(2)) == [0xA700]
        server.start()
        assert send(listener.port, ct_instance(2), ct_instance(3)) == [0x0000, 0x0000]
        assert len(listener.stored()) == 3


@each_service
def test_the_service_manager_hears_of_life_however_long_the_server_is_away(
    service: Service, server: PostgresServer, settings: Settings, manager: Manager
) -> None:
    """Else it would kill what answers; one word may still be of before."""
    with started(service, settings) as ready:
        assert ready.get(timeout=_BEAT_WITHIN_S)
        server.stop("immediate")
        manager.forget()
        manager.until_said("WATCHDOG=1", times=2)


@each_service
def test_a_start_without_the_server_waits_for_it(
    service: Service, server: PostgresServer, settings: Settings, manager: Manager
) -> None:
    """And asks the service manager for more time again and again; then it is ready."""
    server.stop()
    with started(service, settings) as ready:
        manager.until_said("EXTEND_TIMEOUT_USEC=", times=2)
        assert ready.empty()
        server.start()
        assert ready.get(timeout=_BEAT_WITHIN_S)


@each_service
def test_a_start_that_waits_ends_when_told_to(
    service: Service, server: PostgresServer, settings: Settings, manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    """Without an error, and never ready; the log said once what it waited for."""
    server.stop()
    with started(service, settings) as ready:
        manager.until_said("EXTEND_TIMEOUT_USEC=", times=2)
    assert ready.empty()
    assert sum("waiting for the database server" in message for message in caplog.messages) == 1
