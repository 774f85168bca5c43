"""Lungs and lesions of a study, painted from the structures that readers drew."""

import numpy as np
from scipy import ndimage

from pipeline.importers.records import CONSOLIDATION, GROUND_GLASS, NOT_KNOWN, OTHER_OPACITY, KindSource, Truth
from pipeline.importers.structures import Structure
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Int16Array, UInt8Array

CONSOLIDATION_FROM_HU = -300.0
"""A lesion of no stated kind is consolidation from here on, ground-glass below."""

SMOOTHING_MM = 1.5
"""Of the image before that, within slices, so that noise does not decide."""

KIND_RULE = (
    "Lesions that were drawn without saying ground-glass or consolidation were divided by density: "
    f"{CONSOLIDATION_FROM_HU:.0f} HU and above in the image smoothed by {SMOOTHING_MM:.1f} mm is consolidation, "
    "below is ground-glass. Nobody drew this border."
)

_RANK = {
    Structure.NOT_KNOWN: 1,
    Structure.OTHER_OPACITY: 2,
    Structure.LESION: 3,
    Structure.GROUND_GLASS: 4,
    Structure.CONSOLIDATION: 5,
}
"""Where structures overlap the higher one stands: what is said more precisely."""

_VALUE_OF_RANK = np.array([0, NOT_KNOWN, OTHER_OPACITY, GROUND_GLASS, GROUND_GLASS, CONSOLIDATION], np.uint8)
SAYS_LESION = frozenset({Structure.LESION, Structure.GROUND_GLASS, Structure.CONSOLIDATION, Structure.OTHER_OPACITY})
"""Who draws one of these has drawn all lesions of the study."""


class TruthCanvas:
    """Collects structures of one study; all arrays are (z, y, x) in patient order."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        """Start with nothing known."""
        self._ranks = np.zeros(shape, np.uint8)
        self._lungs = np.zeros(shape, np.uint8)
        self._both_lungs: BoolArray | None = None
        self._says_lesions = False

    def paint(self, structure: Structure, mask: BoolArray) -> None:
        """Add a structure; one that means nothing leaves no trace."""
        if structure in _RANK:
            np.maximum(self._ranks, np.uint8(_RANK[structure]) * mask, out=self._ranks)
            self._says_lesions |= structure in SAYS_LESION
        elif structure is Structure.RIGHT_LUNG:
            self._lungs[mask] = RIGHT_LUNG
        elif structure is Structure.LEFT_LUNG:
            self._lungs[mask] = LEFT_LUNG
        elif structure is Structure.LUNGS:
            self._both_lungs = mask if self._both_lungs is None else self._both_lungs | mask

    def say_rest_is_no_lesion(self) -> None:
        """What was not painted is known to be no lesion, even if nothing was painted at all."""
        self._says_lesions = True

    def truth(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> Truth:
        """What was painted; lesions of no stated kind are divided by `KIND_RULE`."""
        lungs = self._lung_mask()
        if not self._says_lesions:
            return Truth(lung_mask=lungs)
        lesion = _VALUE_OF_RANK[self._ranks]
        unsorted = self._ranks == _RANK[Structure.LESION]
        lesion[unsorted & dense(volume_hu, unsorted, spacing_mm)] = CONSOLIDATION
        kinds = KindSource.BY_HU if unsorted.any() else KindSource.DRAWN
        return Truth(lung_mask=lungs, lesion=lesion, kinds=kinds)

    def _lung_mask(self) -> UInt8Array | None:
        if not self._lungs.any() and self._both_lungs is not None and self._both_lungs.any():
            return parted_lungs(self._both_lungs)
        return self._lungs if self._lungs.any() else None


def dense(volume_hu: Int16Array, where: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """Where the smoothed image reaches `CONSOLIDATION_FROM_HU`, looked at around `where` only."""
    found = np.zeros(volume_hu.shape, np.bool_)
    boxes = ndimage.find_objects(where.astype(np.uint8))
    if not boxes:
        return found
    sigma = (0.0, *(SMOOTHING_MM / mm for mm in spacing_mm[1:]))
    reach = [0, *(int(np.ceil(4 * one)) for one in sigma[1:])]
    box = tuple(
        slice(max(0, part.start - margin), part.stop + margin) for part, margin in zip(boxes[0], reach, strict=True)
    )
    found[box] = ndimage.gaussian_filter(volume_hu[box].astype(np.float32), sigma) >= CONSOLIDATION_FROM_HU
    return found


def parted_lungs(lungs: BoolArray) -> UInt8Array:
    """Right and left of a mask of both: each connected part goes to the side of its middle, a part of both is halved.

    x grows to the patient's left, so the right lung lies at low x.
    """
    columns = np.flatnonzero(lungs.any(axis=(0, 1)))
    middle, reach = (float(columns[0]) + float(columns[-1])) / 2, float(columns[-1] - columns[0]) / 4
    parted = (lungs * np.where(np.arange(lungs.shape[2]) < middle, RIGHT_LUNG, LEFT_LUNG)).astype(np.uint8)
    labels, _ = ndimage.label(lungs)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        low, high = box[2].start, box[2].stop - 1
        if low < middle - reach and high > middle + reach:
            continue
        parted[box][labels[box] == number] = RIGHT_LUNG if (low + high) / 2 < middle else LEFT_LUNG
    return parted
