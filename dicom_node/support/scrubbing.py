"""Strikes out of log lines what could name a patient.

The log is written without patient data in the first place (docs/support.md). This is the second barrier, for what a defect or
a library may have written: only lines in the form of this node's log pass, only ASCII, and of these every word goes that the
index knows as a part of a name or an identifier, and every UID.
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from storage.known_words import KnownWords

REMOVED = "[removed]"

_LINE = re.compile(r"(\d{4}-\d\d-\d\dT[0-9:.]+Z (?:DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+): (.*)")
"""What `dicom_node.log` writes for people."""
_JSON_KEYS = {"at", "level", "logger", "message"}
"""What it writes for collectors."""
_WORD = re.compile(r"[A-Za-z0-9]+")
_DOTTED = re.compile(r"(?<![\w.])\d+(?:\.\d+){3,}(?![\w]|\.\d)")
"""Four components and more: a UID, or an address."""


@dataclass(slots=True)
class Scrubber:
    """Lets lines of the log pass, without what identifies."""

    known: KnownWords
    left_out: int = field(default=0)
    """Lines that are in no form of the log, or not ASCII."""

    def lines(self, lines: Iterable[str]) -> list[str]:
        """What passes, in order."""
        passed = [self.line(line.rstrip("\n")) for line in lines]
        self.left_out += passed.count(None)
        return [line for line in passed if line is not None]

    def line(self, line: str) -> str | None:
        """One line; None for what does not pass."""
        found = _LINE.fullmatch(_text_from_json(line) or line)
        if found is None or not line.isascii() or "\\u" in line:
            return None
        return f"{found[1]}: {self.message(found[2])}"

    def message(self, message: str) -> str:
        """The text of a line without what identifies."""
        return _WORD.sub(self._word, _DOTTED.sub(self._uid, message))

    def _word(self, found: re.Match[str]) -> str:
        return REMOVED if found[0].casefold() in self.known.words else found[0]

    def _uid(self, found: re.Match[str]) -> str:
        if found[0] not in self.known.study_instance_uids and _is_address(found[0]):
            return found[0]
        # A hash of letters, so that nothing in it is taken for a word of the index.
        return "uid-" + hashlib.sha256(found[0].encode()).hexdigest()[:16].translate(_LETTERS)


_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def is_json_line(line: str) -> bool:
    """Whether a line is one that the node writes for collectors."""
    return _text_from_json(line) is not None


def _text_from_json(line: str) -> str | None:
    """A line for collectors as one for people; None where it is none."""
    if not line.startswith("{"):
        return None
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict) or set(said) != _JSON_KEYS:
        return None
    return f"{said['at']} {said['level']} {said['logger']}: {said['message']}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
