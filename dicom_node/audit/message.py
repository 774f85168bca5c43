"""Audit messages as XML, by the schema of PS3.15 A.5.1."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial, singledispatch
from xml.etree.ElementTree import Element, SubElement, tostring

from dicom_node.audit.elements import (
    APPLICATION,
    APPLICATION_LAUNCHER,
    DESTINATION,
    NODE_ID,
    ROLE_SECURITY_RESOURCE,
    SOP_CLASS_UID,
    SOURCE,
    URI,
    Code,
    Participant,
    SystemObject,
    add_code,
    add_participant,
    add_patient,
    add_study,
    add_system_object,
    patients_of,
    text,
)
from dicom_node.audit.events import (
    Action,
    ApplicationStarted,
    ApplicationStopped,
    AuditEvent,
    AuditLogUsed,
    BeginTransferring,
    InstancesAccessed,
    InstancesTransferred,
    LoggedIn,
    LoggedOut,
    Outcome,
    Party,
    PatientRecordUsed,
    QueryIssued,
    Searched,
    SecurityAlert,
    StudyDeleted,
)

# PS3.15 A.5.1.2.1: the node is an application server.
_APPLICATION_SERVER = "4"

_Adder = Callable[[Element], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who reports."""

    source_id: str
    """AE title of the node and name of the machine."""
    site_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What differs between kinds of messages."""

    event: Code
    """PS3.16 CID 400."""
    action: Action
    participants: tuple[Participant, ...]
    kind: Code | None = None
    """PS3.16 CID 401."""
    objects: tuple[_Adder, ...] = ()


def build_message(
    event: AuditEvent, *, at: datetime, source: Source, outcome: Outcome = Outcome.SUCCESS, words: str = ""
) -> str:
    """The message of an event, without an XML declaration.

    Args:
        event: What happened.
        at: When, aware.
        source: Who reports.
        outcome: How it ended.
        words: Why, for what did not succeed.
    """
    content = _content_of(event)
    message = Element("AuditMessage")
    attributes = {
        "EventActionCode": content.action.value,
        "EventDateTime": at.isoformat(timespec="milliseconds"),
        "EventOutcomeIndicator": str(outcome.value),
    }
    identification = SubElement(message, "EventIdentification", attributes)
    add_code(identification, "EventID", content.event)
    if content.kind:
        add_code(identification, "EventTypeCode", content.kind)
    if words:
        SubElement(identification, "EventOutcomeDescription").text = text(words)
    for participant in content.participants:
        add_participant(message, participant)
    _add_source(message, source)
    for add in content.objects:
        add(message)
    return tostring(message, encoding="unicode")


def _add_source(message: Element, source: Source) -> None:
    site = {"AuditEnterpriseSiteID": text(source.site_id)} if source.site_id else {}
    element = SubElement(message, "AuditSourceIdentification", site | {"AuditSourceID": text(source.source_id)})
    SubElement(element, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})


@singledispatch
def _content_of(event: AuditEvent) -> _Content:
    raise TypeError(type(event).__name__)


@_content_of.register
def _(event: ApplicationStarted) -> _Content:
    launcher = Participant(party=Party(user_id=event.launched_by), role=APPLICATION_LAUNCHER, is_requestor=True)
    return _Content(
        event=Code(value="110100", meaning="Application Activity"),
        kind=Code(value="110120", meaning="Application Start"),
        action=Action.EXECUTE,
        participants=(
            Participant(party=event.application, role=APPLICATION),
            *((launcher,) if event.launched_by else ()),
        ),
    )


@_content_of.register
def _(event: ApplicationStopped) -> _Content:
    return _Content(
        event=Code(value="110100", meaning="Application Activity"),
        kind=Code(value="110121", meaning="Application Stop"),
        action=Action.EXECUTE,
        participants=(Participant(party=event.application, role=APPLICATION),),
    )


@_content_of.register
def _(event: AuditLogUsed) -> _Content:
    log = SystemObject(id=event.uri, id_type=URI, role=ROLE_SECURITY_RESOURCE, name="Security Audit Log")
    return _Content(
        event=Code(value="110101", meaning="Audit Log Used"),
        action=Action.READ,
        participants=(Participant(party=event.user, is_requestor=True),),
        objects=(partial(add_system_object, one=log),),
    )


@_content_of.register
def _(event: BeginTransferring) -> _Content:
    return _transfer(event, Code(value="110102", meaning="Begin Transferring DICOM Instances"), Action.EXECUTE)


@_content_of.register
def _(event: InstancesTransferred) -> _Content:
    return _transfer(event, Code(value="110104", meaning="DICOM Instances Transferred"), Action.CREATE)


def _transfer(event: BeginTransferring | InstancesTransferred, code: Code, action: Action) -> _Content:
    return _Content(
        event=code,
        action=action,
        participants=(
            Participant(party=event.source, role=SOURCE, is_requestor=event.source_requests),
            Participant(party=event.destination, role=DESTINATION, is_requestor=not event.source_requests),
        ),
        objects=(
            *(partial(add_study, study=study) for study in event.studies),
            *(partial(add_patient, patient=patient) for patient in patients_of(event.studies)),
        ),
    )


@_content_of.register
def _(event: InstancesAccessed) -> _Content:
    return _Content(
        event=Code(value="110103", meaning="DICOM Instances Accessed"),
        action=event.action,
        participants=(Participant(party=event.user, is_requestor=True),),
        objects=(
            partial(add_study, study=event.study, what=event.what),
            *(partial(add_patient, patient=patient) for patient in patients_of((event.study,))),
        ),
    )


@_content_of.register
def _(event: StudyDeleted) -> _Content:
    return _Content(
        event=Code(value="110105", meaning="DICOM Study Deleted"),
        action=Action.DELETE,
        participants=(Participant(party=event.by, is_requestor=True),),
        objects=(
            partial(add_study, study=event.study, what=event.what),
            *(partial(add_patient, patient=patient) for patient in patients_of((event.study,))),
        ),
    )


@_content_of.register
def _(event: PatientRecordUsed) -> _Content:
    return _Content(
        event=Code(value="110110", meaning="Patient Record"),
        action=event.action,
        participants=(Participant(party=event.user, is_requestor=True),),
        objects=(partial(add_patient, patient=event.patient, what=event.what),),
    )


@_content_of.register
def _(event: QueryIssued) -> _Content:
    query = SystemObject(
        id=event.sop_class_uid,
        id_type=SOP_CLASS_UID,
        query=event.query,
        details=(("TransferSyntax", event.transfer_syntax_uid),),
    )
    return _Content(
        event=Code(value="110112", meaning="Query"),
        action=Action.EXECUTE,
        participants=(
            Participant(party=event.source, role=SOURCE, is_requestor=True),
            Participant(party=event.destination, role=DESTINATION),
        ),
        objects=(partial(add_system_object, one=query),),
    )


@_content_of.register
def _(event: Searched) -> _Content:
    query = SystemObject(id=event.uri, id_type=URI, query=event.query.encode("utf-8", "replace"))
    return _Content(
        event=Code(value="110112", meaning="Query"),
        action=Action.EXECUTE,
        participants=(
            Participant(party=event.user, role=SOURCE, is_requestor=True),
            Participant(party=event.node, role=DESTINATION),
        ),
        objects=(partial(add_system_object, one=query),),
    )


@_content_of.register
def _(event: SecurityAlert) -> _Content:
    value, meaning = event.kind.value
    subject = SystemObject(
        id=event.subject,
        id_type=NODE_ID,
        role=ROLE_SECURITY_RESOURCE,
        name=event.subject,
        details=(("Alert Description", event.description),),
    )
    return _Content(
        event=Code(value="110113", meaning="Security Alert"),
        kind=Code(value=value, meaning=meaning),
        action=Action.EXECUTE,
        participants=(
            Participant(party=event.reporter, is_requestor=True),
            Participant(party=event.performer),
        ),
        objects=(partial(add_system_object, one=subject),),
    )


@_content_of.register
def _(event: LoggedIn) -> _Content:
    return _authentication(event, Code(value="110122", meaning="Login"))


@_content_of.register
def _(event: LoggedOut) -> _Content:
    return _authentication(event, Code(value="110123", meaning="Logout"))


def _authentication(event: LoggedIn | LoggedOut, kind: Code) -> _Content:
    return _Content(
        event=Code(value="110114", meaning="User Authentication"),
        kind=kind,
        action=Action.EXECUTE,
        participants=(Participant(party=event.user, is_requestor=True), Participant(party=event.node)),
    )
