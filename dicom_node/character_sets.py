"""Text of source images, made fit to be copied into results without a loss.

Kept is one declared set without code extensions that the text keeps to, or none for ASCII; all else becomes UTF-8
(ISO_IR 192). A value that is not as declared is read by the first reading that takes all its bytes: escape sequences of
ISO 2022; a declared extension whose escape sequence is missing; UTF-8; Latin-1, where every byte is a character. So it
stays legible where it can be, and no byte is lost (docs/character-sets.md).

pydicom splits names at the byte of `=` before it decodes, which cuts Japanese names such as 俊 apart, and puts U+FFFD
for bytes that a declaration does not allow; so the bytes are decoded here, after PS3.5 6.1.2.5.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

UTF_8: Final = "ISO_IR 192"

SINGLE_BYTE_CODECS: Final = {
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "166": "tis_620",
    "203": "iso8859_15",
    "13": "shift_jis",
}
"""By the number of the registration (PS3.3 C.12.1.1.2); of Shift JIS only what it shares with JIS X 0201 occurs."""

UPPER_HALF_CODECS: Final = SINGLE_BYTE_CODECS | {"149": "euc_kr", "58": "gb2312"}
"""What the bytes from 128 up mean (G1) with each code extension that has such bytes."""

WHOLE_VALUE_CODECS: Final = {UTF_8: "utf_8", "GB18030": "gb18030", "GBK": "gbk", "ISO 2022 GBK": "gbk"}
"""Sets without code extensions, some with a second byte that looks like a backslash."""

ASCII_AT_FIRST: Final = frozenset({"", "ISO 2022 IR 6", "ISO 2022 IR 87", "ISO 2022 IR 159"})
"""First values that leave the bytes from 128 up without a meaning."""

KEPT: Final = frozenset(f"ISO_IR {number}" for number in SINGLE_BYTE_CODECS if number not in {"13", "203"}) | {UTF_8}
"""ASCII below 128, and read by everything that reads results: pydicom does not know 203."""

TOKENS: Final = re.compile(
    rb"(?P<lower_half>\x1b(?:\(B|\(J|\$B|\$@|\$\(D))|(?P<upper_half>\x1b(?:\)I|\$\)C|\$\)A|-[ABCDFGHLMTb]))"
    rb"|(?P<low>[\x00-\x1a\x1c-\x7f]+)|(?P<high>[\x80-\xff]+)"
)
"""Escape sequences (PS3.3 tables C.12-3 and C.12-4), and runs of bytes below and above 128."""

UPPER_HALF: Final = {
    b"\x1b)I": "shift_jis",
    b"\x1b$)C": "euc_kr",
    b"\x1b$)A": "gb2312",
    b"\x1b-A": "latin_1",
    b"\x1b-B": "iso8859_2",
    b"\x1b-C": "iso8859_3",
    b"\x1b-D": "iso8859_4",
    b"\x1b-F": "iso8859_7",
    b"\x1b-G": "iso8859_6",
    b"\x1b-H": "iso8859_8",
    b"\x1b-L": "iso8859_5",
    b"\x1b-M": "iso8859_9",
    b"\x1b-T": "tis_620",
    b"\x1b-b": "iso8859_15",
}
KANJI: Final = {b"\x1b$B": "iso2022_jp", b"\x1b$@": "iso2022_jp", b"\x1b$(D": "iso2022_jp_2"}

DELIMITERS: Final = frozenset(b"\t\n\f\r\\")
NAME_DELIMITERS: Final = DELIMITERS | frozenset(b"^=")
"""Where the sets of the first value are in force again (PS3.5 6.1.2.5.3)."""

ESCAPE: Final = b"\x1b"

ESCAPE_SYMBOL: Final = "\u241b"
"""Stands for an escape sequence of no known set: UTF-8 text may not hold the control character (PS3.5 6.1.3)."""

MULTIPLE_TEXT: Final = frozenset({"LO", "PN", "SH", "UC"})
"""Where a backslash parts values (PS3.5 table 6.2-1)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """A value as it is in the file."""

    dataset: Dataset
    tag: BaseTag
    vr: str
    value: bytes
    terms: tuple[str, ...]
    """What is declared for it."""
    is_declared_apart: bool
    """By the item of a sequence for itself."""


def settle_character_set(dataset: Dataset, *, beside: Sequence[str] = ()) -> None:
    """Declare one character set that holds all text of a data set as it was read.

    Args:
        dataset: Of a file.
        beside: Text that is put beside it and has to have room in the set.
    """
    terms = _declared_terms(dataset)
    texts = list(_texts(dataset, terms))
    if _is_kept(terms, texts) and all(_has_room(terms, text) for text in beside):
        if not terms:
            dataset.pop("SpecificCharacterSet", None)
        return
    for text in texts:
        decoded = decoded_text(text.value, text.terms, is_name=text.vr == "PN")
        values = decoded.split("\\") if text.vr in MULTIPLE_TEXT else [decoded]
        value = values if len(values) > 1 else values[0]
        text.dataset[text.tag] = DataElement(text.tag, text.vr, value, validation_mode=IGNORE)
        text.dataset.pop("SpecificCharacterSet", None)
    dataset.SpecificCharacterSet = UTF_8


