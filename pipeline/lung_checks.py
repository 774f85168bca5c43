"""Whether what was found can be the lungs of a chest, and whether all of them were imaged."""

from collections.abc import Sequence

import numpy as np

from pipeline.errors import NotAChestError
from pipeline.lungs_net import FIELD_OF_VIEW_MM
from pipeline.orient import LpsVolume, slice_axis
from pipeline.shown import EDGE_MM
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Int16Array, UInt8Array

SMALLEST_LUNGS_ML = 800.0
LARGEST_LUNGS_ML = 11_000.0
"""Both lungs of an adult, from full expiration to the largest total lung capacities."""

LOWEST_CHEST_MM = 200.0
"""Lungs reach over more than this; the lower limit of volume is scaled down for series that show less of the body."""

NO_LUNGS_ML = 50.0
"""Less is no lung but bowel gas or a trachea."""

WHOLLY_DENSE_HU = -20.0
"""Denser than this on average is no lung: of two white lungs some bronchi hold air still."""

CUT_AREA_CM2 = 10.0
"""Lung that touches what was not imaged, from which the lungs count as cut off; an apex or a costal angle is smaller."""

WINDOW_EDGE_MM = 4.0
"""How near to the edge of the network's field of view lungs end that it cuts off: two of its pixels."""

MISSING_SIDE_SHARE = 0.1
"""A lung that is a smaller part of both is as good as none."""

SMALL_SIDE_SHARE = 0.33
"""The left lung is some 0.47 of both; one that is a smaller part than this is worth a sentence."""


def check_is_chest(volume_hu: Int16Array, lung_mask: UInt8Array, spacing_mm: tuple[float, float, float]) -> None:
    """Nothing for a chest.

    Args:
        volume_hu: (z, y, x) in patient order.
        lung_mask: The same shape.
        spacing_mm: Along z, y, x.

    Raises:
        NotAChestError: There are no lungs, or what was found cannot be lungs.
    """
    lungs = lung_mask > 0
    volume_ml = float(lungs.sum()) * float(np.prod(spacing_mm)) / 1000.0
    smallest_ml = SMALLEST_LUNGS_ML * min(1.0, len(lung_mask) * spacing_mm[0] / LOWEST_CHEST_MM)
    if volume_ml < min(NO_LUNGS_ML, smallest_ml):
        message = f"No lungs were found ({volume_ml:.0f} ml of lung in the volume). {NotAChestError.advice}"
        raise NotAChestError(message)
    if volume_ml < smallest_ml:
        message = (
            f"The lungs found are too small for an adult's ({volume_ml:.0f} ml, at least {smallest_ml:.0f} ml are needed for "
            f"images of this height); children are not analysed. {NotAChestError.advice}"
        )
        raise NotAChestError(message)
    if volume_ml > LARGEST_LUNGS_ML:
        message = f"What was found is too large for lungs ({volume_ml / 1000:.1f} l). {NotAChestError.advice}"
        raise NotAChestError(message)
    if float(volume_hu[lungs].mean()) > WHOLLY_DENSE_HU:
        message = f"What was found is too dense for lungs. {NotAChestError.advice}"
        raise NotAChestError(message)


_ENDS = (
    ("bottom", 0, -1),
    ("top", 0, 1),
    ("front", 1, -1),
    ("back", 1, 1),
    ("right side", 2, -1),
    ("left side", 2, 1),
)
"""What the patient has in each direction of patient order: words, axis, step along it."""


