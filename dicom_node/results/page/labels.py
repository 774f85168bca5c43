"""Numbers beside lesions, where they cover neither each other nor what else is written on a picture."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from dicom_node.results.colours import LESION_RGB
from dicom_node.results.page.fonts import Weight
from dicom_node.results.page.pen import BLACK, Box, Pen, Point, Style
from pipeline.findings import Lesion, LesionKind

SIZE_PT: Final = 7.0
HEIGHT_MM: Final = 2.2
GAP_MM: Final = 0.5
LABEL_RGB: Final = LESION_RGB | {LesionKind.CONSOLIDATION: (255, 128, 118)}
"""As the outlines, but a red that can be read when small."""
LEAST_DEPTH_MM: Final = 4.0
"""A number inside a lesion hides little of it from this depth on."""
DIRECTIONS: Final = (
    (0.7, -0.7),
    (-0.7, -0.7),
    (0.7, 0.7),
    (-0.7, 0.7),
    (1.0, 0.0),
    (-1.0, 0.0),
    (0.0, -1.0),
    (0.0, 1.0),
)
"""From a lesion to its number: right and down."""
EDGE_MM: Final = 0.8
"""Kept free at the edge of a picture."""


class Labels:
    """The labels of one picture."""

    def __init__(self, pen: Pen, box: Box, taken: Iterable[Box] = ()) -> None:
        """Write into `box`, and not where it is taken."""
        self._pen = pen
        self._box = box
        self._taken = list(taken)

    def write(self, lesion: Lesion, outlines: Sequence[Sequence[Point]], inside: tuple[Point, float]) -> bool:
        """The number of a lesion: in it where it is large, else beside it; False where there is no room.

        Args:
            lesion: With its number and kind.
            outlines: On the page.
            inside: Its deepest point on the page, and how deep that is in mm.
        """
        style = Style(size_pt=SIZE_PT, weight=Weight.SEMIBOLD, ink=LABEL_RGB[lesion.kind], halo=BLACK)
        width = self._pen.width(str(lesion.number), style)
        for centre in _centres(outlines, inside, width):
            place = Box(left=centre[0] - width / 2, top=centre[1] - HEIGHT_MM / 2, width=width, height=HEIGHT_MM)
            if self._is_free(place):
                self._taken.append(place)
                self._pen.text((place.left, place.bottom - 0.2), str(lesion.number), style)
                return True
        return False

    def _is_free(self, place: Box) -> bool:
        box = self._box
        inside = (
            box.left + EDGE_MM <= place.left
            and place.right <= box.right - EDGE_MM
            and box.top + EDGE_MM <= place.top
            and place.bottom <= box.bottom - EDGE_MM
        )
        return inside and not any(_meet(place, other) for other in self._taken)


def _centres(outlines: Sequence[Sequence[Point]], inside: tuple[Point, float], width: float) -> Iterator[Point]:
    """Where the middle of a label may lie, the best place first."""
    deepest, depth_mm = inside
    if depth_mm >= LEAST_DEPTH_MM:
        yield deepest
    points = [point for outline in outlines for point in outline]
    for right, down in DIRECTIONS:
        x, y = max(points, key=lambda point: right * point[0] + down * point[1])
        yield x + right * (width / 2 + GAP_MM), y + down * (HEIGHT_MM / 2 + GAP_MM)


def _meet(first: Box, second: Box) -> bool:
    apart = (
        first.right < second.left or second.right < first.left or first.bottom < second.top or second.bottom < first.top
    )
    return not apart
