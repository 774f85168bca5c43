"""Messages of the audit trail."""

from base64 import b64decode
from xml.etree.ElementTree import Element, fromstring

import pytest

from builders.audit import CT, EVENTS, JANE, NODE, PATIENT, STUDY
from builders.audit_schema import schema_problems
from builders.clock import FakeClock
from dicom_node.audit.events import (
    Action,
    AuditedPatient,
    AuditEvent,
    InstancesTransferred,
    LoggedIn,
    Outcome,
    PatientRecordUsed,
    QueryIssued,
)
from dicom_node.audit.message import Source, build_message

AT = FakeClock().now()


def message(event: AuditEvent, *, outcome: Outcome = Outcome.SUCCESS, words: str = "") -> str:
    """The message of an event at noon."""
    return build_message(event, at=AT, source=Source(source_id="N@h", site_id="City"), outcome=outcome, words=words)


def objects(event: AuditEvent) -> list[Element]:
    """What an event is about."""
    return fromstring(message(event)).findall("ParticipantObjectIdentification")


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_follows_the_schema(event: AuditEvent) -> None:
    """PS3.15 A.5.1.1."""
    assert schema_problems(message(event)) == []


def test_every_kind_of_event_was_tried() -> None:
    """The test above looks at all of them."""
    assert {type(event) for event in EVENTS} == set(AuditEvent.__args__)


def test_the_schema_refuses_what_breaks_it() -> None:
    """The check above can fail."""
    assert schema_problems(message(EVENTS[0]).replace("EventOutcomeIndicator=", "Outcome="))


def test_transfer_says_who_what_and_whose() -> None:
    """Source, destination, classes with numbers, patient."""
    found = fromstring(message(InstancesTransferred(source=CT, destination=NODE, studies=(STUDY,))))
    parties = [(one.get("UserID"), one.find("RoleIDCode").get("csd-code")) for one in found.iter("ActiveParticipant")]
    assert parties == [("CT1", "110153"), ("DICOMNODE", "110152")]
    study, patient = found.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert [one.get("NumberOfInstances") for one in study.iter("SOPClass")] == ["12", "1"]
    assert (patient.get("ParticipantObjectID"), patient.findtext("ParticipantObjectName")) == (
        "4711^^^CITY",
        "Doe^John",
    )


def test_a_patient_of_two_studies_is_named_once() -> None:
    """However many studies were sent."""
    event = InstancesTransferred(source=CT, destination=NODE, studies=(STUDY, STUDY))
    assert [one.get("ParticipantObjectTypeCode") for one in objects(event)] == ["2", "2", "1"]


def test_query_is_kept_byte_for_byte() -> None:
    """In base 64, with its transfer syntax."""
    event = QueryIssued(
        source=NODE, destination=CT, sop_class_uid="1.2.840", query=b"\x08\x00\xff", transfer_syntax_uid="1.2.1"
    )
    (found,) = objects(event)
    assert b64decode(found.findtext("ParticipantObjectQuery")) == b"\x08\x00\xff"
    assert b64decode(found.find("ParticipantObjectDetail").get("value")) == b"1.2.1"


def test_failure_says_how_bad_and_why() -> None:
    """A login that was refused."""
    identification = fromstring(
        message(LoggedIn(user=JANE, node=NODE), outcome=Outcome.SERIOUS_FAILURE, words="wrong password")
    ).find("EventIdentification")
    assert identification.get("EventOutcomeIndicator") == "8"
    assert identification.findtext("EventOutcomeDescription") == "wrong password"


@pytest.mark.parametrize("name", ["A\x00B", "\x1b$B^X", 'Q"<&>', "\ud800", "山田^太郎", "\ufffe"])
def test_whatever_a_patient_is_called_the_message_is_xml(name: str) -> None:
    """Control characters and halves of surrogates cannot stand in XML."""
    patient = AuditedPatient(patient_id=name, name=name)
    event = PatientRecordUsed(user=JANE, action=Action.READ, patient=patient)
    assert schema_problems(message(event)) == []


def test_instant_is_written_with_its_zone() -> None:
    """A repository gets messages from several zones."""
    found = fromstring(message(PatientRecordUsed(user=JANE, action=Action.READ, patient=PATIENT)))
    assert found.find("EventIdentification").get("EventDateTime") == "2026-01-02T12:00:00.000+00:00"
