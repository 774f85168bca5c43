"""Boxes that somebody drew round other disease than ours: there nothing is known, and nothing is learned."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pipeline.study import BoolArray

logger = logging.getLogger(__name__)

MARGIN_MM = 12.0
"""About a box: what a tumour does to the lung around it."""

SLICE_MARGIN_MM = 8.0

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


def read_marked_boxes(folder: Path) -> dict[str, tuple[Box, ...]]:
    """All boxes of PASCAL-VOC files below a folder, by SOP Instance UID, which is each file's name."""
    boxes: dict[str, tuple[Box, ...]] = {}
    for path in sorted(folder.rglob("*.xml")):
        found = _boxes_of_file(path)
        if found:
            boxes[path.stem] = (*boxes.get(path.stem, ()), *found)
    return boxes


def marked_region(
    uids: Sequence[str],
    boxes: Mapping[str, tuple[Box, ...]],
    *,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
) -> BoolArray:
    """True in and around the boxes of a series whose slices (Z, Y, X) have these SOP Instance UIDs."""
    region = np.zeros(shape, bool)
    reach = max(1, round(SLICE_MARGIN_MM / spacing_mm[0]))
    rows, columns = (round(MARGIN_MM / mm) for mm in spacing_mm[1:])
    for index, uid in enumerate(uids):
        for left, top, right, bottom in boxes.get(uid, ()):
            slices = slice(max(0, index - reach), index + reach + 1)
            region[
                slices,
                max(0, int(top) - rows) : max(0, int(bottom) + rows + 1),
                max(0, int(left) - columns) : max(0, int(right) + columns + 1),
            ] = True
    return region


def _boxes_of_file(path: Path) -> tuple[Box, ...]:
    try:
        root = ElementTree.parse(path).getroot()
        return tuple(_box(element) for element in root.iter("bndbox"))
    except (ElementTree.ParseError, ValueError):
        logger.warning("%s holds no boxes that can be read; passed over", path.name)
        return ()


def _box(element: ElementTree.Element) -> Box:
    """Raises ValueError where a side is missing or no number."""
    left, top, right, bottom = (float(element.findtext(side, "")) for side in ("xmin", "ymin", "xmax", "ymax"))
    return left, top, right, bottom
