"""A Q/R SCP that answers C-FIND as a test tells it to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from socket import socket

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StudyRootQueryRetrieveInformationModelFind,
)

from config.settings import Peer


@contextmanager
def find_scp(answer: Callable[[Dataset], Sequence[Dataset] | int]) -> Iterator[Peer]:
    """Run it on loopback; `answer` takes the identifier and gives matches, or a status that is a failure."""
    ae = AE(ae_title="FINDER")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)

    def handle_find(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        answered = answer(event.identifier)
        if isinstance(answered, int):
            yield answered, None
            return
        for match in answered:
            yield 0xFF00, match

    sockets: list[socket] = []
    # pynetdicom leaves a socket to the garbage collector, with a warning, where the peer aborted.
    handlers = [
        (evt.EVT_C_FIND, handle_find),
        (evt.EVT_CONN_OPEN, lambda event: sockets.append(event.assoc.dul.socket.socket)),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield Peer(name="pacs", ae_title="FINDER", host="127.0.0.1", port=server.server_address[1])
    finally:
        server.shutdown()
        for connection in sockets:
            connection.close()


def match(level: str, **values: object) -> Dataset:
    """One answer."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset
