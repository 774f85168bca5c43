"""The part of the body that a series is called."""

import re
import unicodedata
from collections.abc import Sequence

_CHEST_WORDS = (
    "CHEST",
    "THORA",
    "THX",
    "TORAX",
    "TORAC",
    "TORAKS",
    "LUNG",
    "LONGEN",
    "PULM",
    "POLMON",
    "POUMON",
    "BRUST",
    "BROST",
    "COVID",
    "HRCT",
    "ГРУДН",
    "ЛЕГК",
    "胸",
    "肺",
    "흉부",
    "צדר",
    "חזה",
    "صدر",
    "رئة",
)
_SPINE_WORDS = (
    "SPINE",
    "WIRBEL",
    "COLUMNA",
    "COLUNA",
    "COLONNA",
    "RACHIS",
    "VERTEBR",
    "BWS",
    "HWS",
    "LWS",
    "ПОЗВОН",
    "椎",
)
_OTHER_WORDS = (
    "HEAD",
    "BRAIN",
    "SKULL",
    "NECK",
    "ABD",
    "PELVI",
    "KNEE",
    "FOOT",
    "HAND",
    "SINUS",
    "TEMPORAL",
    *_SPINE_WORDS,
)
"""Parts of Body Part Examined and descriptions; they order series, they never refuse one. In capitals without accents: in
English, German, Dutch, French, Italian, Spanish, Portuguese, Turkish and Polish, Swedish, Russian, Chinese and Japanese, Korean,
Hebrew, Arabic those of the chest. "Thx" is short for thorax; BWS, HWS and LWS are the parts of the spine in German."""

_OF_THE_SPINE = re.compile("THORA|TORA[CKX]|THX|BRUST|ГРУДН|胸")
"""What says of the spine which part of it, in a name that also names the spine."""

_POSTURE = re.compile(r"\b(HANDS?|ARMS?)[ _-]*(UP|DOWN|ABOVE|OVER)\b|\b(HEAD|FEET|FOOT)[ _-]*FIRST\b")
"""How the patient lay."""

_ACCENTS = re.compile("[\u0300-\u036f]")
"""Combining Diacritical Marks of Unicode."""


def region_rank(names: Sequence[str]) -> int:
    """0 called chest, 1 not called anything, 2 called another part of the body.

    By the first name that says a part: what the whole study is called holds for none of its series in particular.

    Args:
        names: In capitals, what is nearest to the series first.
    """
    for name in (_POSTURE.sub(" ", _plain(name)) for name in names):
        if any(word in _without_spine(name) for word in _CHEST_WORDS):
            return 0
        if any(word in name for word in _OTHER_WORDS):
            return 2
    return 1


def _plain(name: str) -> str:
    """The name without accents; signs that other scripts put on letters stay."""
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", name)))


def _without_spine(name: str) -> str:
    """The name, where it is one of the spine without the word that says which part."""
    return _OF_THE_SPINE.sub(" ", name) if any(word in name for word in _SPINE_WORDS) else name
