"""A modality that asks whether the node keeps what it sent (PS3.4 J), and takes the reports that come."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from builders.listener import AE_TITLE, SENDER

_WITHIN_S = 60.0


@dataclass(slots=True, kw_only=True)
class Modality:
    """A caller that asks, and takes the reports that come."""

    port: int = 0
    """Where it listens for reports on associations of the node."""
    reports: "queue.SimpleQueue[tuple[int, Dataset]]" = field(default_factory=queue.SimpleQueue)
    status: int = 0x0000
    """What it answers to reports."""
    _unanswered: list[tuple[int, Dataset]] = field(default_factory=list)

    def handle_report(self, event: Event) -> tuple[int, None]:
        """Keep a report."""
        self.reports.put((event.event_type, event.event_information))
        return self.status, None

    def hold_report(self, event: Event) -> tuple[int, None]:
        """Keep a report when its answer is sent: whoever has it may release the association at once."""
        self._unanswered.append((event.event_type, event.event_information))
        return self.status, None

    def handle_sent(self, _: Event) -> None:
        """What was sent behind a report is its answer."""
        while self._unanswered:
            self.reports.put(self._unanswered.pop(0))

    def next_report(self) -> tuple[int, Dataset]:
        """Event type and Event Information of the next report."""
        return self.reports.get(timeout=_WITHIN_S)


@contextmanager
def listening_modality() -> Iterator[Modality]:
    """A modality that takes associations on which the node is the SCP."""
    modality = Modality()
    ae = AE(ae_title=SENDER)
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, modality.handle_report)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    modality.port = server.server_address[1]
    try:
        yield modality
    finally:
        server.shutdown()


@contextmanager
def asking(port: int, modality: Modality, *, called_aet: str = AE_TITLE) -> Iterator[Association]:
    """An association of the modality with the node."""
    ae = AE(ae_title=SENDER)
    ae.dimse_timeout = ae.network_timeout = 300  # a busy machine takes its time
    ae.add_requested_context(StorageCommitmentPushModel, ExplicitVRLittleEndian)
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    handlers = [(evt.EVT_N_EVENT_REPORT, modality.hold_report), (evt.EVT_PDU_SENT, modality.handle_sent)]
    association = ae.associate("127.0.0.1", port, ae_title=called_aet, evt_handlers=handlers)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def ask(association: Association, uid: str, *instances: tuple[str, str], action_type: int = 1) -> int:
    """Ask for instances, each a class and a UID; the status of the answer."""
    content = Dataset()
    content.TransactionUID = uid
    content.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        content.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(
        content, action_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    return int(status.Status)


def named(content: Dataset, keyword: str) -> list[str]:
    """SOP Instance UIDs of a sequence of a report."""
    return [str(item.ReferencedSOPInstanceUID) for item in content.get(keyword) or ()]
