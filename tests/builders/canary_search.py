"""The search for canaries in whatever left the node, in every form in which a text may have been written."""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from urllib.parse import quote

from builders.canaries import ABROAD, AGE, BIRTH_DATE, MARK, WEIGHT, place_of
from builders.patient_text import patient_texts

_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_SHORTEST = 5
"""Something may have cut a value: so much of the mark gives it away."""
_FEWEST_CHARACTERS = 3


def findings_in(sources: Mapping[str, bytes]) -> list[str]:
    """Each canary that is in a source: where, which attribute, what stands around it; each once."""
    found = {}
    for source, data in sources.items():
        for pattern, form in _patterns():
            for hit in pattern.finditer(data):
                what = place_of(hit[0].decode("latin-1").upper()) if form == "plain" else form
                around = data[max(0, hit.start() - 60) : hit.end() + 40]
                found.setdefault((source, what), f"{source}: {what}: {around!r}")
    return list(found.values())


def holds(data: bytes, word: str) -> bool:
    """Whether a canary is in a text in any form."""
    return any(re.search(re.escape(form), data) for form in _forms(word))


@cache
def _patterns() -> tuple[tuple[re.Pattern[bytes], str], ...]:
    plain = re.compile(re.escape(MARK[:_SHORTEST].encode()) + rb"\w*", re.IGNORECASE)
    forms = {form for text in (MARK, MARK.lower(), MARK.capitalize()) for form in _forms(text, is_plain=False)}
    rest = [(form, f"{MARK} as {form!r}") for form in sorted(forms)]
    rest += [(form, f"{text} as {form!r}") for text in _dates() for form in _forms(text)]
    rest += [(form, f"name {text} as {form!r}") for text in _foreign_names() for form in _forms(text)]
    rest += [(raw, f"name as the bytes {raw!r}") for raw in _foreign_bytes()]
    numbers = [(re.compile(rb"\b" + re.escape(text.encode()) + rb"\b"), text) for text in (AGE, WEIGHT)]
    return ((plain, "plain"), *numbers, *((re.compile(re.escape(form)), words) for form, words in rest))


def _forms(text: str, *, is_plain: bool = True) -> Iterator[bytes]:
    """A text as it may stand in a file."""
    utf8 = text.encode()
    if is_plain:
        yield utf8
    yield from (text.encode(encoding) for encoding in _WIDE)
    yield utf8.hex().encode()
    yield utf8.hex().upper().encode()
    yield "".join(f"%{byte:02X}" for byte in utf8).encode()
    yield "".join(f"&#{ord(character)};" for character in text).encode()
    yield from _base64_forms(utf8)
    if not text.isascii():
        yield from _escaped_forms(text)


def _base64_forms(data: bytes) -> Iterator[bytes]:
    """What base64 makes of it whatever stands before and behind: the characters that hold nothing but its bits."""
    for shift in range(3):
        first = -(-shift * 8 // 6)
        last = (shift + len(data)) * 8 // 6
        yield base64.b64encode(b"\0" * shift + data)[first:last]


def _escaped_forms(text: str) -> Iterator[bytes]:
    """Not ASCII: as programs escape it, and as they garble it."""
    yield quote(text).encode()
    yield quote(text).lower().encode()
    yield json.dumps(text)[1:-1].encode()
    yield text.encode("ascii", "backslashreplace")
    yield text.encode("ascii", "xmlcharrefreplace")
    yield html.escape(text).encode()
    yield repr(text.encode())[2:-1].encode()
    yield text.encode().decode("latin-1").encode()
    try:
        yield text.encode("latin-1")
        yield repr(text.encode("latin-1"))[2:-1].encode()
    except UnicodeEncodeError:
        return


def _dates() -> Iterable[str]:
    year, month, day = BIRTH_DATE[:4], BIRTH_DATE[4:6], BIRTH_DATE[6:]
    return (
        BIRTH_DATE,
        f"{year}-{month}-{day}",
        f"{day}.{month}.{year}",
        f"{month}/{day}/{year}",
        f"{day}/{month}/{year}",
    )


def _foreign_names() -> Iterator[str]:
    """Parts of names that are not ASCII."""
    whole = [text.name for text in patient_texts().values()] + list(ABROAD)
    parts = {part for name in whole for part in re.split(r"[\^= ]", name)}
    yield from sorted(part for part in parts if len(part) >= _FEWEST_CHARACTERS and not part.isascii())


def _foreign_bytes() -> Iterator[bytes]:
    """Names as they were sent, whole."""
    yield from sorted({text.name_bytes for text in patient_texts().values() if not text.name_bytes.isascii()})
