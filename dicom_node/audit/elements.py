"""The parts that audit messages are made of (PS3.15 A.5.1)."""

import base64
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from dicom_node.audit.events import AuditedPatient, AuditedStudy, Party

# XML 1.0 2.2: what may not stand in a document, however it is escaped.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# PS3.15 A.5.1, NetworkAccessPointTypeCode.
_MACHINE_NAME, _IP_ADDRESS = "1", "2"
# PS3.15 A.5.1.2: ParticipantObjectTypeCode and ParticipantObjectTypeCodeRole.
_PERSON, _SYSTEM_OBJECT = "1", "2"
_ROLE_PATIENT, _ROLE_REPORT, ROLE_SECURITY_RESOURCE = "1", "3", "13"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded value."""

    value: str
    meaning: str
    scheme: str = "DCM"


# PS3.16 CID 402.
APPLICATION = Code(value="110150", meaning="Application")
APPLICATION_LAUNCHER = Code(value="110151", meaning="Application Launcher")
DESTINATION = Code(value="110152", meaning="Destination Role ID")
SOURCE = Code(value="110153", meaning="Source Role ID")
# PS3.16 CID 404, and PS3.15 A.5.1.2.4 for those of RFC 3881.
STUDY_INSTANCE_UID = Code(value="110180", meaning="Study Instance UID")
SOP_CLASS_UID = Code(value="110181", meaning="SOP Class UID")
NODE_ID = Code(value="110182", meaning="Node ID")
PATIENT_NUMBER = Code(value="2", meaning="Patient Number", scheme="RFC-3881")
URI = Code(value="12", meaning="URI", scheme="RFC-3881")


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A party in its role."""

    party: Party
    role: Code | None = None
    is_requestor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemObject:
    """Something that is neither patient nor study."""

    id: str
    id_type: Code
    role: str = _ROLE_REPORT
    name: str = ""
    query: bytes | None = None
    """In the place of a name."""
    details: tuple[tuple[str, str], ...] = ()


def text(value: str) -> str:
    """The value as it may stand in XML: what may not is shown as U+FFFD."""
    return _NOT_IN_XML.sub("\ufffd", value)


def add_code(parent: Element, name: str, code: Code) -> None:
    """Add a coded value."""
    SubElement(
        parent, name, {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": text(code.meaning)}
    )


def add_participant(parent: Element, participant: Participant) -> None:
    """Add an ActiveParticipant."""
    party = participant.party
    attributes = {"UserID": text(party.user_id), "UserIsRequestor": "true" if participant.is_requestor else "false"}
    if party.name:
        attributes["UserName"] = text(party.name)
    if party.address:
        attributes["NetworkAccessPointID"] = text(party.address)
        attributes["NetworkAccessPointTypeCode"] = _IP_ADDRESS if _is_ip(party.address) else _MACHINE_NAME
    element = SubElement(parent, "ActiveParticipant", attributes)
    if participant.role:
        add_code(element, "RoleIDCode", participant.role)


def add_study(parent: Element, study: AuditedStudy, *, what: str = "") -> None:
    """Add a study with the classes and numbers of its instances."""
    attributes = _object_attributes(study.study_instance_uid, _SYSTEM_OBJECT, _ROLE_REPORT)
    element = SubElement(parent, "ParticipantObjectIdentification", attributes)
    add_code(element, "ParticipantObjectIDTypeCode", STUDY_INSTANCE_UID)
    SubElement(element, "ParticipantObjectName").text = text(study.study_instance_uid)
    _add_details(element, (("what", what),) if what else ())
    if study.objects or study.accession_number:
        description = SubElement(element, "ParticipantObjectDescription")
        if study.accession_number:
            SubElement(description, "Accession", Number=text(study.accession_number))
        for uid, count in study.objects:
            SubElement(description, "SOPClass", UID=text(uid), NumberOfInstances=str(count))


def add_patient(parent: Element, patient: AuditedPatient, *, what: str = "") -> None:
    """Add a patient, whose ID stands with its issuer as HL7 writes it."""
    named = f"{patient.patient_id}^^^{patient.issuer}" if patient.issuer else patient.patient_id
    element = SubElement(parent, "ParticipantObjectIdentification", _object_attributes(named, _PERSON, _ROLE_PATIENT))
    add_code(element, "ParticipantObjectIDTypeCode", PATIENT_NUMBER)
    SubElement(element, "ParticipantObjectName").text = text(patient.name)
    _add_details(element, (("what", what),) if what else ())


def add_system_object(parent: Element, one: SystemObject) -> None:
    """Add anything else."""
    element = SubElement(
        parent, "ParticipantObjectIdentification", _object_attributes(one.id, _SYSTEM_OBJECT, one.role)
    )
    add_code(element, "ParticipantObjectIDTypeCode", one.id_type)
    if one.query is None:
        SubElement(element, "ParticipantObjectName").text = text(one.name)
    else:
        SubElement(element, "ParticipantObjectQuery").text = base64.b64encode(one.query).decode()
    _add_details(element, one.details)


def patients_of(studies: tuple[AuditedStudy, ...]) -> Iterator[AuditedPatient]:
    """Each patient of the studies once."""
    yield from dict.fromkeys(study.patient for study in studies if study.patient)


def _object_attributes(object_id: str, type_code: str, role: str) -> dict[str, str]:
    return {
        "ParticipantObjectID": text(object_id),
        "ParticipantObjectTypeCode": type_code,
        "ParticipantObjectTypeCodeRole": role,
    }


def _add_details(element: Element, details: tuple[tuple[str, str], ...]) -> None:
    for kind, value in details:
        SubElement(element, "ParticipantObjectDetail", type=kind, value=base64.b64encode(value.encode()).decode())


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
