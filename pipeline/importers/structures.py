"""What names and codes of segments, regions and labels mean to this software."""

import re
from collections.abc import Mapping, Sequence, Set
from enum import Enum

from pipeline.importers.errors import ImportOptionError


class Structure(Enum):
    """What a drawn structure is painted as."""

    RIGHT_LUNG = "right-lung"
    LEFT_LUNG = "left-lung"
    LUNGS = "lungs"
    """Both, in one."""
    GROUND_GLASS = "ground-glass"
    CONSOLIDATION = "consolidation"
    LESION = "lesion"
    """Ground-glass or consolidation, not said which."""
    OTHER_OPACITY = "other"
    NOT_KNOWN = "not-known"
    """Something else that looks like a lesion: nothing is learned there."""
    NOTHING = "nothing"


_BY_CODE = {
    ("DCM", "112120"): Structure.GROUND_GLASS,
    ("SCT", "95436008"): Structure.CONSOLIDATION,
    ("DCM", "112033"): Structure.LESION,
    ("SCT", "3341006"): Structure.RIGHT_LUNG,
    ("SCT", "44029006"): Structure.LEFT_LUNG,
    ("SCT", "39607008"): Structure.LUNGS,
    ("SRT", "T-28000"): Structure.LUNGS,
}
"""PS3.16: CID 6104, SNOMED CT, CID 6101, then CID 7151 and 4031; SRT codes are what dcmqi wrote before 2020."""

_SIDE_BY_CODE = {
    ("SCT", "24028007"): "right",
    ("SCT", "7771000"): "left",
    ("SRT", "G-A100"): "right",
    ("SRT", "G-A101"): "left",
}
"""CID 244, Laterality."""

_BY_TEXT: tuple[tuple[str, Structure], ...] = (
    (r"ground[\s_-]*glass|\bggos?\b|crazy[\s_-]*paving", Structure.GROUND_GLASS),
    (r"consolidat", Structure.CONSOLIDATION),
    (
        r"nodul|\bmass\b|tumou?r|neoplas|metasta|cancer|carcinom|sarcom|lymphom|abscess|cyst|infarct|contusion|atelecta|effusion"
        r"|fibro|scar|emphys|\bgtv|\bctv|\bptv|\bitv",
        Structure.NOT_KNOWN,
    ),
    (r"\bnon[\s-]*(infect|covid|pneumon|inflam)", Structure.NOT_KNOWN),
    (r"covid|infect|infiltrat|opacit|pneumonia|lesion", Structure.LESION),
)
"""The first that is found in the name decides; words as in TG-263 names, radiology reports and public sets.

Vessels, airways, lobes and fissures are no rule: beside a lesion they say where it is, alone they mean nothing.
"""

_DISEASE = "(?:" + "|".join(rule for rule, _ in _BY_TEXT) + r")\w*"
_TUBE = r"\b(?:vessels?|airways?|bronch(?:us|i|ograms?)|trachea|fissures?)\b"

_OF_A_TUBE = re.compile(
    rf"{_TUBE}\W+(?:of|in|inside|near|next to|around|beside|along|to|towards|through|with|feeding|supplying|draining)\b"
    rf"|{_DISEASE}[\s-]+(?:(?:feeding|bearing|supplying|draining|containing)[\s-]+)?(?:{_TUBE}|\blobes?\b)"
)
"""A vessel, an airway or a fissure that is told by the lesion at it, or a lobe by the one in it: `tumour vessels`, `bronchus in
pneumonia`, `infected lobe`. In `lobe mass` and `mass near vessel` it is the lesion that is drawn."""

_LUNG = frozenset({"lung", "lungs"})
_RIGHT, _LEFT = frozenset({"right", "rt", "r"}), frozenset({"left", "lt", "l"})
_BESIDE_LUNG = _RIGHT | _LEFT | {"both", "bilateral", "whole", "total", "all", "and", "mask", "segmentation"}
"""Words that may stand beside "lung" in the name of a whole lung; numbers may too."""

_EXCLUDES = re.compile(r"\b(?:minus|without|except|excl\w*|w/o)(?=\s|\W|$)")
"""What follows is not part of the structure."""

