"""The batch runners of a worker, one for each PACS that may be asked for studies."""

from collections.abc import Iterator
from contextlib import contextmanager

from config.settings import Settings
from dicom_node.batch.run import BatchRunner
from dicom_node.clock import Clock
from dicom_node.listen.intake import Intake
from dicom_node.listen.receive import Receiver
from dicom_node.retrieve.association import StopSwitch
from dicom_node.retrieve.duty import retriever_for
from storage.files import ObjectStore
from storage.index import Index


@contextmanager
def batch_runners(settings: Settings, index: Index, *, clock: Clock) -> Iterator[tuple[BatchRunner, ...]]:
    """A runner for each peer with `query_retrieve`; the store that C-GET writes to is closed at the end."""
    if not settings.archives:
        yield ()
        return
    store = ObjectStore(settings.data_dir)
    receiver = Receiver(settings, store, Intake(store, index), clock=clock)
    runners = []
    for peer in settings.archives:
        switch = StopSwitch()
        retriever = retriever_for(peer, settings, receiver=receiver, clock=clock, switch=switch)
        runners.append(BatchRunner(settings, index, peer, retriever=retriever, clock=clock, switch=switch))
    try:
        yield tuple(runners)
    finally:
        store.close()
