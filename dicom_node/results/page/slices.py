"""Key slices on the page."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicom_node.results.colours import LESION_RGB
from dicom_node.results.page.chest import WINDOW_HU, Chest, View, around, deepest, jpeg_of, outlines, slice_view
from dicom_node.results.page.fonts import Weight
from dicom_node.results.page.labels import Labels
from dicom_node.results.page.pen import BLACK, WHITE, Box, Pen, Stroke, Style
from dicom_node.results.page.words import DOT
from pipeline.findings import Lesion

LETTERS: Final = "ABCDE"
FEW, MANY = 2, len(LETTERS)
"""Pictures of slices in one and in two rows; the coronal overview makes a third or sixth."""

WELL_SHOWN: Final = 0.6
"""A lesion needs no slice of its own where another shows this much of its largest area."""

LEAST_NEAR_MM: Final = 60.0
NEAR_MARGIN_MM: Final = 12.0
SCALE_BAR_MM: Final = 50.0
CAPTION: Final = Style(size_pt=7.0, weight=Weight.SEMIBOLD, ink=WHITE)
SIDE: Final = Style(size_pt=8.0, weight=Weight.SEMIBOLD, ink=WHITE, halo=BLACK, anchor=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One picture: a slice, whole or near one lesion."""

    letter: str
    z: int
    near: Lesion | None = None


def shown_slices(chest: Chest) -> list[Shown]:
    """What is shown, whole slices from head to feet, then near views where there is room."""
    slices = sorted(_slices_of_lesions(chest) if chest.lesions else _spread_slices(chest), reverse=True)
    shown = [Shown(letter=letter, z=z) for letter, z in zip(LETTERS, slices, strict=False)]
    letters = {picture.z: picture.letter for picture in shown}
    near = [
        Shown(letter=letters[z], z=z, near=lesion)
        for lesion, z in zip(chest.lesions, chest.key_slices, strict=True)
        if z in letters
    ]
    places = MANY if len(shown) + len(near) >= MANY else FEW
    return [*shown, *near[: places - len(shown)]]


def draw_slice(pen: Pen, box: Box, chest: Chest, shown: Shown) -> None:
    """One picture with its outlines, numbers, sides and scale."""
    view = _near_view(chest, shown.near, box) if shown.near else slice_view(chest, box)
    pen.area(box, Stroke(ink=None, fill=BLACK))
    pen.picture(box, jpeg_of(chest.volume_hu[shown.z], view, box, WINDOW_HU))
    words = f"{shown.letter} {DOT} {chest.image_names[shown.z]}"
    if shown.near:
        words = f"{words} {DOT} lesion {shown.near.number}"
    taken = _furniture(box, pen.width(words, CAPTION))
    labels = Labels(pen, box, taken)
    with pen.clip(box):
        for lesion in chest.lesions:
            if chest.is_on(lesion, shown.z):
                _draw_lesion(pen, labels, chest, lesion, shown.z, (view, box))
    draw_caption(pen, box, words)
    draw_sides(pen, box, box.height / 2 + 1)
    _draw_scale(pen, box, chest.spacing_mm[2] * view.width / box.width, short=shown.near is not None)


def letters_of(chest: Chest, shown: list[Shown], lesion: Lesion) -> str:
    """The letters of the slices that show a lesion."""
    return " ".join(picture.letter for picture in shown if not picture.near and chest.is_on(lesion, picture.z))


def _draw_lesion(pen: Pen, labels: Labels, chest: Chest, lesion: Lesion, z: int, where: tuple[View, Box]) -> None:
    _, rows, columns = chest.box_of(lesion)
    mask = chest.labels[z, rows, columns] == lesion.number
    lines = outlines(mask, (rows.start, columns.start), *where)
    stroke = Stroke(ink=LESION_RGB[lesion.kind], width_pt=0.7, is_closed=True)
    for line in lines:
        pen.lines(line, stroke)
    labels.write(lesion, lines, inside=deepest(mask, (rows.start, columns.start), *where))


def _slices_of_lesions(chest: Chest) -> list[int]:
    """Key slices of the largest lesions, without those that another shows well."""
    chosen: list[int] = []
    for lesion, key_slice in zip(chest.lesions, chest.key_slices, strict=True):
        most = _area(chest, lesion, key_slice)
        if not any(_area(chest, lesion, z) >= WELL_SHOWN * most for z in chosen):
            chosen.append(key_slice)
    return chosen[:MANY]


def _area(chest: Chest, lesion: Lesion, z: int) -> int:
    _, rows, columns = chest.box_of(lesion)
    return int(np.count_nonzero(chest.labels[z, rows, columns] == lesion.number))


def _spread_slices(chest: Chest) -> list[int]:
    """Evenly over the lungs, without their very ends."""
    with_lung = np.flatnonzero(chest.lung_mask.any(axis=(1, 2)))
    places = np.linspace(with_lung[0], with_lung[-1], MANY + 2)[1:-1]
    return sorted({int(z) for z in places.round()})


def _near_view(chest: Chest, lesion: Lesion, box: Box) -> View:
    _, rows, columns = chest.box_of(lesion)
    _, row_mm, column_mm = chest.spacing_mm
    short_mm = min((rows.stop - rows.start) * row_mm, (columns.stop - columns.start) * column_mm)
    margin_mm = max(NEAR_MARGIN_MM, (LEAST_NEAR_MM - short_mm) / 2)
    ends = (rows.start, rows.stop), (columns.start, columns.stop)
    return around(*ends, (row_mm, column_mm), box, margin_mm=margin_mm)


def _furniture(box: Box, caption_mm: float) -> list[Box]:
    """Where a picture is written on already: caption, sides, scale."""
    middle = box.top + box.height / 2
    return [
        Box(left=box.left, top=box.top, width=caption_mm + 3, height=4.5),
        Box(left=box.left, top=middle - 2.5, width=4, height=5),
        Box(left=box.right - 4, top=middle - 2.5, width=4, height=5),
        Box(left=box.right - 22, top=box.bottom - 4.5, width=22, height=4.5),
    ]


def draw_caption(pen: Pen, box: Box, words: str) -> None:
    """What a picture shows, in its corner."""
    tag = Box(left=box.left, top=box.top, width=pen.width(words, CAPTION) + 3.0, height=4.6)
    pen.area(tag, Stroke(ink=None, fill=BLACK, fill_share=0.6))
    pen.text((box.left + 1.5, box.top + 3.3), words, CAPTION)


def draw_sides(pen: Pen, box: Box, from_top_mm: float) -> None:
    """Sides of the patient: pictures are in patient order, seen from the feet or from the front."""
    pen.text((box.left + 2.4, box.top + from_top_mm), "R", SIDE)
    pen.text((box.right - 2.4, box.top + from_top_mm), "L", SIDE)


def _draw_scale(pen: Pen, box: Box, mm_per_mm: float, *, short: bool) -> None:
    """A bar of 5 cm, in near views of 1 cm."""
    length_mm = SCALE_BAR_MM / 5 if short else SCALE_BAR_MM
    left, y = box.right - 2 - length_mm / mm_per_mm, box.bottom - 2
    pen.rule((left - 0.3, y), (box.right - 1.7, y), Stroke(ink=BLACK, width_pt=2.4))
    pen.rule((left, y), (box.right - 2, y), Stroke(ink=WHITE, width_pt=1.0))
    style = Style(size_pt=6.0, weight=Weight.SEMIBOLD, ink=WHITE, halo=BLACK, anchor=1.0)
    pen.text((left - 1.0, y + 0.7), f"{length_mm / 10:.0f} cm", style)
