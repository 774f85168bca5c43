"""Finds messages in an audit trail by time, event, user and study."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

from dicom_node.audit.elements import STUDY_INSTANCE_UID
from dicom_node.audit.reading import BEGINNING, lines_behind


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which messages are wanted; what is empty is not looked at."""

    since: datetime | None = None
    until: datetime | None = None
    """Not included."""
    event: str = ""
    """A part of the meaning or type of the event, or its code; capitals do not matter."""
    user: str = ""
    """A part of the ID or name of somebody who takes part; capitals do not matter."""
    study: str = ""
    """Study Instance UID."""

    def fits(self, entry: "AuditEntry") -> bool:
        """Whether a message is wanted."""
        return (
            (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
            and (not self.event or _contains((entry.event, entry.kind, entry.code), self.event))
            and (not self.user or _contains(entry.users, self.user))
            and (not self.study or self.study in entry.studies)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One message of the trail."""

    number: int
    at: datetime
    event: str
    """Meaning of its code (PS3.16 CID 400)."""
    code: str
    kind: str
    """Meaning of its type (PS3.16 CID 401); empty where it has none."""
    action: str
    """C, R, U, D or E (PS3.15 A.5.1)."""
    outcome: int
    """0 success, 4 minor, 8 serious, 12 major failure."""
    words: str
    """Why, for what did not succeed."""
    users: tuple[str, ...]
    """IDs and names of all who take part."""
    studies: tuple[str, ...]
    """Study Instance UIDs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditListing:
    """What `audit list --json` prints."""

    entries: tuple[AuditEntry, ...]
    """Oldest first."""
    unreadable: int
    """Lines whose message is none: `audit verify` says more."""


def list_trail(folder: Path, wanted: AuditFilter, *, limit: int) -> AuditListing:
    """The newest messages that fit, oldest first.

    Raises:
        OSError: The trail cannot be read.
    """
    entries: list[AuditEntry] = []
    unreadable = 0
    for read in lines_behind(folder, BEGINNING):
        try:
            entry = entry_from(read.line.number, read.line.message)
        except (ParseError, ValueError, KeyError):
            unreadable += 1
            continue
        if wanted.fits(entry):
            entries.append(entry)
    return AuditListing(entries=tuple(entries[-limit:]), unreadable=unreadable)


def entry_from(number: int, message: str) -> AuditEntry:
    """A message as people look for it.

    Raises:
        ParseError: It is no XML.
        ValueError: It is no message of PS3.15 A.5.1.
        KeyError: Likewise.
    """
    root = fromstring(message)
    identification = root.find("EventIdentification")
    if identification is None:
        raise ValueError
    event, kind = identification.find("EventID"), identification.find("EventTypeCode")
    return AuditEntry(
        number=number,
        at=datetime.fromisoformat(identification.attrib["EventDateTime"]),
        event=_attribute(event, "originalText"),
        code=_attribute(event, "csd-code"),
        kind=_attribute(kind, "originalText"),
        action=identification.attrib["EventActionCode"],
        outcome=int(identification.attrib["EventOutcomeIndicator"]),
        words=identification.findtext("EventOutcomeDescription", ""),
        users=tuple(_users(root)),
        studies=tuple(_studies(root)),
    )


def _users(root: Element) -> Iterator[str]:
    for participant in root.findall("ActiveParticipant"):
        yield from filter(None, (participant.get("UserID"), participant.get("UserName")))


def _studies(root: Element) -> Iterator[str]:
    for found in root.findall("ParticipantObjectIdentification"):
        if _attribute(found.find("ParticipantObjectIDTypeCode"), "csd-code") == STUDY_INSTANCE_UID.value:
            yield found.attrib["ParticipantObjectID"]


def _attribute(element: Element | None, name: str) -> str:
    return "" if element is None else element.get(name, "")


def _contains(texts: tuple[str, ...], part: str) -> bool:
    return any(part.casefold() in text.casefold() for text in texts)
