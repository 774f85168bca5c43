"""The listener as a process: starts, shows that it lives, stops without losing an object."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event
from typing import Protocol

from pynetdicom import _config

from config.settings import Settings
from dicom_node.audit.trail import audit_trail, process_recorded
from dicom_node.calling import PeerUnreachableError
from dicom_node.clock import SystemClock
from dicom_node.commitment.open_questions import OpenQuestions
from dicom_node.commitment.reporter import CommitmentReporter
from dicom_node.index_at_start import await_index
from dicom_node.listen.finishing import FINISH_OBJECTS_S, abort_associations, finish_objects
from dicom_node.listen.informing import Informer
from dicom_node.listen.ports import Ports, open_ports
from dicom_node.listen.processes import ReceivingProcesses
from dicom_node.listen.services import Services
from dicom_node.machines import association_prefix, owner_of_parts
from dicom_node.service import notify_stopping, notify_watchdog
from dicom_node.settings_file import SettingsFile
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.locks import lock_for_machine

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 5.0
_LOOKS_A_BEAT = 5
_ENDING_S = 3.0
"""That a further process may take beyond the time for its objects."""


class _Follower(Protocol):
    """Goes by the configuration, and by another one when it changes."""

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on."""


def run_listener(
    settings: Settings, *, stop: Event, on_ready: Callable[[int], None], file: SettingsFile | None = None
) -> None:
    """Receive until told to stop; a database server that is not there yet is waited for.

    Args:
        settings: Of the node.
        stop: Set to end: the objects that are arriving are finished, at most 10 s, then associations are aborted.
        on_ready: Called once with the port, the one without TLS where there are two, when associations are accepted.
        file: That the settings are from: it is followed; None: they stay as they are.

    Raises:
        ListenError: An address cannot be had.
        CertificateError: The certificates of the TLS port cannot be used.
        StorageError: The data folder is in use by another listener, or the index cannot be opened.
    """
    file = file or SettingsFile(None, settings, process="listen")
    # pynetdicom's own log handlers render every message with its identifiers, even where nobody reads it.
    _config.LOG_HANDLER_LEVEL = "none"
    with lock_for_machine(settings.data_dir, "listen", settings.machine) as locks:
        if await_index(settings, stop=stop):
            _receive(file, settings, locks, stop=stop, on_ready=on_ready)
    logger.info("listener stopped")


def _receive(
    file: SettingsFile, settings: Settings, locks: Sequence[int], *, stop: Event, on_ready: Callable[[int], None]
) -> None:
    """Receive into an index that is ready."""
    clock, machine = SystemClock(), settings.machine
    with closing(Index(open_engine(settings.database_url), now=clock.now)) as index:
        store = ObjectStore(settings.data_dir, owner=owner_of_parts("listen", machine))
        swept = store.sweep()
        # What an earlier run left open has ended with it.
        index.end_associations(association_prefix(machine))
        trail = audit_trail(settings, clock=clock)
        services = Services(settings, store, index, trail=trail, clock=clock)
        reporter = CommitmentReporter(settings, index.commitments, services.commitment, clock=clock)
        informer = Informer(file, index, services)
        with (
            process_recorded(trail, settings, "listen"),
            _serving(settings, services, locks=locks) as (ports, others),
            reporter.running(),
            _answering_own_questions(settings, services),
        ):
            _log_start(settings, ports, swept=swept)
            on_ready(ports.open[0])
            followers = (services, ports, others, reporter)
            with informer.running():
                _beat_until(
                    stop,
                    lambda: _beat(ports, others, informer),
                    look=lambda: _look_at_settings(file, followers),
                )
            notify_stopping("finishing the objects that are arriving")
        services.refused.write()


@contextmanager
def _serving(
    settings: Settings, services: Services, *, locks: Sequence[int]
) -> Iterator[tuple[Ports, ReceivingProcesses]]:
    """Accept associations for as long as the block lasts; the ports, and the processes that help."""
    with open_ports(settings, services, lock_descriptors=locks) as (ports, others):
        try:
            yield ports, others
        finally:
            services.stopping.set()
            ports.close()
            with ThreadPoolExecutor(1) as executor:
                executor.submit(others.stop, within_s=FINISH_OBJECTS_S + _ENDING_S)
                finish_objects(lambda: ports.active_associations, services.clock)
            abort_associations(ports.active_associations, services.clock)


@contextmanager
def _answering_own_questions(settings: Settings, services: Services) -> Iterator[None]:
    """Where a reporter of another machine may be first: answer questions on the associations that they came on."""
    if not settings.storage.shared:
        yield
        return
    ledger, clock = services.commitment.ledger, services.clock
    with OpenQuestions(settings, ledger, services.commitment, clock=clock).running():
        yield


def _beat_until(stop: Event, beat: Callable[[], None], *, look: Callable[[], None]) -> None:
    """Leave a sign of life every few seconds; look at the configuration more often."""
    while True:
        beat()
        for _ in range(_LOOKS_A_BEAT):
            if stop.wait(_HEARTBEAT_S / _LOOKS_A_BEAT):
                return
            look()


def _look_at_settings(file: SettingsFile, followers: Sequence[_Follower]) -> None:
    """Let everybody go by the settings that the file has now."""
    if file.look():
        for follower in followers:
            follower.follow(file.settings)


def _beat(ports: Ports, others: ReceivingProcesses, informer: Informer) -> None:
    """Leave a sign of life with the service manager, once the listener answered itself.

    Whether the index answers is no matter: without it senders hear 0xA700 and try again, of a listener that is started
    anew they hear nothing.
    """
    others.look_after()
    ports.look_at_certificates()
    try:
        ports.probe()
        notify_watchdog()
        informer.note_answer()
    except PeerUnreachableError:
        logger.exception("the listener does not answer itself")


def _log_start(settings: Settings, ports: Ports, *, swept: int) -> None:
    logger.info("listening as %r on %s %s", settings.node.ae_title, settings.listen.host, ports.words)
    if swept:
        logger.info("%d partial files of an earlier run removed", swept)
    if settings.listen.accept_unknown_callers:
        logger.warning("unknown callers may send: [listen].accept_unknown_callers is true")
    elif not settings.senders:
        logger.warning("nobody may send: add a [[peers]] block with may_send = true")
