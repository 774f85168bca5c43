"""The fetchers of a worker, one for each PACS that is asked for earlier studies."""

from collections.abc import Iterator
from contextlib import contextmanager

from config.settings import Peer, Settings
from dicom_node.audit.trail import audit_trail
from dicom_node.clock import Clock
from dicom_node.listen.intake import Intake
from dicom_node.listen.receive import Receiver
from dicom_node.retrieve.association import StopSwitch
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.fetch import Fetcher, Retriever
from dicom_node.retrieve.get import GetRetriever
from dicom_node.retrieve.move import MoveRetriever
from storage.files import ObjectStore
from storage.index import Index


@contextmanager
def fetchers(settings: Settings, index: Index, *, clock: Clock) -> Iterator[tuple[Fetcher, ...]]:
    """A fetcher for each peer with `query_retrieve`; the store that C-GET writes to is closed at the end."""
    if not settings.archives or not settings.priors.maximum_count:
        yield ()
        return
    store = ObjectStore(settings.data_dir)
    receiver = Receiver(settings, store, Intake(store, index), clock=clock)
    try:
        yield tuple(fetcher_for(peer, settings, index, receiver=receiver, clock=clock) for peer in settings.archives)
    finally:
        store.close()


def fetcher_for(peer: Peer, settings: Settings, index: Index, *, receiver: Receiver, clock: Clock) -> Fetcher:
    """The fetcher for one PACS, with a stop switch of its own."""
    switch = StopSwitch()
    retriever = retriever_for(peer, settings, receiver=receiver, clock=clock, switch=switch)
    return Fetcher(settings, index, peer, retriever=retriever, clock=clock, switch=switch)


def retriever_for(peer: Peer, settings: Settings, *, receiver: Receiver, clock: Clock, switch: StopSwitch) -> Retriever:
    """Who gets series from one PACS, in the way that its settings say."""
    own_aet = settings.node.ae_title
    if peer.query_retrieve == "move":
        return MoveRetriever(peer, own_aet=own_aet, switch=switch)
    audit = RetrieveAudit(audit_trail(settings, clock=clock), peer, own_aet=own_aet)
    return GetRetriever(peer, receiver, own_aet=own_aet, switch=switch, audit=audit)
