"""The fonts of the page, all embedded, and which of them draws a character."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import metadata
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont as FontFile
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont


class Weight(StrEnum):
    """How heavy text is."""

    REGULAR = "Regular"
    SEMIBOLD = "Semibold"


OWN: Final = "font-source-sans-pro", "font_source_sans_pro/files/SourceSansPro-{}.ttf"
"""Source Sans: Latin, Greek, Cyrillic; figures of one width. SIL Open Font License 1.1."""
WIDE: Final = "matplotlib", "matplotlib/mpl-data/fonts/ttf/DejaVuSans{}.ttf"
"""DejaVu Sans: Hebrew, Arabic in its presentation forms, Armenian, Georgian, symbols. Bitstream Vera licence."""
EAST_ASIAN: Final = "noto-cjk-sans-jp-regular", "noto_cjk_sans_jp_regular/NotoSansCJKjp-Regular.otf"
"""Noto Sans CJK: Chinese, Japanese, Korean. SIL Open Font License 1.1."""
EAST_ASIAN_NAME: Final = "NotoSansCJKjp"
NO_GLYPH: Final = ".notdef"
"""The first glyph of every font (OpenType 1.9, glyf)."""
WIDE_STYLE: Final = {Weight.REGULAR: "", Weight.SEMIBOLD: "-Bold"}

UNKNOWN: Final = "?"
"""Stands for a character that no font has: better than a box, which says nothing."""

OUTLINE_ERROR: Final = 1.0
"""Of 1000 units: how far a quadratic outline may be from its cubic one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Text of one font."""

    font: str
    text: str


class Fonts:
    """The fonts of one page."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Prepare for `texts`, in the form in which they are drawn: only what they need of the large font is embedded."""
        characters = {character for text in texts for character in text}
        wanted = sorted(character for character in characters if not _in_small_fonts(character))
        self._east_asian = _registered_subset("".join(wanted)) if wanted else None

    def name(self, weight: Weight) -> str:
        """Of the font that most text is in."""
        return str(_own(weight).fontName)

    def runs(self, text: str, weight: Weight) -> list[Run]:
        """`text` cut where the font changes; what no font has is replaced."""
        chosen = [self._chosen(character, weight) for character in text]
        return [
            Run(font=font, text="".join(character for _, character in group))
            for font, group in groupby(chosen, key=lambda pair: pair[0])
        ]

    def width(self, text: str, weight: Weight, size: float) -> float:
        """Of drawn text, in the unit of `size`."""
        return sum(float(pdfmetrics.stringWidth(run.text, run.font, size)) for run in self.runs(text, weight))

    def _chosen(self, character: str, weight: Weight) -> tuple[str, str]:
        fonts = [_own(weight), _wide(weight), *([self._east_asian] if self._east_asian else [])]
        for font in fonts:
            if ord(character) in font.face.charToGlyph:
                return str(font.fontName), character
        return str(fonts[0].fontName), UNKNOWN


def _in_small_fonts(character: str) -> bool:
    return any(ord(character) in font(Weight.REGULAR).face.charToGlyph for font in (_own, _wide))


@cache
def _own(weight: Weight) -> TTFont:
    return _registered(f"page-{weight}", _path(*OWN, weight))


@cache
def _wide(weight: Weight) -> TTFont:
    return _registered(f"page-wide-{weight}", _path(*WIDE, WIDE_STYLE[weight]))


def _path(distribution: str, place: str, style: str = "") -> Path:
    """Of a font in an installed distribution, without importing that."""
    return Path(str(metadata.distribution(distribution).locate_file(place.format(style))))


def _registered(name: str, source: Path | BytesIO) -> TTFont:
    font = TTFont(name, source if isinstance(source, BytesIO) else str(source))
    pdfmetrics.registerFont(font)
    return font


@cache
def _registered_subset(characters: str) -> TTFont:
    """These characters of the East Asian font."""
    # The library tells fonts apart by the name inside, so other characters need another.
    name = f"{EAST_ASIAN_NAME}-{hashlib.sha256(characters.encode()).hexdigest()[:8]}"
    return _registered(f"page-{name}", BytesIO(_truetype_part(_path(*EAST_ASIAN), characters, name)))


def _truetype_part(path: Path, characters: str, name: str) -> bytes:
    """A TrueType font with these characters of a PostScript one, whose kind of outline the PDF library cannot embed."""
    with FontFile(path, lazy=True) as source:
        known = source.getBestCmap()
        character_map = {ord(letter): known[ord(letter)] for letter in characters if ord(letter) in known}
        order = [NO_GLYPH, *dict.fromkeys(character_map.values())]
        part = FontBuilder(source["head"].unitsPerEm, isTTF=True)
        part.setupGlyphOrder(order)
        part.setupCharacterMap(character_map)
        outlines, metrics = source.getGlyphSet(), source["hmtx"]
        part.setupGlyf({glyph: _quadratic(outlines, glyph) for glyph in order})
        part.setupHorizontalMetrics({glyph: metrics[glyph] for glyph in order})
        part.setupHorizontalHeader(ascent=source["hhea"].ascent, descent=source["hhea"].descent)
    part.setupNameTable({"familyName": EAST_ASIAN_NAME, "styleName": "Regular", "psName": name})
    part.setupOS2()
    part.setupPost(keepGlyphNames=False)
    # No time of making in it: the same characters give the same bytes.
    part.updateHead(created=0, modified=0)
    part.font.recalcTimestamp = False
    buffer = BytesIO()
    part.save(buffer)
    return buffer.getvalue()


def _quadratic(outlines: Any, name: str) -> object:
    pen = TTGlyphPen(None)
    outlines[name].draw(Cu2QuPen(pen, OUTLINE_ERROR, reverse_direction=True))
    return pen.glyph()
