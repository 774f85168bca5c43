"""What deliveries of results leave in the audit trail."""

from collections import Counter
from collections.abc import Sequence

from config.settings import Peer
from dicom_node.audit.events import (
    AuditedPatient,
    AuditedStudy,
    BeginTransferring,
    InstancesTransferred,
    Outcome,
    Party,
)
from dicom_node.audit.trail import Recorder
from storage.index import Index
from storage.records import DueDelivery, StudyView


class DeliveryAudit:
    """Writes down that results begin to go to a destination, then which it took and which not."""

    def __init__(self, trail: Recorder, index: Index, peer: Peer, *, own_aet: str) -> None:
        """Write into a trail."""
        self._trail = trail
        self._index = index
        self._peer = Party(user_id=peer.ae_title, name=peer.name, address=peer.host)
        self._own = Party(user_id=own_aet)
        self._taken: list[DueDelivery] = []
        self._not_taken: list[DueDelivery] = []

    def begin(self, due: Sequence[DueDelivery]) -> None:
        """An association was opened for these."""
        self._taken, self._not_taken = [], []
        self._trail.record(BeginTransferring(source=self._own, destination=self._peer, studies=self._studies_of(due)))

    def note(self, delivery: DueDelivery, *, was_taken: bool) -> None:
        """The destination answered."""
        (self._taken if was_taken else self._not_taken).append(delivery)

    def end(self) -> None:
        """The association is over."""
        for deliveries, outcome in ((self._taken, Outcome.SUCCESS), (self._not_taken, Outcome.MINOR_FAILURE)):
            if deliveries:
                words = "" if outcome is Outcome.SUCCESS else "not taken by the destination"
                studies = self._studies_of(deliveries)
                event = InstancesTransferred(source=self._own, destination=self._peer, studies=studies)
                self._trail.record(event, outcome=outcome, words=words)

    def _studies_of(self, deliveries: Sequence[DueDelivery]) -> tuple[AuditedStudy, ...]:
        counts: dict[str, Counter[str]] = {}
        for delivery in deliveries:
            counts.setdefault(delivery.study_instance_uid, Counter())[delivery.file.sop_class_uid] += 1
        return tuple(
            study_from(self._index.study(uid), uid, objects=tuple(classes.items())) for uid, classes in counts.items()
        )


def study_from(view: StudyView | None, uid: str, *, objects: tuple[tuple[str, int], ...] = ()) -> AuditedStudy:
    """A study as the trail names it; of one that the index does not have only the UID is known."""
    if view is None:
        return AuditedStudy(study_instance_uid=uid, objects=objects)
    patient = AuditedPatient(
        patient_id=view.patient.patient_id, issuer=view.patient.issuer, name=view.demographics.patient_name
    )
    return AuditedStudy(
        study_instance_uid=uid, patient=patient, accession_number=view.accession_number, objects=objects
    )
