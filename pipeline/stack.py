"""Whether the slices of a series make one even volume."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.study import Float64Array, SliceHeader

FEWEST_SLICES = 10
"""Fewer are a sample of the chest, not a volume: the spatial layers of the network look along the slices."""

WIDEST_SPACING_MM = 10.0
"""Between slices further apart small lesions disappear and shapes cannot be linked (facts of the design, 2.1)."""

GAP_FACTOR = 1.5
"""A distance this many times the usual one is a missing slice."""

FEWEST_STEPS = 3
"""Of one length, to be a block of slices of its own spacing."""

UNEVEN_SHARE = 0.1
UNEVEN_MM = 0.12
"""Distances may differ by the larger of the two; scanners that round positions to 0.1 mm are off by up to 0.1 mm."""

SAME_POSITION_MM = 0.05
"""Positions closer than this are one position: thinner slices than 0.2 mm are not made of a chest."""

LARGEST_TILT_DEGREES = 0.5
LARGEST_DRIFT_MM = 0.5
"""A stack leans only when it leans by more than both; the second forgives rounded positions in thin stacks."""

LARGEST_CORRECTED_DEGREES = 31.0
"""Gantries tilt to 30 degrees."""

LARGEST_STEP_ASIDE_MM = 1.0
"""How far one slice may lie beside the line through the stack."""

SAME_DIRECTION = 1e-3
"""Largest difference of direction cosines within one plane; scanners write four to six digits."""

LARGEST_COSINE_ERROR = 0.02
"""Of the squared length of a direction from 1, and of the product of the two from 0 (PS3.3 C.7.6.2.1.1: unit vectors, at right
angles): directions rounded to two digits are off by up to 0.018, those of scanners by far less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """Slices sorted along the normal, with their positions."""

    slices: tuple[SliceHeader, ...]
    positions_mm: Float64Array
    """(n, 3), LPS."""
    normal: Float64Array
    """(3,), row x column direction of the first slice (PS3.3 C.7.6.2.1.1)."""
    heights_mm: Float64Array
    """(n,), along the normal, never falling."""

    @property
    def spacing_mm(self) -> float:
        """Usual distance of neighbouring slices; 0 when all lie at one place or there is one only."""
        return float(np.median(np.diff(self.heights_mm))) if len(self.slices) > 1 else 0.0


def rounded_mm(length_mm: float) -> float:
    """To 0.01 mm, before it is held against a limit: positions of oblique slices make 5 mm a little more or less."""
    return round(length_mm, 2)


def slice_normal(header: SliceHeader) -> Float64Array:
    """Unit vector in LPS, row x column direction; zero when the directions make no plane."""
    row, column = np.array(header.image_orientation[:3]), np.array(header.image_orientation[3:])
    normal = np.cross(row, column)
    length = float(np.linalg.norm(normal))
    return normal / length if length > SAME_DIRECTION else np.zeros(3)


def build_stack(slices: Sequence[SliceHeader]) -> Stack:
    """Sort slices along their normal; equal heights by number, UID and frame, so that file order never matters."""
    first = min(slices, key=lambda header: (header.sop_instance_uid, header.frame_number or 0))
    normal = slice_normal(first)

    def sort_key(header: SliceHeader) -> tuple[float, int, str, int]:
        height = round(float(normal @ np.array(header.image_position_mm)) / SAME_POSITION_MM)
        return height, header.instance_number or 0, header.sop_instance_uid, header.frame_number or 0

    ordered = tuple(sorted(slices, key=sort_key))
    positions = np.array([header.image_position_mm for header in ordered], dtype=np.float64)
    return Stack(slices=ordered, positions_mm=positions, normal=normal, heights_mm=positions @ normal)


def shares_plane(stack: Stack) -> bool:
    """Whether all slices lie in parallel planes of the same size, so that their heights can be compared."""
    return not _plane_fault(stack)


def repeated_places(stack: Stack) -> int:
    """How many slices lie where one before them lies."""
    return int(np.sum(np.diff(stack.heights_mm) <= SAME_POSITION_MM))


def stack_faults(stack: Stack, *, corrects_tilt: bool = False) -> tuple[str, ...]:
    """What keeps the slices from being a volume, in plain words; empty when nothing does.

    The checks on positions mean something only for slices that share one plane, so they come after it.

    Args:
        stack: The slices.
        corrects_tilt: Whether a gantry tilt is straightened later, and so is no fault.
    """
    plane = _plane_fault(stack)
    if plane:
        return (plane,)
    checks: tuple[Callable[[Stack], str], ...] = (
        _place_fault,
        _lean_fault if corrects_tilt else _tilt_fault,
        _shift_fault,
        _spacing_fault,
        _count_fault,
    )
    return tuple(fault for fault in (check(stack) for check in checks) if fault)


