"""A further receiving process: serves the connections that the listener gives it.

    python -m dicom_node.listen.process <descriptor> <settings>

Started by the listener alone; ends with it.
"""

import logging
import signal
import socket
import sys
from contextlib import closing, suppress
from math import ceil
from pathlib import Path
from threading import Event, Thread
from typing import Any

from pynetdicom import _config

from config.settings import Settings
from dicom_node.audit.trail import audit_trail
from dicom_node.clock import SystemClock
from dicom_node.commitment.open_questions import OpenQuestions
from dicom_node.file_stamp import FileStamp, stamp_of
from dicom_node.listen.association import Connection, ListenServer
from dicom_node.listen.channel import Channel, ChannelClosedError, Message, Said
from dicom_node.listen.contexts import contexts_of
from dicom_node.listen.enduring import do_each
from dicom_node.listen.finishing import abort_associations, finish_objects
from dicom_node.listen.places import PlacesOfListener
from dicom_node.listen.ports import application_entity
from dicom_node.listen.processes import count_of
from dicom_node.listen.services import Services
from dicom_node.listen.tls import TlsPort
from dicom_node.log import setup_logging
from dicom_node.machines import owner_of_parts
from dicom_node.memory import leave_out_what_stays, share_one_heap
from storage.database import open_engine
from storage.failpoints import arm_from_environment
from storage.files import ObjectStore
from storage.index import Index

logger = logging.getLogger(__name__)

_LOOK_S = 0.2
_ALIVE_S = 1.0
BEAT_S = 5.0


class _GivenServer(ListenServer):
    """Serves connections that another process accepted."""

    def __init__(self, *arguments: Any, channel: Channel, places: PlacesOfListener, **settings: Any) -> None:
        self._channel = channel
        self._given_places = places
        super().__init__(*arguments, **settings)

    def server_bind(self) -> None:
        """Bind nothing: the listener has the port."""
        if self.socket:
            self.socket.close()

    def server_activate(self) -> None:
        """Listen to nothing."""

    def process_request_thread(self, request: Connection, client_address: Any) -> None:
        """Serve a connection, then say that it is over."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.handle_unserved()

    def handle_unserved(self) -> None:
        """Say that a connection is over."""
        # Where the listener is gone, this process ends too.
        with suppress(ChannelClosedError, BlockingIOError):
            self._given_places.give_back()
            self._channel.send(Said.CLOSED)


class _Process:
    """The process at work."""

    def __init__(
        self, shared: "_SharedSettings", services: Services, places: PlacesOfListener, *, channel: Channel
    ) -> None:
        settings = shared.settings
        self._shared = shared
        self._services = services
        self._places = places
        self._channel = channel
        self._next_alive_s = 0.0
        self._ends = Event()
        listen, ae = settings.listen, application_entity(settings)
        self._tls = TlsPort(listen.tls, clock=services.clock) if listen.tls.enabled else None
        self._servers = {
            has_tls: _GivenServer(
                ae,
                (listen.host, listen.tls.port if has_tls else listen.port),
                contexts_of(settings),
                services=services,
                tls=self._tls if has_tls else None,
                channel=channel,
                places=places,
            )
            for has_tls in (False, True)
        }

    def run(self) -> None:
        """Serve until the listener says stop; ChannelClosedError when it is gone."""
        self._channel.send(Said.READY)
        # In a thread of its own: while somebody holds the index, connections are served, and the listener hears from here.
        Thread(target=self._keep_informed, name="beats", daemon=True).start()
        while (message := self._channel.receive(within_s=_LOOK_S)) is None or message.said is not Said.STOP:
            if message:
                self._take(message)
            self._do_periodically()
        self._ends.set()
        self._services.stopping.set()
        # Places are asked for while objects are finished. Without a thread for the answers nobody new gets one.
        with suppress(RuntimeError):
            Thread(target=self._hear_answers, daemon=True).start()
        finish_objects(self._associations, self._services.clock)
        abort_associations(self._associations(), self._services.clock)

    def _associations(self) -> list[Any]:
        return [association for server in self._servers.values() for association in server.active_associations]

    def _take(self, message: Message) -> None:
        if message.said is Said.PLACE:
            self._places.hear(*message.values)
        elif message.said is Said.CONNECTION and message.connection:
            has_tls, *address = message.values
            self._servers[has_tls].process_request(message.connection, tuple(address))

    def _follow(self, settings: Settings) -> None:
        self._services.follow(settings)
        for server in self._servers.values():
            server.follow(settings)

    def _hear_answers(self) -> None:
        with suppress(ChannelClosedError):
            while True:
                if message := self._channel.receive(within_s=None):
                    self._take(message)

    def _do_periodically(self) -> None:
        now_s = self._services.clock.monotonic()
        if now_s < self._next_alive_s:
            return
        self._next_alive_s = now_s + _ALIVE_S
        # A listener that takes nothing for a moment hears it the next time.
        with suppress(BlockingIOError):
            self._places.give_back()
            self._channel.send(Said.ALIVE)
        if self._shared.look():
            self._follow(self._shared.settings)
        for server in self._servers.values():
            server.service_actions()

    def _keep_informed(self) -> None:
        """Say in the index what goes on here; look at the certificates."""
        while True:
            do_each(self._services.inform_index, *([self._tls.look] if self._tls else []))
            if self._ends.wait(BEAT_S):
                return


class _SharedSettings:
    """The settings that the listener wrote for its processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: FileStamp = None
        self.look()

    def look(self) -> bool:
        """Whether the listener wrote other ones since the last look; it replaces the file as a whole."""
        stamp = stamp_of(self._path)
        if stamp == self._stamp or stamp is None:
            return False
        self._stamp = stamp
        self.settings = _shared(Settings.model_validate_json(self._path.read_bytes()))
        return True


def main() -> None:
    """Serve what comes over the descriptor."""
    descriptor, settings_path = sys.argv[1:]
    shared = _SharedSettings(Path(settings_path))
    settings = shared.settings
    setup_logging(settings.log)
    arm_from_environment()
    share_one_heap()
    _config.LOG_HANDLER_LEVEL = "none"
    # The service manager tells every process of the unit; the listener says when this one has finished.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    channel, clock = Channel(socket.socket(fileno=int(descriptor))), SystemClock()
    places = PlacesOfListener(channel)
    with (
        suppress(ChannelClosedError),
        closing(Index(open_engine(settings.database_url), now=clock.now)) as index,
    ):
        store = ObjectStore(settings.data_dir, owner=owner_of_parts("listen", settings.machine))
        trail = audit_trail(settings, clock=clock)
        services = Services(settings, store, index, trail=trail, clock=clock, places=places)
        with OpenQuestions(settings, index.commitments, services.commitment, clock=clock).running():
            process = _Process(shared, services, places, channel=channel)
            leave_out_what_stays()
            process.run()


def _shared(settings: Settings) -> Settings:
    """With this process's share of what is limited for all processes together and counted in each."""
    silent = ceil(settings.listen.maximum_silent_connections / count_of(settings))
    listen = settings.listen.model_copy(update={"maximum_silent_connections": silent})
    return settings.model_copy(update={"listen": listen})


if __name__ == "__main__":
    main()