def decoded_text(value: bytes, terms: Sequence[str], *, is_name: bool) -> str:
    """The text of a value, read by the first reading that takes all its bytes.

    Args:
        value: As in the file.
        terms: Values of Specific Character Set.
        is_name: Whether it is a Person Name.
    """
    try:
        return _as_declared(value, terms, is_name=is_name)
    except (UnicodeError, LookupError):
        pass
    extensions = [UPPER_HALF_CODECS.get(_number(term), "") for term in terms[1:]]
    for codec in (*filter(None, extensions), "utf_8"):
        try:
            return value.decode(codec).replace("\x1b", ESCAPE_SYMBOL)
        except UnicodeError:
            continue
    return value.decode("latin_1").replace("\x1b", ESCAPE_SYMBOL)


def _is_kept(terms: Sequence[str], texts: Sequence[Text]) -> bool:
    """Whether text and declaration can stay as they are."""
    if len(terms) > 1 or not KEPT.issuperset(terms):
        return False
    return not any(text.is_declared_apart for text in texts) and all(_is_as_declared(text) for text in texts)


def _has_room(terms: Sequence[str], text: str) -> bool:
    """Whether a kept set, or ASCII where none is declared, holds a text."""
    term = next(iter(terms), "")
    codec = WHOLE_VALUE_CODECS.get(term) or SINGLE_BYTE_CODECS.get(_number(term), "ascii")
    try:
        text.encode(codec)
    except UnicodeError:
        return False
    return True


def _is_as_declared(text: Text) -> bool:
    if ESCAPE in text.value:
        return False
    if text.value.isascii():
        return True
    try:
        _as_declared(text.value, text.terms, is_name=False)
    except (UnicodeError, LookupError):
        return False
    return True


def _as_declared(value: bytes, terms: Sequence[str], *, is_name: bool) -> str:
    """The text as its declaration says.

    Raises:
        UnicodeError: It is not.
        LookupError: The set is not known.
    """
    first = terms[0] if terms else ""
    if first in WHOLE_VALUE_CODECS and ESCAPE not in value:
        return value.decode(WHOLE_VALUE_CODECS[first])
    has_upper_half = first not in WHOLE_VALUE_CODECS and first not in ASCII_AT_FIRST
    upper_half = UPPER_HALF_CODECS[_number(first)] if has_upper_half else None
    return _with_extensions(value, upper_half, NAME_DELIMITERS if is_name else DELIMITERS)


def _with_extensions(value: bytes, upper_half: str | None, delimiters: frozenset[int]) -> str:
    """Text in ISO 2022 that begins with ASCII and `upper_half`.

    Raises:
        UnicodeError: There is an unknown escape sequence, or a byte that has no meaning where it stands.
    """
    kanji, upper, position, text = b"", upper_half, 0, ""
    for token in TOKENS.finditer(value):
        if token.start() != position:
            break
        position, run = token.end(), token[0]
        match token.lastgroup:
            case "lower_half":
                kanji = run if run in KANJI else b""
            case "upper_half":
                upper = UPPER_HALF[run]
            case "high":
                text += run.decode(upper or "ascii")
            case _:
                text += (kanji + run).decode(KANJI[kanji]) if kanji else run.decode("ascii")
                if upper_half and not kanji and delimiters.intersection(run):
                    upper = upper_half
    if position != len(value):
        msg = "unknown escape sequence"
        raise UnicodeError(msg)
    return text


def _declared_terms(dataset: Dataset) -> tuple[str, ...]:
    """Specific Character Set without padding; none when it is absent or empty."""
    declared = dataset.get("SpecificCharacterSet") or ()
    terms = [declared] if isinstance(declared, str) else list(declared)
    return tuple(str(term).strip() for term in terms)


def _number(term: str) -> str:
    """The registration that a term names, also where it is spelt carelessly."""
    match = re.fullmatch(r"ISO[ _-]?(?:2022[ _-]?)?IR[ _-]?(\d+)", term, re.IGNORECASE)
    return match[1] if match else ""


def _texts(dataset: Dataset, terms: tuple[str, ...], *, is_declared_apart: bool = False) -> Iterator[Text]:
    """Every value of public attributes that the character set is about, as it was read, also in sequences."""
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        vr = _vr(element)
        if tag.is_private:
            continue
        if vr == "SQ":
            for item in dataset[tag].value or ():
                own = _declared_terms(item)
                yield from _texts(item, own or terms, is_declared_apart=bool(own) or is_declared_apart)
        elif vr in CUSTOMIZABLE_CHARSET_VR and isinstance(element, RawDataElement) and element.value:
            yield Text(
                dataset=dataset,
                tag=tag,
                vr=vr,
                value=_unpadded(element.value),
                terms=terms,
                is_declared_apart=is_declared_apart,
            )


def _vr(element: DataElement | RawDataElement) -> str:
    """The VR; that of the dictionary where the file says none, or that it is unknown."""
    if element.VR in {None, "UN"} and dictionary_has_tag(element.tag):
        return dictionary_VR(element.tag)
    return element.VR or "UN"


def _unpadded(value: bytes) -> bytes:
    """Without the padding of an even length."""
    return value.rstrip(b"\0 ")
