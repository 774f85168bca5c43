"""The contrast phase of a CT series, by its header."""

import re
from enum import IntEnum


class ContrastPhase(IntEnum):
    """Better for the network first: it learned from scans without contrast, which raises the density of what it finds."""

    NATIVE = 0
    UNKNOWN = 1
    """Nothing says that contrast was given."""
    ARTERIAL = 2
    """Also pulmonary arterial: the lungs are shown as early as can be."""
    VENOUS = 3
    GIVEN = 4
    """Contrast was given, when is not known."""
    LATE = 5

    @property
    def words(self) -> str:
        """In a sentence."""
        return _WORDS[self]


_WORDS = {
    ContrastPhase.NATIVE: "without contrast",
    ContrastPhase.UNKNOWN: "no word of contrast",
    ContrastPhase.ARTERIAL: "arterial contrast phase",
    ContrastPhase.VENOUS: "venous contrast phase",
    ContrastPhase.GIVEN: "with contrast",
    ContrastPhase.LATE: "late contrast phase",
}

_DESCRIPTION: tuple[tuple[ContrastPhase, str], ...] = (
    (
        ContrastPhase.NATIVE,
        r"\b(NATIVE?|NATIV\w*|UNENHANCED|NON[ -]?(CON\w*|CE)|WITHOUT( CONTRAST| IV)?|PLAIN|W ?/? ?O"
        r"|NO( IV)? CONTRAST|PRE[ -]?CONTRAST|(OHNE|SANS|SIN|SENZA) (IV |I\.V\. )?(KM|KONTR\w*|CONTR\w*|INJ\w*|PRODUIT|PDC|MDC))\b"
        r"|\bC-(?!\w)",
    ),
    (ContrastPhase.LATE, r"\b(LATE|DELAY\w*|EQUILIB\w*|SPAET|SPÄT\w*)\b"),
    (ContrastPhase.ARTERIAL, r"\b(ART|ARTERIAL|ARTERIELL|CTPA|CTA|ANGIO\w*|PULM\w* ART\w*)\b"),
    (ContrastPhase.VENOUS, r"\b(VEN|VENOUS|VENOES|VENÖS|PORTAL\w*|PV)\b"),
    (ContrastPhase.GIVEN, r"\b(CONTRASTE?|MIT KM|AVEC INJ\w*|POST[ -]?(KM|IV)|WITH IV|CE)\b|\bPOST\W*$|\bC\+"),
)
"""In Series Description, whose underscores stand for spaces; the first that fits counts. POST by itself is after an operation
or an infection as well."""

_NO_AGENT = re.compile(
    r"[\W_0X]*|N|N[ /.]?A\.?"
    r"|((NO|NONE|NOT|NIL|NULL|WITHOUT|W ?/? ?O|OHNE|SANS|SIN|SENZA|KEIN\w*|AUCUN\w*|NATIVE?|NATIV\w*|UNENHANCED)\b|NON[ -]?CON).*"
    r"|(ANON|DE-?IDENT|REMOVED|REDACTED|UNKNOWN|UNBEKANNT)\w*"
)
"""What stands in Contrast/Bolus Agent (0018,0010) where none was given, or where an anonymiser left no word of it."""


def named_agent(agent: str) -> str:
    """Contrast/Bolus Agent in capitals; empty where it says that none was given, or says nothing."""
    word = agent.strip().upper()
    return "" if _NO_AGENT.fullmatch(word) else word


def contrast_phase(description: str, agent: str) -> ContrastPhase:
    """The phase by Series Description, else whether a Contrast/Bolus Agent is named.

    A native scan before contrast often carries the agent of the whole examination, so the description comes first.
    """
    text = description.upper().replace("_", " ")
    named = next((phase for phase, pattern in _DESCRIPTION if re.search(pattern, text)), None)
    if named is not None:
        return named
    return ContrastPhase.GIVEN if named_agent(agent) else ContrastPhase.UNKNOWN
