"""Lesions that may be fluid beside the lung: the networks cannot tell pleural effusion from consolidation."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from pipeline.findings import Lesion
from pipeline.study import BoolArray, Int16Array, UInt16Array

SMALLEST_ML = 30.0
"""Of the inside of a lesion; less is measured badly, and matters little."""

INSIDE_MM = 4.0
"""Nearer to its border a lesion holds lung, chest wall or diaphragm in part."""

LOWEST_HU, HIGHEST_HU = -15.0, 25.0
"""Pleural fluid of 380 patients: transudates 5.0 +- 3.4, exudates 15.1 +- 5.1 HU (Gümüş et al. 2024, Clinics 79); two standard
deviations above the exudates. That consolidation is denser is assumed, not measured."""

AIR_BELOW_HU = -150
LARGEST_AIR_SHARE = 0.04
"""Of the inside: consolidation mostly holds bronchi with air; fluid holds none, but what is taken for one lesion with it may. A guess."""


def fluid_notes(
    lesions: Sequence[Lesion],
    boxes: Sequence[tuple[slice, ...]],
    labels: UInt16Array,
    volume_hu: Int16Array,
    spacing_mm: tuple[float, float, float],
) -> tuple[str, ...]:
    """A plain sentence on each large lesion that is as dense as water throughout; empty when none is.

    Args:
        lesions: Of the study.
        boxes: Around each lesion in `labels`, by number.
        labels: (k, j, i), lesions by number.
        volume_hu: The same shape.
        spacing_mm: Along k, j, i.
    """
    large = [(lesion, boxes[lesion.number - 1]) for lesion in lesions if lesion.volume_ml >= SMALLEST_ML]
    notes = (_note(lesion, labels[box] == lesion.number, volume_hu[box], spacing_mm) for lesion, box in large)
    return tuple(note for note in notes if note)


def _note(lesion: Lesion, shape: BoolArray, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> str:
    """Of one lesion within its box; empty where it is not like fluid."""
    padded = np.pad(shape, 1)
    inside = ndimage.distance_transform_edt(padded, sampling=spacing_mm)[1:-1, 1:-1, 1:-1] > INSIDE_MM
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    if np.count_nonzero(inside) * voxel_ml < SMALLEST_ML:
        return ""
    values = volume_hu[inside]
    middle = float(np.median(values))
    if not LOWEST_HU <= middle <= HIGHEST_HU or np.mean(values < AIR_BELOW_HU) > LARGEST_AIR_SHARE:
        return ""
    return (
        f"{lesion.tracking_id} ({lesion.volume_ml:.0f} ml) is as dense as fluid throughout ({middle:.0f} HU, hardly any air): it may "
        "be pleural effusion, which is not told from consolidation here and is counted as involved lung."
    )
