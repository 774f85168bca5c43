"""The batch runner of a PACS that may be asked for studies."""

from config.settings import Peer, Settings
from dicom_node.batch.run import BatchRunner
from dicom_node.clock import Clock
from dicom_node.listen.receive import Receiver
from dicom_node.retrieve.duty import archive_for
from storage.index import Index


def batch_runner_for(peer: Peer, settings: Settings, index: Index, *, receiver: Receiver, clock: Clock) -> BatchRunner:
    """The runner for one PACS."""
    return BatchRunner(settings, index, archive_for(peer, settings, receiver=receiver, clock=clock), clock=clock)
