"""Which pieces of a lesion mask cannot be lesions, by their shape and place alone."""

import numpy as np
from scipy import ndimage

from pipeline.study import BoolArray

TOUCHING = np.ones((3, 3, 3), np.uint8)
"""Voxels that share a corner belong to one piece."""

SHEET_MM = 10.0
"""Thicker than a layer of voxels that the dome of the diaphragm fills in part, over the width that breathing blurs."""

SHEET_SHARE = 0.5
"""Of a piece, that lies so against the upper or lower border of the lung."""

SHEET_FLATNESS = 3.0
"""Width by thickness. Small lesions on the pleura are rounder; they were lost without this."""


def without_sheets(lesion: BoolArray, lungs: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """The mask without wide thin pieces that lie on the upper or lower border of the lung.

    There the voxels hold lung and diaphragm, liver or chest wall, and look like consolidation. On 12 healthy phantom studies
    at 2.5 mm this lowered the involvement that the first demo weights claimed from 0.31 to 0.02 % (median; mean 0.83 to 0.62 %);
    on 12 diseased ones mean Dice rose from 0.46 to 0.49, and 96 instead of 98 of 125 lesions were met; of the six real
    series at hand the share claimed fell in three and rose in none. Dropping every piece of a single slice as well lost
    two more lesions for little gain, so that is not done.

    Args:
        lesion: (z, y, x) in patient order, within the lungs.
        lungs: The same shape.
        spacing_mm: Along z, y, x.
    """
    pieces, count = ndimage.label(lesion, TOUCHING)
    keep = np.ones(count + 1, np.bool_)
    keep[0] = False
    shown = np.pad(lungs, ((1, 1), (0, 0), (0, 0)), mode="edge")
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        around = shown[box[0].start : box[0].stop + 2, box[1], box[2]]
        keep[number] = not _is_sheet(pieces[box] == number, around, spacing_mm)
    kept: BoolArray = keep[pieces]
    return kept


def _is_sheet(piece: BoolArray, lungs: BoolArray, spacing_mm: tuple[float, float, float]) -> bool:
    """Whether a piece is wide, thin and lies on the border; the lungs have one slice more at both ends."""
    z_mm, y_mm, x_mm = spacing_mm
    heights = piece.sum(axis=0)
    columns = int(np.count_nonzero(heights))
    thickness_mm = float(heights.sum()) / columns * z_mm
    if np.sqrt(columns * y_mm * x_mm) < SHEET_FLATNESS * thickness_mm:
        return False
    first = piece.argmax(axis=0)
    last = len(piece) - 1 - piece[::-1].argmax(axis=0)
    below = np.take_along_axis(lungs, first[None], axis=0)[0]
    above = np.take_along_axis(lungs, last[None] + 2, axis=0)[0]
    lies_on_border = (heights * z_mm <= SHEET_MM) & (below != above)
    return float(heights[lies_on_border].sum()) >= SHEET_SHARE * float(heights.sum())
