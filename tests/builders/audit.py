"""An audit trail and what is written into it."""

from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

from builders.clock import FakeClock
from dicom_node.audit.chain import parse_line, raw_lines, trail_files
from dicom_node.audit.events import (
    Action,
    AlertKind,
    ApplicationStarted,
    ApplicationStopped,
    AuditedPatient,
    AuditedStudy,
    AuditEvent,
    AuditLogUsed,
    BeginTransferring,
    InstancesAccessed,
    InstancesTransferred,
    LoggedIn,
    LoggedOut,
    Party,
    PatientRecordUsed,
    QueryIssued,
    Searched,
    SecurityAlert,
    StudyDeleted,
)
from dicom_node.audit.message import Source
from dicom_node.audit.trail import AuditTrail

NODE = Party(user_id="DICOMNODE", address="node1")
CT = Party(user_id="CT1", address="10.0.0.7")
JANE = Party(user_id="jane", name="Jane Roe")
PATIENT = AuditedPatient(patient_id="4711", issuer="CITY", name="Doe^John")
STUDY = AuditedStudy(
    study_instance_uid="1.2.3",
    patient=PATIENT,
    accession_number="A1",
    objects=(("1.2.840.10008.5.1.4.1.1.2", 12), ("1.2.840.10008.5.1.4.1.1.7", 1)),
)

EVENTS: tuple[AuditEvent, ...] = (
    ApplicationStarted(application=NODE, launched_by="root"),
    ApplicationStopped(application=NODE),
    AuditLogUsed(user=JANE, uri="file:///var/lib/dicom-node/audit"),
    BeginTransferring(source=CT, destination=NODE, studies=(STUDY,)),
    InstancesAccessed(user=JANE, action=Action.READ, study=STUDY, what="study show"),
    InstancesTransferred(source=CT, destination=NODE, studies=(STUDY,)),
    StudyDeleted(by=NODE, study=STUDY, what="received objects, older than 30 days"),
    PatientRecordUsed(user=JANE, action=Action.UPDATE, patient=PATIENT, what="patient merge"),
    QueryIssued(source=NODE, destination=CT, sop_class_uid="1.2", query=b"\x00\xff", transfer_syntax_uid="1.2.1"),
    Searched(user=JANE, node=NODE, uri="dicom-node:study/list", query="Doe"),
    SecurityAlert(
        kind=AlertKind.NODE_AUTHENTICATION, reporter=NODE, performer=CT, subject="DICOMNODE", description="refused"
    ),
    LoggedIn(user=JANE, node=NODE),
    LoggedOut(user=JANE, node=NODE),
)


def build_trail(folder: Path, *, maximum_file_bytes: int = 1_000_000, clock: FakeClock | None = None) -> AuditTrail:
    """A trail in the folder."""
    source = Source(source_id="DICOMNODE@node1", site_id="City")
    return AuditTrail(folder, source, maximum_file_bytes=maximum_file_bytes, clock=clock or FakeClock())


def messages_in(folder: Path) -> list[str]:
    """Every message of a trail, oldest first."""
    lines = [parse_line(raw) for path in trail_files(folder) for raw in raw_lines(path)]
    return [line.message for line in lines if line]


def recorded(folder: Path, meaning: str) -> list[Element]:
    """The messages of a trail whose event has this meaning."""
    found = [fromstring(message) for message in messages_in(folder)]
    return [one for one in found if one.find("EventIdentification/EventID").get("originalText") == meaning]
