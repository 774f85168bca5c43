"""A PACS that enters every object it acknowledged into a ledger: which, with which bytes, in which order."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import by pynetdicom

from builders.node import Destination

AE_TITLE = "LEDGERSCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One object as it came."""

    study_instance_uid: str
    sop_instance_uid: str
    sha256: str
    """Of the encoded data set."""


@dataclass(slots=True, kw_only=True)
class LedgerScp:
    """A running PACS."""

    port: int
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def destination(self) -> Destination:
        """The PACS as a node's configuration names it."""
        return Destination(name="pacs", ae_title=AE_TITLE, port=self.port)

    def contents_of(self, study_instance_uid: str) -> dict[str, set[str]]:
        """Hashes of each object of a study; more than one where it came with different bytes."""
        contents: dict[str, set[str]] = defaultdict(set)
        for arrival in tuple(self.arrivals):
            if arrival.study_instance_uid == study_instance_uid:
                contents[arrival.sop_instance_uid].add(arrival.sha256)
        return contents


@contextmanager
def ledger_scp(answer: Callable[[int], int] = lambda _: 0x0000) -> Iterator[LedgerScp]:
    """Run a PACS on loopback.

    Args:
        answer: Gives the status of the n-th C-STORE, counted from 0; only Success is entered into the ledger.
    """
    ae = AE(ae_title=AE_TITLE)
    ae.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    arrivals: list[Arrival] = []
    asked: list[int] = []

    def handle_store(event: Event) -> int:
        asked.append(len(asked))
        status = answer(asked[-1])
        if status == 0x0000:
            arrivals.append(_arrival(event))
        return status

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handle_store)])
    assert server is not None
    try:
        yield LedgerScp(port=server.server_address[1], arrivals=arrivals)
    finally:
        server.shutdown()


def _arrival(event: Event) -> Arrival:
    return Arrival(
        study_instance_uid=str(event.dataset.StudyInstanceUID),
        sop_instance_uid=str(event.request.AffectedSOPInstanceUID),
        sha256=hashlib.sha256(event.encoded_dataset(include_meta=False)).hexdigest(),
    )
