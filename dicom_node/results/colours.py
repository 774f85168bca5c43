"""The colours of lungs and lesions, the same in segmentations and pictures."""

from typing import Final, TypeAlias

from pipeline.findings import LesionKind, Side

Rgb: TypeAlias = tuple[int, int, int]
"""Red, green, blue, 0..255."""

LUNG_RGB: Final[dict[Side, Rgb]] = {Side.RIGHT: (0, 206, 100), Side.LEFT: (0, 151, 206)}
LESION_RGB: Final[dict[LesionKind, Rgb]] = {
    LesionKind.GROUND_GLASS: (255, 210, 0),
    LesionKind.CONSOLIDATION: (230, 30, 30),
}
