"""Volumes cut into image planes the ways scanners store them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pipeline.study import Float64Array, Int16Array

Vector = tuple[int, int, int]
"""x, y, z in LPS."""


class StoredGeometry(StrEnum):
    """How the planes of a volume lie in the files; the anatomy is at the same LPS place in all of them."""

    STANDARD = "standard"
    """Head first supine, from the head down."""
    REVERSED = "reversed"
    """Head first supine, from the feet up."""
    FEET_FIRST = "feet-first"
    """Feet first supine, as seen from the head."""
    PRONE = "prone"
    """Head first prone: the front of the patient is at the bottom of the image."""
    ROTATED = "rotated"
    """Rows run from front to back: turned by 90 degrees in the plane."""
    CORONAL = "coronal"
    """A reformat: rows from right to left, columns from head to feet, from front to back."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredPlane:
    """One image as it is written."""

    pixels_hu: Int16Array
    """(row, column)."""
    position_mm: tuple[float, float, float]
    """Image Position (Patient): LPS of the first pixel."""
    orientation: tuple[int, ...]
    """Image Orientation (Patient)."""
    spacing_mm: tuple[float, float]
    """Between rows, between columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    row: Vector
    """Where the next pixel of a row lies."""
    column: Vector
    """Where the next row lies."""
    order: Vector
    """Where the next image lies."""
    patient_position: str


_LAYOUTS = {
    StoredGeometry.STANDARD: _Layout(row=(1, 0, 0), column=(0, 1, 0), order=(0, 0, -1), patient_position="HFS"),
    StoredGeometry.REVERSED: _Layout(row=(1, 0, 0), column=(0, 1, 0), order=(0, 0, 1), patient_position="HFS"),
    StoredGeometry.FEET_FIRST: _Layout(row=(-1, 0, 0), column=(0, 1, 0), order=(0, 0, 1), patient_position="FFS"),
    StoredGeometry.PRONE: _Layout(row=(-1, 0, 0), column=(0, -1, 0), order=(0, 0, -1), patient_position="HFP"),
    StoredGeometry.ROTATED: _Layout(row=(0, 1, 0), column=(-1, 0, 0), order=(0, 0, -1), patient_position="HFS"),
    StoredGeometry.CORONAL: _Layout(row=(1, 0, 0), column=(0, 0, -1), order=(0, 1, 0), patient_position="HFS"),
}


def patient_position(geometry: StoredGeometry) -> str:
    """Patient Position (0018,5100) that goes with a geometry (PS3.3 C.7.3.1.1.2)."""
    return _LAYOUTS[geometry].patient_position


def stored_planes(
    volume_hu: Int16Array,
    spacing_mm: tuple[float, float, float],
    origin_lps_mm: tuple[float, float, float],
    *,
    geometry: StoredGeometry,
) -> Iterator[StoredPlane]:
    """The planes of a volume (z, y, x, all ascending in LPS) in the order they are numbered."""
    layout = _LAYOUTS[geometry]
    directions = (layout.order, layout.column, layout.row)
    axes = [int(np.flatnonzero(direction)[0]) for direction in directions]
    # From (z, y, x) to (x, y, z), then to (image, row, column).
    turned = volume_hu.transpose(2, 1, 0).transpose(axes)
    flips = tuple(slice(None, None, sum(direction)) for direction in directions)
    stack = turned[flips]
    spacing, corner = np.array(spacing_mm[::-1]), _first_corner(volume_hu.shape, spacing_mm, origin_lps_mm, layout)
    step_mm = np.array(layout.order) * spacing
    for index, pixels_hu in enumerate(stack):
        position = corner + index * step_mm
        yield StoredPlane(
            pixels_hu=np.ascontiguousarray(pixels_hu),
            position_mm=(float(position[0]), float(position[1]), float(position[2])),
            orientation=(*layout.row, *layout.column),
            spacing_mm=(float(spacing[axes[1]]), float(spacing[axes[2]])),
        )


def _first_corner(
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    origin_lps_mm: tuple[float, float, float],
    layout: _Layout,
) -> Float64Array:
    """LPS of the first pixel of the first image: the far end of each axis that is stored backwards."""
    towards = np.add(np.add(layout.row, layout.column), layout.order)
    length_mm = (np.array(shape[::-1]) - 1) * spacing_mm[::-1]
    return np.asarray(np.array(origin_lps_mm) + np.where(towards < 0, length_mm, 0.0), dtype=np.float64)
