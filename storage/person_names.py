"""Compares person names as two systems may write them (PS3.5 6.2.1)."""

import unicodedata
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import product

GENERATIONS = frozenset({"jr", "sr", "ii", "iii", "iv"})
"""The only suffixes that tell people apart; degrees come and go."""

_PREFIX, _SUFFIX = 3, 4
"""Places of the components of a group: family, given, middle, prefix, suffix (PS3.5 6.2.1.1)."""

_VOICE_MARKS = frozenset("\u3099\u309a")
"""Part of a kana, not an accent: か and が are two sounds."""

_WITHOUT_PARTS = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ħ": "h",
        "ŧ": "t",
        "ŋ": "n",
        "\u0131": "i",
    }
)
"""Latin letters that Unicode does not take apart into letter and accent."""

_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
"""How German and Nordic names are written where there are no such letters (ICAO Doc 9303-3, section 6)."""

_ONE_LETTER = str.maketrans(
    {"\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643", "\u0629": "\u0647", "\u0640": None, "\u30fb": " "}
)
"""Arabic letters that keyboards give in two forms (alef maksura, Farsi yeh, keheh, teh marbuta), the sign that only
stretches words (tatweel), the dot between words in katakana."""

_DASHES = "-\u2010\u2011\u2012\u2013_/"
_APOSTROPHES = "'`.\u00b4\u02bc\u2018\u2019"
_PARTING = str.maketrans(dict.fromkeys(f"^,;\u00b7\u3000{_DASHES}", " ") | dict.fromkeys(_APOSTROPHES, None))
"""What parts words, and what stands within one."""

_KATAKANA = range(0x30A1, 0x30F7)
_HIRAGANA_BELOW_KATAKANA = 0x60
"""Unicode has both kana in the same order, so far apart."""

_WORDS_OF_SCRIPTS = {
    "CJK": "ideographs",
    "HIRAGANA": "kana",
    "KATAKANA": "kana",
    "HANGUL": "hangul",
    "LATIN": "latin",
    "CYRILLIC": "cyrillic",
    "GREEK": "greek",
    "ARABIC": "arabic",
    "HEBREW": "hebrew",
    "THAI": "thai",
}
"""Script by the first word of the Unicode name of its letters."""


class NameComparison(StrEnum):
    """What two names say about each other."""

    AGREE = "agree"
    DIFFER = "differ"
    NOT_COMPARABLE = "not comparable"
    """They share neither a group nor a script: nothing says that it is the same name, nothing that it is not."""


def compare_names(one: str, other: str) -> NameComparison:
    """Whether two Person Names may be of one person; the order of the arguments does not matter.

    A name has up to three groups: alphabetic, ideographic, phonetic. If any group that both have agrees, the names do:
    a transliteration may differ. Groups agree when all words of the shorter one are in the longer one, whatever their
    order, case and accents; an initial stands for any word that it begins.

    Args:
        one: A name with its groups, decoded.
        other: Another one. An empty name agrees with everything.
    """
    if one == other:
        return NameComparison.AGREE
    groups, others = _groups(one), _groups(other)
    if not groups or not others:
        return NameComparison.AGREE
    pairs = [(left, right) for left, right in product(groups, others) if _is_comparable(left, right)]
    if not pairs:
        return NameComparison.NOT_COMPARABLE
    is_same = any(_groups_agree(left[1], right[1]) for left, right in pairs)
    return NameComparison.AGREE if is_same else NameComparison.DIFFER


def _groups(name: str) -> list[tuple[str, str]]:
    """Script and text of each group that says something."""
    readable = (_read_as_utf_8(group) for group in name.split("="))
    groups = ((_script(group), group) for group in readable)
    return [(script, group) for script, group in groups if script]


def _read_as_utf_8(text: str) -> str:
    """The text, read anew where it is UTF-8 that was declared as Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _script(group: str) -> str:
    """Script of the first letter; empty where there is neither letter nor digit."""
    text = unicodedata.normalize("NFKC", group)
    for character in filter(str.isalpha, text):
        return _WORDS_OF_SCRIPTS.get(unicodedata.name(character, "").partition(" ")[0], "other")
    return "latin" if any(map(str.isalnum, text)) else ""


def _is_comparable(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two groups are in one script, so that they can be held against each other."""
    return one[0] == other[0]


def _groups_agree(one: str, other: str) -> bool:
    """Whether two groups agree in one of their spellings."""
    return any(_words_agree(left, right) for left, right in product(_spellings(one), _spellings(other)))


def _spellings(group: str) -> Iterator[tuple[str, ...]]:
    """Words of a group, with the accents left out and with the umlauts written out."""
    lowered = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", group).casefold())
    words = " ".join(_telling_components(lowered.split("^")))
    yield _words(words)
    written_out = words.translate(_WRITTEN_OUT)
    if written_out != words:
        yield _words(written_out)


def _telling_components(components: Sequence[str]) -> list[str]:
    """Components without prefix and without those suffixes that tell nobody apart."""
    suffixes = " ".join(components[_SUFFIX:]).replace(".", " ").split()
    return [*components[:_PREFIX], *(suffix for suffix in suffixes if suffix in GENERATIONS)]


def _words(text: str) -> tuple[str, ...]:
    """Words of bare letters."""
    parted = text.translate(_ONE_LETTER).translate(_PARTING).translate(_WITHOUT_PARTS)
    letters = (letter for letter in unicodedata.normalize("NFKD", parted) if _is_letter(letter))
    bare = unicodedata.normalize("NFKC", "".join(letters)).translate(_WITHOUT_PARTS)
    return tuple("".join(map(_as_hiragana, bare)).casefold().split())


def _is_letter(character: str) -> bool:
    return character in _VOICE_MARKS or not unicodedata.combining(character)


def _as_hiragana(character: str) -> str:
    is_katakana = ord(character) in _KATAKANA
    return chr(ord(character) - _HIRAGANA_BELOW_KATAKANA) if is_katakana else character


def _words_agree(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the words of the shorter name are all in the longer one, or both are the same when written together."""
    if "".join(one) == "".join(other):
        return True
    fewer, more = sorted((list(one), list(other)), key=len)
    for word in list(fewer):
        if word in more:
            fewer.remove(word)
            more.remove(word)
    return _initials_agree(fewer, more)


def _initials_agree(fewer: Sequence[str], more: list[str]) -> bool:
    """Whether each word finds one of its own whose initial it is, or the other way round."""
    for word in fewer:
        partner = next((other for other in more if _is_initial(word, other) or _is_initial(other, word)), None)
        if partner is None:
            return False
        more.remove(partner)
    return True


def _is_initial(initial: str, word: str) -> bool:
    # In scripts without case one sign may be a whole name.
    return len(initial) == 1 and initial.islower() and word.startswith(initial)
