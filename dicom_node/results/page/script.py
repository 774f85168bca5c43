"""Text of any script in the order and the forms in which it is drawn, for a drawer that knows neither."""

import re
import unicodedata
from typing import Final

import arabic_reshaper
from pydicom.valuerep import PersonName

RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
"""Bidirectional classes of Hebrew and Arabic letters (Unicode Standard Annex 9, table 4)."""
NUMBER: Final = re.compile(r"\d+(?:[./:-]\d+)*")
MIRRORED: Final = str.maketrans("()[]<>{}", ")(][><}{")


def drawn_form(text: str) -> str:
    """`text` from left to right as it is seen: Arabic letters joined, runs of Hebrew and Arabic turned around.

    A small part of Unicode Standard Annex 9, with lines that run from left to right: enough for names and captions.
    """
    text = arabic_reshaper.reshape(unicodedata.normalize("NFC", _without_controls(text)))
    classes = [unicodedata.bidirectional(letter) for letter in text]
    pieces: list[str] = []
    start = 0
    while start < len(text):
        end = _end_of_run(classes, start)
        pieces.append(_turned(text[start:end]) if classes[start] in RIGHT_TO_LEFT else text[start:end])
        start = end
    return "".join(pieces)


def person_names(name: PersonName | str | None) -> tuple[str, ...]:
    """A name as people write it: in the patient's own script, as it sounds, in Latin letters; those that there are."""
    if not name:
        return ()
    parts = name if isinstance(name, PersonName) else PersonName(str(name))
    groups = (
        _family_and_given(parts.ideographic, " "),
        _family_and_given(parts.phonetic, " "),
        _family_and_given(parts.alphabetic, ", "),
    )
    return tuple(dict.fromkeys(group for group in groups if group))


def _family_and_given(group: str, between: str) -> str:
    """Family name first; given and middle names after it, prefix and suffix last (PS3.5 6.2.1)."""
    family, given, middle, prefix, suffix = (*(part.strip() for part in group.split("^")), *[""] * 5)[:5]
    called = " ".join(part for part in (given, middle) if part)
    name = between.join(part for part in (family, called) if part)
    return " ".join(part for part in (name, prefix, suffix) if part)


def _without_controls(text: str) -> str:
    """Line breaks and tabs become spaces, other control characters go."""
    spaced = re.sub(r"\s+", " ", text).strip()
    return "".join(letter for letter in spaced if unicodedata.category(letter) not in {"Cc", "Cf"})


def _end_of_run(classes: list[str], start: int) -> int:
    """Where a run ends that begins here: one of right-to-left letters with what lies between them, or up to one."""
    if classes[start] not in RIGHT_TO_LEFT:
        return next((at for at in range(start, len(classes)) if classes[at] in RIGHT_TO_LEFT), len(classes))
    stop = next((at for at in range(start, len(classes)) if classes[at] == "L"), len(classes))
    return 1 + max(at for at in range(start, stop) if classes[at] in RIGHT_TO_LEFT)


def _turned(run: str) -> str:
    """The run from its last letter to its first; marks stay behind their letters, numbers are read as before."""
    letters = re.findall(r"\d+(?:[./:-]\d+)*|.", run)
    clusters: list[str] = []
    for letter in letters:
        if clusters and unicodedata.combining(letter[0]):
            clusters[-1] += letter
        else:
            clusters.append(letter if NUMBER.fullmatch(letter) else letter.translate(MIRRORED))
    return "".join(reversed(clusters))
