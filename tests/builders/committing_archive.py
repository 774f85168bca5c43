"""An archive that takes objects, is asked whether it keeps them, and answers as a test tells it to."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from config.settings import Peer

AE_TITLE = "ARCHIVE"
_LONG_S = 120.0
"""Longer than the node waits for an answer."""


@dataclass(slots=True, kw_only=True)
class CommittingArchive:
    """What came, and what is answered."""

    peer: Peer
    stored: list[tuple[str, bytes]] = field(default_factory=list)
    """SOP Instance UID and encoded data set, repeats included."""
    questions: list[Dataset] = field(default_factory=list)
    action_status: int = 0x0000
    may_answer: threading.Event = field(default_factory=threading.Event)
    """Until it is set no question is answered; set from the beginning."""
    reports_at_once: bool = False
    """Whether it reports on the association of the question."""
    lost: Mapping[str, int] = field(default_factory=dict)
    """Failure reasons by SOP Instance UID, of its reports on the same association."""
    reported: list[int | None] = field(default_factory=list)
    """Status of the answer to each such report."""

    @property
    def transaction_uids(self) -> list[str]:
        """Of the questions, in order."""
        return [str(question.TransactionUID) for question in self.questions]

    def asked_for(self, number: int = -1) -> list[str]:
        """SOP Instance UIDs of a question, of the newest one."""
        return [str(item.ReferencedSOPInstanceUID) for item in self.questions[number].ReferencedSOPSequence]


@contextmanager
def committing_archive(*, sop_class_uids: Sequence[str], with_commitment: bool = True) -> Iterator[CommittingArchive]:
    """Run it on loopback."""
    ae = AE(ae_title=AE_TITLE)
    for uid in (Verification, *sop_class_uids, *([StorageCommitmentPushModel] if with_commitment else [])):
        ae.add_supported_context(uid)
    archive: CommittingArchive

    def handle_store(event: Event) -> int:
        archive.stored.append((str(event.request.AffectedSOPInstanceUID), event.encoded_dataset(include_meta=False)))
        return 0x0000

    def handle_action(event: Event) -> tuple[int, None]:
        archive.questions.append(event.action_information)
        archive.may_answer.wait(_LONG_S)
        if archive.reports_at_once:
            threading.Thread(target=_report_at_once, args=(event.assoc, archive, archive.questions[-1])).start()
        return archive.action_status, None

    handlers = [(evt.EVT_C_STORE, handle_store), (evt.EVT_N_ACTION, handle_action)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    peer = Peer(
        name="pacs",
        ae_title=AE_TITLE,
        host="127.0.0.1",
        port=server.server_address[1],
        receives_results=True,
        storage_commitment=True,
    )
    archive = CommittingArchive(peer=peer)
    archive.may_answer.set()
    try:
        yield archive
    finally:
        archive.may_answer.set()
        server.shutdown()


def report_content(transaction_uid: str, kept: Sequence[str], lost: Mapping[str, int] | None = None) -> Dataset:
    """Event Information (PS3.4 table J.3-2), put together here and not by the node."""
    content = Dataset()
    content.TransactionUID = transaction_uid
    if kept:
        content.ReferencedSOPSequence = [_item(uid) for uid in kept]
    if lost:
        content.FailedSOPSequence = [_item(uid) for uid in lost]
        for item, reason in zip(content.FailedSOPSequence, lost.values(), strict=True):
            item.FailureReason = reason
    return content


def report_to(
    port: int,
    content: Dataset,
    *,
    event_type: int = 1,
    calling_aet: str = AE_TITLE,
    change: Callable[[AE], None] = lambda _: None,
) -> int:
    """Report on an association of the archive's own, as SCP of the service; the status of the answer."""
    ae = AE(ae_title=calling_aet)
    ae.add_requested_context(StorageCommitmentPushModel, ExplicitVRLittleEndian)
    change(ae)
    roles = [build_role(StorageCommitmentPushModel, scp_role=True)]
    association = ae.associate("127.0.0.1", port, ae_title="NODE", ext_neg=roles)
    assert association.is_established
    try:
        (context,) = [one for one in association.accepted_contexts if one.abstract_syntax == StorageCommitmentPushModel]
        assert context.as_scp, "the node must accept that the archive is the SCP"
        status, _ = association.send_n_event_report(
            content, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        return int(status.Status)
    finally:
        association.release()


def _report_at_once(association: Association, archive: CommittingArchive, question: Dataset) -> None:
    """On the association of the question, after the answer to it."""
    asked = [str(item.ReferencedSOPInstanceUID) for item in question.ReferencedSOPSequence]
    lost = {uid: reason for uid, reason in archive.lost.items() if uid in asked}
    content = report_content(str(question.TransactionUID), [uid for uid in asked if uid not in lost], lost)
    threading.Event().wait(0.1)
    status, _ = association.send_n_event_report(
        content, 2 if lost else 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    archive.reported.append(int(status.Status) if "Status" in status else None)


def _item(sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item
