"""UIDs that are the same whenever the same result is made again."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from uuid import UUID, uuid5

from pydicom.dataset import Dataset

from dicom_node.results.context import ResultContext
from pipeline.findings import Algorithm, Findings, Side

NAMESPACE = UUID("6f0c9b1e-52b5-5d0e-9a36-0d6f7a1f2c58")
"""Drawn once for this project; it separates these UIDs from every other use of version 5."""


def derive_uid(*parts: str) -> str:
    """UID under 2.25 (PS3.5 B.2) from a version 5 UUID over `parts`; equal parts give the equal UID."""
    return f"2.25.{uuid5(NAMESPACE, chr(0).join(parts)).int}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultUids:
    """The UIDs of one result set."""

    seed: tuple[str, ...]
    """Everything that makes a result another result."""

    def derive(self, kind: str) -> str:
        """UID of the thing called `kind`, for instance `sr instance`."""
        return derive_uid("result", kind, *self.seed)


def result_uids(findings: Findings, context: ResultContext) -> ResultUids:
    """UIDs from the findings, the program, the installation and the revision.

    The findings name study, input instances, priors, algorithm and weights: the same analysis made again on this
    installation is the same object. Other findings, or another installation, are another one, also where a study that was
    deleted begins again with revision 1: an archive keeps the first copy of a SOP Instance UID and drops the second.
    """
    return ResultUids(seed=(_digest_of(findings), device_uid(context), context.software_version, str(context.revision)))


def _digest_of(findings: Findings) -> str:
    """SHA-256 over everything that the findings say, each number to its last digit."""
    text = json.dumps(asdict(findings), sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()


def lung_tracking_uid(patient: Dataset, lung: Side | None) -> str:
    """Tracking UID of one lung, or of both for None, of the patient that a source image names; stable over studies.

    Without a patient ID it is stable within the study only.
    """
    patient_id = str(patient.get("PatientID") or "")
    issuer = str(patient.get("IssuerOfPatientID") or "")
    owner = (patient_id, issuer) if patient_id else (str(patient.StudyInstanceUID),)
    return derive_uid("lung", *owner, lung.value if lung else "both")


def algorithm_uid(algorithm: Algorithm) -> str:
    """UID of an algorithm as a device: another version or other weights are another device."""
    return derive_uid("algorithm", algorithm.name, algorithm.version, algorithm.weights_sha256)


def device_uid(context: ResultContext) -> str:
    """Device Observer UID (PS3.16 TID 1004) of this installation."""
    return derive_uid("device", context.manufacturer, context.device_serial_number)
