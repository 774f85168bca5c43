"""How large each lung and each lesion is on each slice, counted plane by plane so that no copy of a volume is made."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.study import Int16Array, UInt8Array, UInt16Array

Labels = UInt8Array | UInt16Array
Counts = NDArray[np.int64]


def areas_by_slice(labels: Labels, largest: int) -> Counts:
    """Pixels of each label on each slice.

    Args:
        labels: (k, j, i), 0 for nothing.
        largest: The largest label that is expected.

    Returns:
        (k, n), the n-th column for label n, the first for nothing; wider than `largest` + 1 if `labels` hold more.
    """
    counts = [np.bincount(_inside(plane), minlength=largest + 1) for plane in labels]
    width = max(len(count) for count in counts)
    areas = np.zeros((len(labels), width), np.int64)
    for k, count in enumerate(counts):
        areas[k, : len(count)] = count
    areas[:, 0] += labels[0].size - areas.sum(axis=1)
    return areas


def holds(labels: Labels, label: int) -> bool:
    """Whether any voxel has this label; quick where there are some."""
    return any(bool((plane == label).any()) for plane in labels)


def area_by_slice(labels: Labels, label: int) -> Counts:
    """(k,): pixels of one label on each slice."""
    return np.array([np.count_nonzero(plane == label) for plane in labels])


def lung_area_by_slice(lung_mask: UInt8Array) -> Counts:
    """(k,): pixels of either lung on each slice."""
    return np.array([np.count_nonzero(plane) for plane in lung_mask])


def diseased_area_by_slice(lung_mask: UInt8Array, lesion_labels: UInt16Array) -> Counts:
    """(k,): pixels of lesions inside the lungs on each slice."""
    pairs = zip(lung_mask, lesion_labels, strict=True)
    return np.array([np.count_nonzero(lung[lesion > 0]) if lesion.any() else 0 for lung, lesion in pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attenuation:
    """What a label has in HU."""

    mean_hu: float
    sd_hu: float
    """Of the population."""


def attenuation_of(volume_hu: Int16Array, labels: Labels, label: int) -> Attenuation:
    """Mean and standard deviation over all voxels of a label, of which there must be one; exact sums of whole numbers."""
    count, total, squares = 0, 0, 0
    for plane_hu, plane in zip(volume_hu, labels, strict=True):
        inside = plane == label
        if inside.any():
            values = plane_hu[inside].astype(np.int64)
            count, total, squares = count + values.size, total + int(values.sum()), squares + int(values @ values)
    mean = total / count
    # Numerator and denominator are whole numbers of any size, so nothing cancels.
    return Attenuation(mean_hu=mean, sd_hu=((count * squares - total * total) / count**2) ** 0.5)


def _inside(plane: Labels) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The rows of a plane that hold something, as one line: most of a slice is neither lung nor lesion."""
    rows = np.flatnonzero(plane.any(axis=1))
    return plane[rows[0] : rows[-1] + 1].reshape(-1) if rows.size else plane[:0].reshape(-1)