def _plane_fault(stack: Stack) -> str:
    orientations = np.array([header.image_orientation for header in stack.slices])
    if np.ptp(orientations, axis=0).max() > SAME_DIRECTION:
        return "its images lie in different orientations"
    directions = orientations[0].reshape(2, 3)
    if np.abs(directions @ directions.T - np.eye(2)).max() > LARGEST_COSINE_ERROR:
        return "the orientation of its images makes no sense"
    matrices = Counter((header.rows, header.columns, _rounded(header.pixel_spacing_mm)) for header in stack.slices)
    if len(matrices) > 1:
        return "its images differ in size or pixel spacing"
    return ""


def _place_fault(stack: Stack) -> str:
    """Several slices at the same place: no volume, or several volumes in one."""
    repeated = repeated_places(stack)
    if len(stack.slices) > 1 and repeated == len(stack.slices) - 1:
        return "all of its images show the same place, so they are not a volume"
    if repeated:
        return (
            f"{repeated} of its images lie where another image of the series lies, with other pixels, and their headers "
            "do not tell two whole volumes apart"
        )
    return ""


def tilt_degrees(stack: Stack) -> float:
    """By how much the slices lean against the line that they are stacked along; 0 within the tolerance."""
    rise = float(stack.heights_mm[-1] - stack.heights_mm[0])
    if rise <= SAME_POSITION_MM:
        return 0.0
    way = stack.positions_mm[-1] - stack.positions_mm[0]
    drift = float(np.linalg.norm(way - rise * stack.normal))
    degrees = float(np.degrees(np.arctan2(drift, rise)))
    return degrees if drift > LARGEST_DRIFT_MM and degrees > LARGEST_TILT_DEGREES else 0.0


def _tilt_fault(stack: Stack) -> str:
    """A stack that leans is not a box of voxels."""
    degrees = tilt_degrees(stack)
    return f"it was acquired with a gantry tilt (its slices lean by {degrees:.1f} degrees)" if degrees else ""


def _lean_fault(stack: Stack) -> str:
    """A stack that leans more than a gantry can tilt is none that may be straightened."""
    degrees = tilt_degrees(stack)
    if degrees <= LARGEST_CORRECTED_DEGREES:
        return ""
    return f"its slices lean by {degrees:.1f} degrees, more than a gantry tilts"


def _shift_fault(stack: Stack) -> str:
    """Nor is one whose slices step aside."""
    rise = float(stack.heights_mm[-1] - stack.heights_mm[0])
    if rise <= SAME_POSITION_MM:
        return ""
    way = stack.positions_mm[-1] - stack.positions_mm[0]
    share = (stack.heights_mm - stack.heights_mm[0]) / rise
    line = stack.positions_mm[0] + share[:, None] * way
    aside = float(np.linalg.norm(stack.positions_mm - line, axis=1).max())
    if aside > LARGEST_STEP_ASIDE_MM:
        return f"its slices are shifted against one another by up to {aside:.1f} mm"
    return ""


def _spacing_fault(stack: Stack) -> str:
    distances = np.diff(stack.heights_mm)
    distances = distances[distances > SAME_POSITION_MM]
    if not len(distances):
        return ""
    usual = float(np.median(distances)) if len(distances) > 3 else float(distances.min())
    blocks = _two_blocks(distances)
    if blocks:
        return blocks
    gaps = distances[distances > GAP_FACTOR * usual]
    if len(gaps):
        missing = int(sum(max(1, round(gap / usual) - 1) for gap in gaps))
        noun = "slice is" if missing == 1 else "slices are"
        return f"{missing} {noun} missing (up to {gaps.max():.1f} mm between neighbours, else {usual:.1f} mm)"
    if np.abs(distances - usual).max() > max(UNEVEN_MM, UNEVEN_SHARE * usual):
        return f"its slices are unevenly spaced ({distances.min():.2f} to {distances.max():.2f} mm)"
    if rounded_mm(usual) > WIDEST_SPACING_MM:
        return f"its slices are {usual:.1f} mm apart, more than {WIDEST_SPACING_MM:.0f} mm"
    return ""


def _two_blocks(distances: Float64Array) -> str:
    """Words for a series that changes its spacing once; empty for any other. A block is no block below three steps."""
    changes = np.flatnonzero(np.abs(np.diff(distances)) > np.maximum(UNEVEN_MM, UNEVEN_SHARE * distances[:-1]))
    if len(changes) != 1:
        return ""
    parts = np.split(distances, changes + 1)
    if min(map(len, parts)) < FEWEST_STEPS:
        return ""
    words = " and ".join(f"{len(part) + 1} slices {np.median(part):.2f} mm apart" for part in parts)
    return f"it is made of two blocks of different spacing ({words})"


def _count_fault(stack: Stack) -> str:
    count = len(stack.slices)
    if count >= FEWEST_SLICES:
        return ""
    noun = "image" if count == 1 else "images"
    return f"it has only {count} {noun}, at least {FEWEST_SLICES} are needed"


def _rounded(spacing_mm: tuple[float, float]) -> tuple[float, float]:
    return round(spacing_mm[0], 4), round(spacing_mm[1], 4)