_TAKEN_FROM_LUNG = re.compile(r"(?:lungs\s*|lung\s+(?:right|left|rt|lt|r|l)\s*|lung\s*(?=-\s*[gcpi]tv))-")
"""A lung less what follows, as TG-263 writes it (Mayo et al. 2018): Lungs-GTV, Lung_R-PTV."""

_DENIES = re.compile(r"\b(?:no(?!\W*\d)|not|absence of|free of)\b")
"""What follows is not there; "no. 3" is a number."""

_DENIED = re.compile(r"\b\w+[\s-]+free\b(?! of)|\bunin\w+")
"""Words of what is not there: `tumour-free`, `uninfected`."""


def structure_named(name: str, chosen: Mapping[str, str]) -> Structure:
    """What a name means: what the user chose for it, else the first rule that fits, else nothing."""
    wanted = {key.casefold(): word for key, word in chosen.items()}.get(name.casefold())
    if wanted is not None:
        return structure_from_word(wanted)
    words = name.replace("_", " ").casefold()
    whole = _whole_lung(words)
    if whole is not None:
        return whole
    if _is_rest_of_lung(words):
        return Structure.NOTHING
    drawn = _DENIED.sub(" ", _DENIES.split(_EXCLUDES.split(words)[0])[0])
    if _OF_A_TUBE.search(drawn):
        return Structure.NOTHING
    return next((structure for rule, structure in _BY_TEXT if re.search(rule, drawn)), Structure.NOTHING)


def structure_coded(
    name: str,
    codes: Sequence[tuple[str, str, str]],
    chosen: Mapping[str, str],
    *,
    sides: Sequence[tuple[str, str]] = (),
) -> Structure:
    """What a coded structure means; its code counts more than its name, the user's choice more than both.

    Lungs that lack a part, by their name, mean nothing: their code cannot say so.

    Args:
        name: As its maker called it.
        codes: Scheme designator, value, meaning, most telling first.
        chosen: Names to words, from the user.
        sides: Scheme designator and value of its lateralities.
    """
    if name.casefold() in {key.casefold() for key in chosen}:
        return structure_named(name, chosen)
    if _is_rest_of_lung(name.replace("_", " ").casefold()):
        return Structure.NOTHING
    coded = next((_BY_CODE[scheme, value] for scheme, value, _ in codes if (scheme, value) in _BY_CODE), None)
    if coded is Structure.LUNGS:
        return _sided(name, sides)
    if coded is not None:
        return coded
    texts = [meaning for _, _, meaning in codes] + [name]
    found = (structure_named(text, {}) for text in texts)
    return next((structure for structure in found if structure is not Structure.NOTHING), Structure.NOTHING)


def structure_from_word(word: str) -> Structure:
    """The structure that the user means.

    Raises:
        ImportOptionError: The word is none of those known.
    """
    try:
        return Structure(word)
    except ValueError as exc:
        known = ", ".join(structure.value for structure in Structure)
        reason = f"`{word}` is no structure; known are {known}."
        raise ImportOptionError(reason) from exc


def _whole_lung(words: str) -> Structure | None:
    """Of a name with nothing but sides and numbers beside "lung"; None of any other: it may be a part, or in a lung."""
    told = _words_of(words)
    beside = told - _LUNG
    if not told & _LUNG or not beside <= _BESIDE_LUNG:
        return None
    return _lung_of(beside)


def _lung_of(words: Set[str]) -> Structure:
    """The lung of the one side that is among some words, else both."""
    sides = bool(words & _RIGHT), bool(words & _LEFT)
    return {(True, False): Structure.RIGHT_LUNG, (False, True): Structure.LEFT_LUNG}.get(sides, Structure.LUNGS)


def _words_of(text: str) -> Set[str]:
    """Without numbers and signs."""
    return set(re.findall(r"[^\W\d]+", text))


def _is_rest_of_lung(words: str) -> bool:
    """Whether the name is of a lung from which something was taken."""
    if _whole_lung(words) is not None:
        return False
    parts = _EXCLUDES.split(words)
    return bool(_TAKEN_FROM_LUNG.match(words)) or (len(parts) > 1 and _whole_lung(parts[0]) is not None)


def _sided(name: str, sides: Sequence[tuple[str, str]]) -> Structure:
    side = next((_SIDE_BY_CODE[code] for code in sides if code in _SIDE_BY_CODE), "")
    return _lung_of({side} if side else _words_of(name.replace("_", " ").casefold()))
