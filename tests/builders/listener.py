"""A listener that runs, and senders that talk to it."""

import hashlib
import queue
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association

from builders.engines import server_url
from config.settings import ListenSettings, NodeSettings, Peer, Settings
from config.storage import StorageSettings
from dicom_node.checkpoint import guard_answers
from dicom_node.clock import SystemClock
from dicom_node.listen.server import run_listener
from storage.database import open_engine
from storage.index import Index
from storage.records import StoredInstance

AE_TITLE = "NODE"
SENDER = "MODALITY"
STARTED_WITHIN_S = 60
VERIFICATION = "1.2.840.10008.1.1"


def listener_settings(data_dir: Path, **listen: object) -> Settings:
    """Settings of a node that knows one sender; `listen` sets keys of [listen]."""
    return Settings(
        node=NodeSettings(ae_title=AE_TITLE, data_dir=data_dir),
        listen=ListenSettings(**{"port": 0, "network_timeout_s": 10.0, **listen}),
        storage=StorageSettings(free_floor_bytes=0, database_url=server_url(data_dir)),
        peers=(Peer(name="ct", ae_title=SENDER, host="127.0.0.1", port=104),),
    )


@dataclass(frozen=True, kw_only=True)
class RunningListener:
    """A listener in this process, and what it holds."""

    port: int
    settings: Settings

    def stored(self, study: str = "1.2.3.4") -> tuple[StoredInstance, ...]:
        """What the index has of a study."""
        index = Index(open_engine(self.settings.database_url), now=SystemClock().now)
        try:
            return index.stored_instances(study)
        finally:
            index.close()

    def objects(self, study: str = "1.2.3.4") -> list[Path]:
        """The files that the index has of a study."""
        return [self.settings.data_dir / stored.path for stored in self.stored(study)]

    def partial_files(self) -> list[Path]:
        """What is arriving, or was left behind."""
        return list(self.settings.data_dir.glob("incoming/*"))


@contextmanager
def running_listener(settings: Settings) -> Iterator[RunningListener]:
    """A listener for as long as the block lasts."""
    stop, ports = threading.Event(), queue.SimpleQueue[int]()
    with ThreadPoolExecutor(1, thread_name_prefix="listener under test") as executor:
        ended = executor.submit(run_listener, settings, stop=stop, on_ready=ports.put)
        # A listener that cannot start says so here.
        ended.add_done_callback(lambda _: ports.put(0))
        port = ports.get(timeout=STARTED_WITHIN_S)
        try:
            if port:
                yield RunningListener(port=port, settings=settings)
        finally:
            stop.set()
        ended.result()


@contextmanager
def association(
    port: int,
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    calling_aet: str = SENDER,
    called_aet: str = AE_TITLE,
    maximum_pdu_bytes: int = 16382,
) -> Iterator[Association]:
    """An association as a modality opens it; SOP classes with their transfer syntaxes."""
    ae = AE(ae_title=calling_aet)
    ae.acse_timeout = ae.dimse_timeout = 20
    ae.network_timeout = 120
    for sop_class, syntaxes in contexts:
        ae.add_requested_context(sop_class, list(syntaxes))
    sockets: list[socket.socket] = []

    def handle_open(event: evt.Event) -> None:
        # pynetdicom leaves its socket to the garbage collector, with a warning, where the peer closed first.
        sockets.append(event.assoc.dul.socket.socket)
        guard_answers(event.assoc)

    opened = ae.associate(
        "127.0.0.1",
        port,
        ae_title=called_aet,
        max_pdu=maximum_pdu_bytes,
        evt_handlers=[(evt.EVT_CONN_OPEN, handle_open)],
    )
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()
        for connection in sockets:
            connection.close()


def send(port: int, *datasets: Dataset, **titles: str) -> list[int]:
    """Send data sets in one association; the statuses, -1 for no answer."""
    contexts = {(str(one.SOPClassUID), str(one.file_meta.TransferSyntaxUID)) for one in datasets}
    with association(port, [(sop_class, [syntax]) for sop_class, syntax in sorted(contexts)], **titles) as opened:
        assert opened.is_established
        return [int(opened.send_c_store(one).get("Status", -1)) for one in datasets]


def data_set_bytes(path: Path) -> bytes:
    """What follows the file meta information in a file."""
    meta_bytes = dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta[0x00020000].value
    # Preamble, prefix, the group length element, the group.
    return path.read_bytes()[128 + 4 + 12 + meta_bytes :]


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
