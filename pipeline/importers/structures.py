"""What names and codes of segments, regions and labels mean to this software."""

import re
from collections.abc import Mapping, Sequence
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
    (r"vessel|airway|bronch|trache|lobe|fissure", Structure.NOTHING),
    (
        r"nodul|\bmass\b|tumou?r|neoplas|metasta|atelecta|effusion|fibro|scar|emphys|\bgtv|\bctv|\bptv",
        Structure.NOT_KNOWN,
    ),
    (r"non[\s_-]*infect", Structure.NOT_KNOWN),
    (r"covid|infect|infiltrat|opacit|pneumonia|lesion", Structure.LESION),
    (r"\b(right|rt|r)\b.*\blungs?\b|\blungs?\b.*\b(right|rt|r)\b", Structure.RIGHT_LUNG),
    (r"\b(left|lt|l)\b.*\blungs?\b|\blungs?\b.*\b(left|lt|l)\b", Structure.LEFT_LUNG),
    (r"\blungs?\b", Structure.LUNGS),
)
"""The first that is found in the name decides; words as in TG-263 names, radiology reports and public sets."""


def structure_named(name: str, chosen: Mapping[str, str]) -> Structure:
    """What a name means: what the user chose for it, else the first rule that fits, else nothing."""
    wanted = {key.casefold(): word for key, word in chosen.items()}.get(name.casefold())
    if wanted is not None:
        return structure_from_word(wanted)
    words = name.replace("_", " ").casefold()
    return next((structure for rule, structure in _BY_TEXT if re.search(rule, words)), Structure.NOTHING)


def structure_coded(
    name: str,
    codes: Sequence[tuple[str, str, str]],
    chosen: Mapping[str, str],
    *,
    sides: Sequence[tuple[str, str]] = (),
) -> Structure:
    """What a coded structure means; its code counts more than its name, the user's choice more than both.

    Args:
        name: As its maker called it.
        codes: Scheme designator, value, meaning, most telling first.
        chosen: Names to words, from the user.
        sides: Scheme designator and value of its lateralities.
    """
    if name.casefold() in {key.casefold() for key in chosen}:
        return structure_named(name, chosen)
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


def _sided(name: str, sides: Sequence[tuple[str, str]]) -> Structure:
    side = next((_SIDE_BY_CODE[code] for code in sides if code in _SIDE_BY_CODE), "")
    by_name = structure_named(f"{side} lung" if side else name, {})
    return by_name if by_name in {Structure.RIGHT_LUNG, Structure.LEFT_LUNG} else Structure.LUNGS
