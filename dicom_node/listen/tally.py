"""Counts what an association brought, for the audit trail."""

from collections import Counter

from dicom_node.audit.events import AuditedPatient, AuditedStudy
from dicom_node.listen.header import Header

_MAXIMUM_STUDIES = 1000
"""Of one association; what comes of more is in the index, and counted here without their names."""


class TransferTally:
    """Studies with their patients, and how many instances of each class came."""

    def __init__(self) -> None:
        """Nothing came yet."""
        self._studies: dict[str, AuditedStudy] = {}
        self._counts: dict[str, Counter[str]] = {}
        self.uncounted = 0
        """Instances of studies beyond the maximum."""

    def add(self, header: Header) -> None:
        """An instance was stored; the first one of a study says whose it is."""
        uid = header.study_instance_uid
        if uid not in self._studies:
            if len(self._studies) >= _MAXIMUM_STUDIES:
                self.uncounted += 1
                return
            self._studies[uid] = _study_from(header)
            self._counts[uid] = Counter()
        self._counts[uid][header.sop_class_uid] += 1

    def studies(self) -> tuple[AuditedStudy, ...]:
        """What came, in the order of its first instances."""
        return tuple(
            AuditedStudy(
                study_instance_uid=uid,
                patient=study.patient,
                accession_number=study.accession_number,
                objects=tuple(self._counts[uid].items()),
            )
            for uid, study in self._studies.items()
        )


def _study_from(header: Header) -> AuditedStudy:
    patient = AuditedPatient(
        patient_id=header.patient.patient_id, issuer=header.patient.issuer, name=header.patient_name
    )
    return AuditedStudy(
        study_instance_uid=header.study_instance_uid, patient=patient, accession_number=header.accession_number
    )
