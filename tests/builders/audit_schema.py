"""The schema of audit messages, PS3.15 A.5.1.1, in RELAX NG's compact form."""

from functools import cache

from lxml.etree import RelaxNG, fromstring
from rnc2rng import dumps, loads

_SCHEMA = """
datatypes xsd = "http://www.w3.org/2001/XMLSchema-datatypes"
start = element AuditMessage {
  element EventIdentification { Event },
  element ActiveParticipant { Participant }+,
  element AuditSourceIdentification { Source },
  element ParticipantObjectIdentification { Object }*
}
Other = attribute codeSystemName { xsd:token }, attribute displayName { xsd:token }?, attribute originalText { xsd:token }
Coded = attribute csd-code { xsd:token }, Other
Event = element EventID { Coded }, element EventTypeCode { Coded }*,
  attribute EventActionCode { "C" | "R" | "U" | "D" | "E" }?,
  attribute EventDateTime { xsd:dateTime },
  attribute EventOutcomeIndicator { "0" | "4" | "8" | "12" },
  element EventOutcomeDescription { text }?
Source = attribute AuditEnterpriseSiteID { xsd:token }?, attribute AuditSourceID { xsd:token },
  element AuditSourceTypeCode { attribute csd-code { xsd:token }, Other? }*
Participant = element RoleIDCode { Coded }*,
  element MediaIdentifier { element MediaType { Coded } }?,
  attribute UserID { text }, attribute AlternativeUserID { text }?, attribute UserName { text }?,
  attribute UserIsRequestor { xsd:boolean },
  attribute NetworkAccessPointID { xsd:token }?,
  attribute NetworkAccessPointTypeCode { "1" | "2" | "3" | "4" | "5" }?
Pair = attribute type { xsd:token }, attribute value { xsd:base64Binary }
Description = element MPPS { attribute UID { xsd:token } }*,
  element Accession { attribute Number { xsd:token } }*,
  element SOPClass {
    element Instance { attribute UID { xsd:token } }*,
    attribute UID { xsd:token }?, attribute NumberOfInstances { xsd:integer }
  }*,
  element ParticipantObjectContainsStudy { element StudyIDs { attribute UID { xsd:token } }* }?,
  element Encrypted { xsd:boolean }?, element Anonymized { xsd:boolean }?
Object = element ParticipantObjectIDTypeCode { Coded },
  (element ParticipantObjectName { xsd:token } | element ParticipantObjectQuery { xsd:base64Binary }),
  element ParticipantObjectDetail { Pair }*,
  element ParticipantObjectDescription { Description }*,
  attribute ParticipantObjectID { xsd:token },
  attribute ParticipantObjectTypeCode { "1" | "2" | "3" | "4" }?,
  attribute ParticipantObjectTypeCodeRole { xsd:positiveInteger { maxInclusive = "26" } }?,
  attribute ParticipantObjectDataLifeCycle { xsd:positiveInteger { maxInclusive = "15" } }?,
  attribute ParticipantObjectSensitivity { xsd:token }?
"""


@cache
def _schema() -> RelaxNG:
    return RelaxNG(fromstring(dumps(loads(_SCHEMA)).encode()))


def schema_problems(message: str | bytes) -> list[str]:
    """What of a message breaks the schema."""
    schema = _schema()
    schema.validate(fromstring(message))
    return [entry.message for entry in schema.error_log]
