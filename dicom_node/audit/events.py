"""What is worth an entry in the audit trail (PS3.15 A.5.3)."""

from dataclasses import dataclass
from enum import Enum, StrEnum


class Outcome(Enum):
    """How it ended (PS3.15 A.5.1, EventOutcomeIndicator)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


class Action(StrEnum):
    """What was done with data (PS3.15 A.5.1, EventActionCode)."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class AlertKind(Enum):
    """What a security alert is about: code and meaning of PS3.16 CID 403."""

    NODE_AUTHENTICATION = ("110126", "Node Authentication")
    """A caller was refused."""
    NETWORK_CONFIGURATION = ("110128", "Network Configuration")
    """Peers, addresses or ports were changed."""
    SECURITY_CONFIGURATION = ("110129", "Security Configuration")
    SOFTWARE_CONFIGURATION = ("110131", "Software Configuration")
    """Any other setting or the model pack was changed."""
    RESTRICTED_FUNCTION = ("110132", "Use of Restricted Function")
    """What administrators alone may do was done; with a failure, somebody tried it who may not."""
    SECURITY_ROLES = ("110136", "Security Roles Changed")
    USER_SECURITY = ("110137", "User security Attributes Changed")
    """A user was added, removed or locked, or a password changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A person or a process that takes part."""

    user_id: str
    """AE title of an application, login name of a person."""
    name: str = ""
    """What people call it."""
    address: str = ""
    """IP address, or name of a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedPatient:
    """Whose data it is."""

    patient_id: str
    issuer: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedStudy:
    """A study, and what of it is concerned."""

    study_instance_uid: str
    patient: AuditedPatient | None = None
    """None where it is not known."""
    accession_number: str = ""
    objects: tuple[tuple[str, int], ...] = ()
    """SOP class UID and how many of its instances; empty for the study as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationStarted:
    """A process of the node began (A.5.3.1)."""

    application: Party
    launched_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationStopped:
    """A process of the node ended (A.5.3.1)."""

    application: Party


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLogUsed:
    """Somebody read the audit trail (A.5.3.2)."""

    user: Party
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginTransferring:
    """Instances begin to go from one application to another (A.5.3.3)."""

    source: Party
    destination: Party
    studies: tuple[AuditedStudy, ...]
    source_requests: bool = True
    """Whether the source began it; else the destination asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesAccessed:
    """Somebody saw, changed or moved on a study (A.5.3.4)."""

    user: Party
    action: Action
    study: AuditedStudy
    what: str = ""
    """In plain words, for instance the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesTransferred:
    """Instances went from one application to another (A.5.3.5)."""

    source: Party
    destination: Party
    studies: tuple[AuditedStudy, ...]
    source_requests: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDeleted:
    """Files of a study were deleted (A.5.3.6)."""

    by: Party
    study: AuditedStudy
    what: str = ""
    """Which files and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRecordUsed:
    """Somebody saw or changed what is known about a patient (A.5.3.10)."""

    user: Party
    action: Action
    patient: AuditedPatient
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryIssued:
    """One application asked another what it has (A.5.3.12)."""

    source: Party
    destination: Party
    sop_class_uid: str
    query: bytes
    """The identifier, encoded."""
    transfer_syntax_uid: str
    """In which it is encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """Somebody looked for studies or patients in the index (A.5.3.12)."""

    user: Party
    node: Party
    uri: str
    """Page or command."""
    query: str
    """What they looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityAlert:
    """Somebody was refused, or changed what security rests on (A.5.3.11)."""

    kind: AlertKind
    reporter: Party
    performer: Party
    subject: str
    """What it is about: an AE title, a file, a setting."""
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """Somebody tried to log in (A.5.3.13); whether they did says the outcome."""

    user: Party
    node: Party


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOut:
    """Somebody logged out, or was logged out (A.5.3.13)."""

    user: Party
    node: Party


AuditEvent = (
    ApplicationStarted
    | ApplicationStopped
    | AuditLogUsed
    | BeginTransferring
    | InstancesAccessed
    | InstancesTransferred
    | StudyDeleted
    | PatientRecordUsed
    | QueryIssued
    | Searched
    | SecurityAlert
    | LoggedIn
    | LoggedOut
)
