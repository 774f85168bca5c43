"""A storage SCP that answers as a test tells it to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import by pynetdicom

from config.settings import Peer


@dataclass(slots=True, kw_only=True)
class ScriptedScp:
    """What came, and what is answered."""

    peer: Peer
    received: list[tuple[str, bytes]] = field(default_factory=list)
    """SOP Instance UID and encoded data set, repeats included."""


@contextmanager
def scripted_scp(
    answer: Callable[[int], int | None], *, sop_class_uids: Sequence[str], name: str = "pacs"
) -> Iterator[ScriptedScp]:
    """Run an SCP on loopback.

    Args:
        answer: Gives the status of the n-th C-STORE, counted from 0; None aborts the association instead.
        sop_class_uids: What it accepts beside Verification.
        name: Of the peer in the configuration.
    """
    ae = AE(ae_title="SCRIPTED")
    ae.add_supported_context(Verification)
    for uid in sop_class_uids:
        ae.add_supported_context(uid)
    received: list[tuple[str, bytes]] = []

    def handle_store(event: Event) -> int:
        status = answer(len(received))
        received.append((str(event.request.AffectedSOPInstanceUID), event.encoded_dataset(include_meta=False)))
        if status is None:
            event.assoc.abort()
            return 0xC000
        return status

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handle_store)])
    assert server is not None
    peer = Peer(name=name, ae_title="SCRIPTED", host="127.0.0.1", port=server.server_address[1], receives_results=True)
    try:
        yield ScriptedScp(peer=peer, received=received)
    finally:
        server.shutdown()
