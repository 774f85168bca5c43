"""The table of lesions."""

from dataclasses import dataclass, replace
from typing import Final

from dicom_node.results.colours import LESION_RGB
from dicom_node.results.page import words
from dicom_node.results.page.chest import Chest
from dicom_node.results.page.fonts import Weight
from dicom_node.results.page.pen import GREY_INK, RULE_INK, Box, Pen, Stroke, Style
from dicom_node.results.page.slices import Shown, letters_of
from dicom_node.results.seg import KIND_NAME
from pipeline.findings import Change, Findings, GoneLesion, Lesion

TABLE_WIDTH_MM: Final = 132.0
ROW_MM: Final = 4.7
HEAD_MM: Final = 5.6
HEAD: Final = Style(size_pt=6.8, ink=GREY_INK)
CELL: Final = Style(size_pt=8.2)
STRONG: Final = replace(CELL, weight=Weight.SEMIBOLD)
QUIET: Final = replace(CELL, ink=GREY_INK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table."""

    title: str
    x_mm: float
    """From the left of the table: where its texts begin, or end."""
    anchor: float = 0.0


COLUMNS: Final = (
    Column(title="", x_mm=4.0, anchor=1.0),
    Column(title="Lesion", x_mm=9.0),
    Column(title="Kind", x_mm=20.0),
    Column(title="Side", x_mm=38.5),
    Column(title="Image", x_mm=56.0, anchor=1.0),
    Column(title="", x_mm=57.0),
    Column(title="ml", x_mm=70.5, anchor=1.0),
    Column(title="Mean HU", x_mm=82.5, anchor=1.0),
    Column(title="% of lung", x_mm=95.0, anchor=1.0),
    Column(title="Change", x_mm=98.5),
    Column(title="", x_mm=119.5, anchor=1.0),
    Column(title="", x_mm=TABLE_WIDTH_MM, anchor=1.0),
)


def draw_table(pen: Pen, box: Box, chest: Chest, findings: Findings, shown: list[Shown], *, compared_with: str) -> None:
    """As many lesions as fit, the largest first, then those that are no longer seen; the rest in a line.

    Args:
        pen: Draws.
        box: Where.
        chest: Names the images.
        findings: Of the study.
        shown: The pictures on the page.
        compared_with: Date of the study that changes are against; empty without one.
    """
    _draw_head(pen, box, compared_with)
    rows: list[Lesion | GoneLesion] = [*findings.lesions, *findings.gone_lesions]
    # A hundredth of a row for what sums of decimal fractions lose.
    room = int((box.height - HEAD_MM) / ROW_MM + 0.01)
    fitting = rows if len(rows) <= room else rows[: room - 1]
    y = box.top + HEAD_MM
    for row in fitting:
        cells = _lesion_cells(row, _images(chest, shown, row)) if isinstance(row, Lesion) else _gone_cells(row)
        _draw_row(pen, box, y, cells, row)
        y += ROW_MM
    rest = rows[len(fitting) :]
    if rest:
        pen.text((box.left + COLUMNS[1].x_mm, y + 3.4), _rest_in_words(rest), QUIET)


def height_of(findings: Findings) -> float:
    """What the whole table needs."""
    return HEAD_MM + ROW_MM * (len(findings.lesions) + len(findings.gone_lesions))


def _draw_head(pen: Pen, box: Box, compared_with: str) -> None:
    for column in COLUMNS:
        title = f"Change since {compared_with}" if column.title == "Change" and compared_with else column.title
        pen.text((box.left + column.x_mm, box.top + 3.6), title, replace(HEAD, anchor=column.anchor))
    pen.rule((box.left, box.top + 5), (box.right, box.top + 5), Stroke(width_pt=0.7))


def _draw_row(pen: Pen, box: Box, y: float, cells: list[tuple[str, Style]], row: Lesion | GoneLesion) -> None:
    for column, (text, style) in zip(COLUMNS, cells, strict=True):
        pen.text((box.left + column.x_mm, y + 3.3), text, replace(style, anchor=column.anchor))
    chip = Box(left=box.left + 5.4, top=y + 1.2, width=2.0, height=2.0)
    colour = LESION_RGB[row.kind]
    pen.area(chip, Stroke(ink=colour, fill=colour if isinstance(row, Lesion) else None), radius_mm=0.4)
    pen.rule((box.left, y + ROW_MM - 0.1), (box.right, y + ROW_MM - 0.1), Stroke(ink=RULE_INK, width_pt=0.25))


def _lesion_cells(lesion: Lesion, images: tuple[str, str]) -> list[tuple[str, Style]]:
    change = STRONG if lesion.change in {Change.NEW, Change.GROWN} else CELL
    difference, relative = words.difference(lesion)
    return [
        (str(lesion.number), STRONG),
        (_short_name(lesion.tracking_id), CELL),
        (KIND_NAME[lesion.kind], CELL),
        (lesion.side.value, CELL),
        (images[0], CELL),
        (images[1], replace(HEAD, weight=Weight.SEMIBOLD)),
        (words.volume(lesion.volume_ml), CELL),
        (words.hounsfield(lesion.mean_hu), CELL),
        (words.percent(lesion.share_of_lung_percent).removesuffix(" %"), CELL),
        (words.CHANGE_WORDS[lesion.change], change),
        (difference, CELL),
        (relative, CELL),
    ]


def _gone_cells(lesion: GoneLesion) -> list[tuple[str, Style]]:
    texts = ["", _short_name(lesion.tracking_id), KIND_NAME[lesion.kind], lesion.side.value, words.DASH, ""]
    texts += [
        words.DASH,
        words.DASH,
        words.DASH,
        "no longer seen",
        "",
        f"was {words.volume(lesion.prior_volume_ml)} ml",
    ]
    return [(text, QUIET) for text in texts]


def _images(chest: Chest, shown: list[Shown], lesion: Lesion) -> tuple[str, str]:
    """Its key slice as the source calls it, and the pictures that show it."""
    name = chest.image_names[chest.key_slices[lesion.number - 1]]
    return name.removeprefix("image ").removeprefix("frame "), letters_of(chest, shown, lesion)


def _short_name(tracking_id: str) -> str:
    """Without the word that is the title of the column."""
    return tracking_id.removeprefix("Lesion ")


def _rest_in_words(rest: list[Lesion | GoneLesion]) -> str:
    present = [lesion for lesion in rest if isinstance(lesion, Lesion)]
    gone = len(rest) - len(present)
    parts = []
    if present:
        total = words.volume(sum(lesion.volume_ml for lesion in present))
        parts.append(f"{len(present)} smaller lesions, {total} ml together")
    if gone:
        parts.append(f"{gone} no longer seen")
    return f"and {' and '.join(parts)}: see the structured report"
