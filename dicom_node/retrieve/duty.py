"""The fetchers of a worker, one for each PACS that is asked for earlier studies."""

from pathlib import Path

from config.settings import Peer, Settings
from dicom_node.audit.trail import audit_trail
from dicom_node.clock import Clock
from dicom_node.listen.intake import Intake
from dicom_node.listen.receive import Receiver
from dicom_node.retrieve.archive import Archive, Retriever
from dicom_node.retrieve.association import StopSwitch
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.fetch import Fetcher
from dicom_node.retrieve.get import GetRetriever
from dicom_node.retrieve.move import MoveRetriever
from storage.files import ObjectStore
from storage.index import Index


class FetchStore:
    """What C-GET writes to; opened when the first peer is asked for earlier studies."""

    def __init__(self, data_dir: Path, index: Index) -> None:
        """Nothing is open yet."""
        self._data_dir = data_dir
        self._index = index
        self._store: ObjectStore | None = None
        self._intake: Intake | None = None

    def receiver(self, settings: Settings, *, clock: Clock) -> Receiver:
        """Takes objects into the store, by the limits of these settings."""
        if self._store is None or self._intake is None:
            self._store = ObjectStore(self._data_dir, owner="work")
            self._store.sweep()
            self._intake = Intake(self._store, self._index)
        return Receiver(settings, self._store, self._intake, clock=clock)


def fetcher_for(peer: Peer, settings: Settings, index: Index, *, receiver: Receiver, clock: Clock) -> Fetcher:
    """The fetcher for one PACS."""
    return Fetcher(settings, index, archive_for(peer, settings, receiver=receiver, clock=clock), clock=clock)


def archive_for(peer: Peer, settings: Settings, *, receiver: Receiver, clock: Clock) -> Archive:
    """One PACS with a stop switch of its own, got from in the way that its settings say; C-GET writes to the receiver."""
    own_aet, switch = settings.node.ae_title, StopSwitch()
    audit = RetrieveAudit(audit_trail(settings, clock=clock), peer, own_aet=own_aet)
    retriever: Retriever
    if peer.query_retrieve == "move":
        retriever = MoveRetriever(peer, own_aet=own_aet, switch=switch)
    else:
        retriever = GetRetriever(peer, receiver, own_aet=own_aet, switch=switch, audit=audit)
    return Archive(settings, peer, retriever=retriever, switch=switch, audit=audit)
