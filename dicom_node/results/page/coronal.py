"""A view of the lungs from the front, which shows where the lesions and the key slices lie."""

from typing import Final

import numpy as np

from dicom_node.results.colours import LESION_RGB
from dicom_node.results.page.chest import Chest, View, around, deepest, jpeg_of, on_page, outlines
from dicom_node.results.page.labels import Labels
from dicom_node.results.page.pen import BLACK, WHITE, Box, Pen, Stroke, Style
from dicom_node.results.page.slices import CAPTION, Shown, draw_caption, draw_sides
from pipeline.study import Float64Array

DARKEST, BRIGHTEST = 2.0, 99.0
"""Percentiles of the projection that become black and white."""

MARGIN_MM: Final = 14.0
LETTER_HEIGHT_MM: Final = 2.7
MOST_NUMBERS: Final = 15
"""The largest lesions have their numbers here; with more the view would be of numbers."""
TINT: Final = 0.35


def draw_coronal(pen: Pen, box: Box, chest: Chest, shown: list[Shown]) -> None:
    """All lesions in front of each other, over the projection of the lungs; lines mark the slices that are shown."""
    heights = np.flatnonzero(chest.lung_mask.any(axis=(1, 2)))
    columns = np.flatnonzero(chest.lung_mask.any(axis=(0, 1)))
    depth, step_mm = len(chest.lung_mask), (chest.spacing_mm[0], chest.spacing_mm[2])
    # Row 0 of the picture is the highest slice.
    rows = (float(depth - 1 - heights[-1]), float(depth - heights[0]))
    view = around(rows, (columns[0], columns[-1] + 1), step_mm, box, margin_mm=MARGIN_MM)
    projection = _projection(chest)
    limits = np.percentile(projection, [DARKEST, BRIGHTEST])
    pen.area(box, Stroke(ink=None, fill=BLACK))
    pen.picture(box, jpeg_of(projection[::-1], view, box, (float(limits[0]), float(limits[1]))))
    with pen.clip(box):
        _draw_lesions(pen, box, chest, view)
        _draw_levels(pen, box, chest, view, shown)
    draw_sides(pen, box, box.height - 2)
    draw_caption(pen, box, "seen from the front")


def _projection(chest: Chest) -> Float64Array:
    """(z, x): mean density from front to back of the lungs, like a radiograph."""
    rows = np.flatnonzero(chest.lung_mask.any(axis=(0, 2)))
    part = chest.volume_hu[:, rows[0] : rows[-1] + 1]
    return np.stack([np.maximum(plane, -1000).mean(axis=0, dtype=np.float64) for plane in part])


def _draw_lesions(pen: Pen, box: Box, chest: Chest, view: View) -> None:
    caption = Box(left=box.left, top=box.top, width=26, height=4.6)
    labels = Labels(pen, box, [caption, Box(left=box.right - 6, top=box.top, width=6, height=box.height)])
    drawn = []
    for lesion in chest.lesions:
        along_z, rows, columns = chest.box_of(lesion)
        seen = (chest.labels[along_z, rows, columns] == lesion.number).any(axis=1)[::-1]
        corner = (len(chest.labels) - along_z.stop, columns.start)
        lines = outlines(seen, corner, view, box)
        colour = LESION_RGB[lesion.kind]
        for line in lines:
            pen.lines(line, Stroke(ink=colour, width_pt=0.6, fill=colour, fill_share=TINT, is_closed=True))
        drawn.append((lesion, lines, deepest(seen, corner, view, box)))
    for lesion, lines, inside in drawn[:MOST_NUMBERS]:
        labels.write(lesion, lines, inside)


def _draw_levels(pen: Pen, box: Box, chest: Chest, view: View, shown: list[Shown]) -> None:
    """A line and a letter for each whole slice."""
    style = Style(size_pt=7.0, weight=CAPTION.weight, ink=WHITE, halo=BLACK, anchor=1.0)
    lowest = box.top
    for picture in (picture for picture in shown if not picture.near):
        _, y = on_page((0.0, len(chest.labels) - picture.z - 0.5), view, box)
        pen.rule((box.left, y), (box.right - 4.5, y), Stroke(ink=WHITE, width_pt=0.35, dashes_pt=(1.5, 2.0)))
        lowest = max(y + 0.9, lowest + LETTER_HEIGHT_MM)
        pen.text((box.right - 1.5, lowest), picture.letter, style)
