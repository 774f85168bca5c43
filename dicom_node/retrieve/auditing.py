"""What questions and retrievals leave in the audit trail."""

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from config.settings import Peer
from dicom_node.audit.events import AuditedStudy, InstancesTransferred, Party, QueryIssued
from dicom_node.audit.trail import Recorder


class RetrieveAudit:
    """Writes down what one PACS is asked, and what it sends on our own association."""

    def __init__(self, trail: Recorder, peer: Peer, *, own_aet: str) -> None:
        """Write into a trail."""
        self._trail = trail
        self._peer = Party(user_id=peer.query_ae_title or peer.ae_title, name=peer.name, address=peer.host)
        self._own = Party(user_id=own_aet)

    def note_query(self, query: Dataset, sop_class_uid: str) -> None:
        """The PACS is about to be asked."""
        encoded = encode(query, is_implicit_vr=True, is_little_endian=True) or b""
        event = QueryIssued(
            source=self._own,
            destination=self._peer,
            sop_class_uid=sop_class_uid,
            query=encoded,
            transfer_syntax_uid=ImplicitVRLittleEndian,
        )
        self._trail.record(event)

    def note_transfer(self, studies: tuple[AuditedStudy, ...]) -> None:
        """The PACS sent these over the association that asked for them (C-GET)."""
        if studies:
            event = InstancesTransferred(
                source=self._peer, destination=self._own, studies=studies, source_requests=False
            )
            self._trail.record(event)
