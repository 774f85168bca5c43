"""How far what is shown of the lungs reaches around lesions."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from pipeline.study import BoolArray, UInt16Array

EDGE_MM = 12.0
"""Along rows and along columns from where a circle of reconstruction cuts the lungs. The bundled networks, which learned on
whole lungs, miss lesions there: of what they found of a phantom's lesions in whole slices they found 3 to 40 % within 10 mm of
a circle of 190 mm, 50 to 80 % at 10 to 20 mm, and more than 80 % from there on."""

_REACH = 2
"""Voxels from an end that count: at the end itself less of a lesion is found."""


def well_shown(shown: BoolArray, lungs: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """What is shown and does not lie within `EDGE_MM` of lung that is not, in the same slice.

    Args:
        shown: (z, y, x) in patient order.
        lungs: The same shape, as far as anything shows them.
        spacing_mm: Along z, y, x.
    """
    well = shown.copy()
    edge = [round(EDGE_MM / step) for step in spacing_mm[1:]]
    for slices, *across in ndimage.find_objects(lungs.view(np.uint8)):
        rows, columns = (slice(max(0, part.start - 1), part.stop + 1) for part in across)
        cut = slices.start + np.flatnonzero(~shown[slices, rows, columns].all(axis=(1, 2)))
        beyond = _widened(lungs[cut, rows, columns], [1, 1]) & ~shown[cut, rows, columns]
        well[cut, rows, columns] &= ~_widened(beyond, edge)
    return well


def _widened(mask: BoolArray, voxels: Sequence[int]) -> BoolArray:
    """By so many along rows and columns."""
    down, across = (2 * count + 1 for count in voxels)
    wide: BoolArray = ndimage.maximum_filter(mask.view(np.uint8), (1, down, across), mode="constant") > 0
    return wide


def cut_off(labels: UInt16Array, boxes: Sequence[tuple[slice, ...] | None], shown: BoolArray) -> BoolArray:
    """By number, from 0, which is none: whether what is shown ends within the lesion.

    Args:
        labels: (z, y, x), lesions by number.
        boxes: Around each lesion, from number 1; None where a number has no voxels.
        shown: The same shape as the labels. Slices end, and so do the circles of reconstructions.
    """
    cut = np.zeros(len(boxes) + 1, np.bool_)
    for number, box in enumerate(boxes, start=1):
        cut[number] = box is not None and _is_cut_off(labels[box] == number, _around(shown, box))
    return cut


def _around(shown: BoolArray, box: tuple[slice, ...]) -> BoolArray:
    """What is shown in a box and `_REACH` voxels on each of its sides; beyond the ends of the array nothing is."""
    wide = tuple(slice(max(0, part.start - _REACH), part.stop + _REACH) for part in box)
    beyond = [
        (max(0, _REACH - part.start), max(0, part.stop + _REACH - size))
        for part, size in zip(box, shown.shape, strict=True)
    ]
    return np.pad(shown[wide], beyond)


def _is_cut_off(lesion: BoolArray, around: BoolArray) -> bool:
    """Whether it reaches an end of what is shown with a section that is no smaller than its mean one along that axis.

    Of a ball, a tenth of the volume lies beyond such a section.

    Args:
        lesion: Within its box.
        around: Where something is shown, `_REACH` voxels more on each side.
    """
    if around.all():
        return False
    inside = lesion & _beside(around, axis=0, steps=0)
    sections: list[int] = [
        _section_at_end(inside, around, axis=axis, step=step) * lesion.shape[axis]
        for axis in range(lesion.ndim)
        for step in (-1, 1)
    ]
    return bool(max(sections) >= np.count_nonzero(inside))


def _section_at_end(inside: BoolArray, around: BoolArray, *, axis: int, step: int) -> int:
    """Voxels of a lesion at the end of what is shown in one direction, or a step before if there are more; 0 if it ends before."""
    first, second = (_beside(around, axis=axis, steps=count * step) for count in (1, _REACH))
    at_end = int(np.count_nonzero(inside & ~first))
    return max(at_end, int(np.count_nonzero(inside & first & ~second))) if at_end else 0


def _beside(around: BoolArray, *, axis: int, steps: int) -> BoolArray:
    """What is shown so many steps from each voxel of the box in the middle."""
    middle = [slice(_REACH, size - _REACH) for size in around.shape]
    middle[axis] = slice(_REACH + steps, around.shape[axis] - _REACH + steps)
    return around[tuple(middle)]
