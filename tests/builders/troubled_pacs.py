"""A PACS whose associations are counted, and that is in trouble as a test tells it to be."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import by pynetdicom

from config.settings import Peer

NOBODY = "NOBODY"


@dataclass(slots=True, kw_only=True)
class TroubledPacs:
    """What came, and what goes wrong."""

    peer: Peer
    ae: AE
    received: list[tuple[str, bytes]] = field(default_factory=list)
    """SOP Instance UID and encoded data set of what was acknowledged."""
    sent: list[str] = field(default_factory=list)
    """SOP Instance UIDs as they came, acknowledged or not."""
    requests: int = 0
    """Associations asked for."""
    most_at_once: int = 0
    aborts_over: frozenset[str] = frozenset()
    """Objects over which the association is aborted, after their last byte and before the answer."""
    never_answers: frozenset[str] = frozenset()
    statuses: dict[str, int] = field(default_factory=dict)
    answer_after_s: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the test ends: whoever is not answered waits for it."""

    def reject(self, is_down: bool) -> None:
        """Reject every association, or none."""
        self.ae.require_calling_aet = [NOBODY] if is_down else []


@contextmanager
def troubled_pacs(*, sop_class_uids: Sequence[str]) -> Iterator[TroubledPacs]:
    """Run it on loopback."""
    ae = AE(ae_title="SCRIPTED")
    for uid in (Verification, *sop_class_uids):
        ae.add_supported_context(uid)
    pacs: TroubledPacs

    def handle_store(event: Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        pacs.sent.append(uid)
        pacs.most_at_once = max(pacs.most_at_once, len(ae.active_associations))
        if uid in pacs.never_answers:
            pacs.over.wait(60)
        pacs.over.wait(pacs.answer_after_s)
        if uid in pacs.aborts_over:
            event.assoc.abort()
            return 0xC000
        status = pacs.statuses.get(uid, 0x0000)
        if status == 0x0000:
            pacs.received.append((uid, event.encoded_dataset(include_meta=False)))
        return status

    def handle_request(_: Event) -> None:
        pacs.requests += 1

    handlers = [(evt.EVT_C_STORE, handle_store), (evt.EVT_REQUESTED, handle_request)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    port = server.server_address[1]
    peer = Peer(name="pacs", ae_title="SCRIPTED", host="127.0.0.1", port=port, receives_results=True)
    pacs = TroubledPacs(peer=peer, ae=ae)
    try:
        yield pacs
    finally:
        pacs.over.set()
        server.shutdown()