def coverage_notes(lung_mask: UInt8Array, volume: LpsVolume, imaged: BoolArray) -> tuple[str, ...]:
    """Plain sentences on lungs that the series does not show as a whole; empty when it does.

    Args:
        lung_mask: (z, y, x) in patient order, of what was imaged.
        volume: What they were found in.
        imaged: Where it shows something, the same shape.
    """
    notes: list[str] = []
    lungs = lung_mask > 0
    cut = [
        place
        for place, axis, step in _ENDS
        if _cut_area_cm2(lungs, imaged, volume, axis=axis, step=step) > CUT_AREA_CM2
    ]
    if cut:
        notes.append(
            f"The lungs end outside the images at the {' and the '.join(cut)}: what lies there was not analysed, volumes "
            f"and shares are of the imaged part only.{_edge_words(cut, slice_axis(volume))}"
        )
    beyond = [
        place
        for place, axis, step in _ENDS[2:]
        if _cut_by_window_cm2(lungs, volume, axis=axis, step=step) > CUT_AREA_CM2
    ]
    if beyond:
        notes.append(
            f"The lungs reach to more than {FIELD_OF_VIEW_MM / 2:.0f} mm from the middle of the images at the "
            f"{' and the '.join(beyond)}, where they are not looked for: what lies there was not analysed, volumes and shares "
            "are of the rest only. Reconstruct the images around the middle of the body."
        )
    sizes = {side: int(np.count_nonzero(lung_mask == side)) for side in (RIGHT_LUNG, LEFT_LUNG)}
    total = sum(sizes.values())
    for side, word in ((RIGHT_LUNG, "right"), (LEFT_LUNG, "left")):
        if sizes[side] < MISSING_SIDE_SHARE * total:
            notes.append(f"Little or no {word} lung was found: it may be missing, collapsed or not recognised.")
        elif sizes[side] < SMALL_SIDE_SHARE * total:
            notes.append(
                f"The {word} lung that was found is less than half as large as the other one: a part of it may be collapsed, "
                "consolidated, resected or displaced by fluid, and is then missing in volumes and shares."
            )
    return tuple(notes)


def _edge_words(cut: Sequence[str], across: int) -> str:
    """What lungs that are cut within the slices mean for lesions beside the cut; empty where only slices are missing.

    Args:
        cut: At which of `_ENDS` lungs are cut.
        across: The axis that runs through the slices.
    """
    sides = [place for place, axis, _ in _ENDS if axis != across and place in cut]
    if not sides:
        return ""
    return (
        f" Lesions within {EDGE_MM:.0f} mm of where the images cut the lungs at the {' and the '.join(sides)} may be missed, and the "
        "volumes of those found there are too low. Reconstruct the images wide enough for both lungs."
    )


def _cut_area_cm2(lungs: BoolArray, imaged: BoolArray, volume: LpsVolume, *, axis: int, step: int) -> float:
    """Lung whose neighbour in one direction was not imaged.

    Across the slices that is a neighbour in a slice that shows nothing at all: slices that lean reach beyond one another.
    """
    others = tuple(place for place in range(3) if place != axis)
    is_across = axis == slice_axis(volume)
    beside = np.roll(np.any(imaged, axis=others, keepdims=True) if is_across else imaged, -step, axis=axis)
    beside[_at(axis, -1 if step > 0 else 0)] = False
    return float(np.count_nonzero(lungs & ~beside)) * float(np.prod([volume.spacing_mm[one] for one in others])) / 100.0


def _cut_by_window_cm2(lungs: BoolArray, volume: LpsVolume, *, axis: int, step: int) -> float:
    """Lung that ends, in one direction within axial slices, where the network's field of view does and the image does not.

    None where some lung lies farther out: then it was not the network that found it.
    """
    count, spacing_mm = lungs.shape[axis], volume.spacing_mm[axis]
    if count * spacing_mm <= FIELD_OF_VIEW_MM:
        return 0.0
    outward = lungs if step > 0 else np.flip(lungs, axis)
    last = count - 1 - np.flip(outward, axis).argmax(axis=axis)
    beyond_mm = np.where(lungs.any(axis=axis), (last + 1 - count / 2) * spacing_mm - FIELD_OF_VIEW_MM / 2, -np.inf)
    if beyond_mm.max() > WINDOW_EDGE_MM:
        return 0.0
    cut = (beyond_mm >= -WINDOW_EDGE_MM) & (last < count - 1)
    others = [mm for place, mm in enumerate(volume.spacing_mm) if place != axis]
    return float(np.count_nonzero(cut)) * float(np.prod(others)) / 100.0


def _at(axis: int, index: int) -> tuple[slice | int, ...]:
    """One face of a volume."""
    return tuple(index if place == axis else slice(None) for place in range(3))
