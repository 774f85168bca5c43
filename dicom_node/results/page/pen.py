"""Draws text, lines and pictures onto a page in millimetres from its upper left corner."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Final, TypeAlias

from reportlab.lib.colors import Color
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from dicom_node.results.colours import Rgb
from dicom_node.results.page.fonts import Fonts, Weight
from dicom_node.results.page.script import drawn_form

POINTS_PER_MM: Final = 72.0 / 25.4
PAGE_WIDTH_MM: Final = 210.0
PAGE_HEIGHT_MM: Final = 297.0
"""A4 (ISO 216)."""

Point: TypeAlias = tuple[float, float]
"""Millimetres to the right and down."""

INK: Final[Rgb] = (24, 28, 33)
GREY_INK: Final[Rgb] = (104, 112, 121)
RULE_INK: Final[Rgb] = (206, 211, 216)
WHITE: Final[Rgb] = (255, 255, 255)
BLACK: Final[Rgb] = (0, 0, 0)
ELLIPSIS: Final = "\u2026"


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How text looks."""

    size_pt: float
    weight: Weight = Weight.REGULAR
    ink: Rgb = INK
    anchor: float = 0.0
    """Which part of the text is at its place: 0 its left end, 0.5 its middle, 1 its right end."""
    halo: Rgb | None = None
    """Colour of an edge around the letters, so that they show on any picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A part of the page."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Where it ends."""
        return self.top + self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """How lines and areas look."""

    ink: Rgb | None = RULE_INK
    width_pt: float = 0.5
    fill: Rgb | None = None
    fill_share: float = 1.0
    """How much of what lies below an area is covered."""
    dashes_pt: tuple[float, ...] = ()
    is_closed: bool = False


class Pen:
    """Draws onto one page."""

    def __init__(self, canvas: Canvas, fonts: Fonts) -> None:
        """Draw onto `canvas`, which is of A4."""
        self._canvas = canvas
        self._fonts = fonts

    def text(self, place: Point, text: str, style: Style) -> float:
        """Write one line at a base line; returns its width in mm."""
        drawn = drawn_form(text)
        width_pt = self._fonts.width(drawn, style.weight, style.size_pt)
        x = place[0] * POINTS_PER_MM - style.anchor * width_pt
        y = _from_below(place[1])
        if style.halo:
            self._letters((x, y), drawn, replace(style, ink=style.halo), edge_pt=1.4)
        self._letters((x, y), drawn, style)
        return width_pt / POINTS_PER_MM

    def fitted(self, text: str, style: Style, width_mm: float) -> str:
        """`text`, or its beginning and three dots where it is too wide."""
        if self.width(text, style) <= width_mm:
            return text
        kept = text
        while kept and self.width(kept + ELLIPSIS, style) > width_mm:
            kept = kept[:-1]
        return kept.rstrip() + ELLIPSIS

    def wrapped(self, text: str, style: Style, width_mm: float) -> list[str]:
        """`text` in lines of at most that width; a word that is wider is cut."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if self.width(longer, style) <= width_mm or not lines[-1]:
                lines[-1] = longer
            else:
                lines.append(word)
        return [self.fitted(line, style, width_mm) for line in lines]

    def width(self, text: str, style: Style) -> float:
        """Of one line, in mm."""
        return self._fonts.width(drawn_form(text), style.weight, style.size_pt) / POINTS_PER_MM

    def lines(self, points: Sequence[Point], stroke: Stroke) -> None:
        """Join points."""
        path = self._canvas.beginPath()
        path.moveTo(points[0][0] * POINTS_PER_MM, _from_below(points[0][1]))
        for x, y in points[1:]:
            path.lineTo(x * POINTS_PER_MM, _from_below(y))
        if stroke.is_closed:
            path.close()
        self._draw(path, stroke)

    def rule(self, start: Point, end: Point, stroke: Stroke | None = None) -> None:
        """A straight line, thin and grey."""
        self.lines([start, end], stroke or Stroke())

    def area(self, box: Box, stroke: Stroke, *, radius_mm: float = 0.0) -> None:
        """A rectangle."""
        path = self._canvas.beginPath()
        left, bottom = box.left * POINTS_PER_MM, _from_below(box.bottom)
        width, height = box.width * POINTS_PER_MM, box.height * POINTS_PER_MM
        path.roundRect(left, bottom, width, height, radius_mm * POINTS_PER_MM)
        self._draw(path, stroke)

    def dot(self, centre: Point, radius_mm: float, fill: Rgb) -> None:
        """A filled circle."""
        path = self._canvas.beginPath()
        path.circle(centre[0] * POINTS_PER_MM, _from_below(centre[1]), radius_mm * POINTS_PER_MM)
        self._draw(path, Stroke(ink=None, fill=fill))

    def picture(self, box: Box, jpeg: bytes) -> None:
        """A picture that fills a box."""
        self._canvas.drawImage(
            ImageReader(BytesIO(jpeg)),
            box.left * POINTS_PER_MM,
            _from_below(box.bottom),
            box.width * POINTS_PER_MM,
            box.height * POINTS_PER_MM,
        )

    def clip(self, box: Box) -> "Clip":
        """While this is open, nothing is drawn outside of a box."""
        return Clip(self._canvas, box)

    def _letters(self, place_pt: Point, drawn: str, style: Style, edge_pt: float = 0.0) -> None:
        text = self._canvas.beginText(*place_pt)
        text.setFillColor(_colour(style.ink))
        text.setStrokeColor(_colour(style.ink))
        # Text rendering modes of ISO 32000-1 9.3.6: 2 fills and strokes.
        text.setTextRenderMode(2 if edge_pt else 0)
        self._canvas.setLineWidth(edge_pt)
        self._canvas.setLineJoin(1)
        for run in self._fonts.runs(drawn, style.weight):
            text.setFont(run.font, style.size_pt)
            text.textOut(run.text)
        self._canvas.drawText(text)

    def _draw(self, path: object, stroke: Stroke) -> None:
        self._canvas.saveState()
        self._canvas.setLineWidth(stroke.width_pt)
        self._canvas.setLineJoin(1)
        self._canvas.setDash(list(stroke.dashes_pt))
        if stroke.ink:
            self._canvas.setStrokeColor(_colour(stroke.ink))
        if stroke.fill:
            self._canvas.setFillColor(_colour(stroke.fill, stroke.fill_share))
        # Even-odd, so that a hole that is drawn along stays one.
        self._canvas.drawPath(path, stroke=int(bool(stroke.ink)), fill=int(bool(stroke.fill)), fillMode=0)
        self._canvas.restoreState()


class Clip:
    """Nothing is drawn outside of a box while this is open."""

    def __init__(self, canvas: Canvas, box: Box) -> None:
        """Keep both."""
        self._canvas = canvas
        self._box = box

    def __enter__(self) -> None:
        """Begin."""
        box = self._box
        path = self._canvas.beginPath()
        left, bottom = box.left * POINTS_PER_MM, _from_below(box.bottom)
        path.rect(left, bottom, box.width * POINTS_PER_MM, box.height * POINTS_PER_MM)
        self._canvas.saveState()
        self._canvas.clipPath(path, stroke=0, fill=0)

    def __exit__(self, *_: object) -> None:
        """End."""
        self._canvas.restoreState()


def _from_below(y_mm: float) -> float:
    """PDF counts points upwards."""
    return (PAGE_HEIGHT_MM - y_mm) * POINTS_PER_MM


def _colour(rgb: Rgb, alpha: float = 1.0) -> Color:
    return Color(*(value / 255 for value in rgb), alpha=alpha)
