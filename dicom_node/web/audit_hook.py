"""Where every view and every deed on the pages is told, so that an audit trail can be kept of them."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from dicom_node.audit.events import AuditedStudy
from dicom_node.journal import STUDY, study_hash

logger = logging.getLogger(__name__)

_UID_IN_PATH = re.compile(r"(?<=/studies/)[^/]+")
"""Of a page that somebody was refused."""


class Deed(StrEnum):
    """What somebody did on the pages."""

    LOGGED_IN = "logged in"
    LOGIN_REFUSED = "login refused"
    LOGGED_OUT = "logged out"
    NODE_SEEN = "page of the node seen"
    STUDIES_SEEN = "list of studies seen"
    STUDY_SEEN = "study seen"
    IMAGE_SEEN = "images of a study seen"
    STUDY_CHANGED = "study moved on by an operator"
    PEERS_SEEN = "peers seen"
    PEER_TRIED = "peer tried out"
    PEER_CHANGED = "peers changed"
    RULES_SEEN = "rules seen"
    RULES_CHANGED = "rules changed"
    SETTINGS_SEEN = "settings seen"
    HEALTH_SEEN = "health seen"
    REFUSED = "refused: not allowed to this visitor"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebEvent:
    """One view or deed."""

    deed: Deed
    by: str
    """Name of the account; empty for a visitor of this machine who is not logged in."""
    address: str
    """Where the browser is."""
    study: AuditedStudy | None = None
    """That was seen or changed; its patient is for the audit trail alone, never for the log."""
    query: str = ""
    """What was looked for; for the audit trail alone."""
    is_success: bool = True
    words: str = ""
    """What in particular, without patient data."""


Recorder: TypeAlias = Callable[[WebEvent], None]


def log_event(event: WebEvent) -> None:
    """Put an event into the log, without the patient; a study is its hash there (docs/support.md)."""
    outcome = "" if event.is_success else ": failed"
    uid = event.study.study_instance_uid if event.study else ""
    words = _UID_IN_PATH.sub(lambda found: study_hash(found[0]), event.words)
    details = " ".join(part for part in (uid and study_hash(uid), words) if part)
    about = {STUDY: uid} if uid else {}
    said = (event.deed, outcome, event.by or "visitor", event.address, details)
    logger.info("%s%s by %r from %s %s", *said, extra=about)
