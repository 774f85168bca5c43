"""Padding: what lies within the images of a series and was not imaged, beside the circle of its reconstruction, for instance."""

import numpy as np

from pipeline.orient import LpsVolume, slice_axis
from pipeline.study import BoolArray, Int16Array

DENSEST_PADDING_HU = -1000
"""Where the scales of some scanners begin; padding is the lowest value of a series, and never more than air."""

NOT_IMAGED_HU = int(np.iinfo(np.int16).min)
"""No study holds this: volumes begin at -1024."""


def imaged_part(volume: LpsVolume) -> BoolArray:
    """Where the series shows something, (z, y, x).

    Padding reaches from an edge of a slice inwards, row by row and column by column, without a break: so it does around
    every circle, and around slices that were straightened. Air that a scanner writes as one value counts as padding
    too, up to the skin; lungs do not touch it.
    """
    lowest_hu = int(volume.volume_hu.min())
    if lowest_hu > DENSEST_PADDING_HU:
        return np.ones(volume.volume_hu.shape, np.bool_)
    shows = volume.volume_hu != lowest_hu
    across = [axis for axis in range(3) if axis != slice_axis(volume)]
    return _between_ends(shows, across[0]) & _between_ends(shows, across[1])


def padding_marked(volume_hu: Int16Array, imaged: BoolArray) -> Int16Array:
    """The volume with `NOT_IMAGED_HU` where it shows nothing, in HU, of the same shape."""
    marked: Int16Array = np.where(imaged, volume_hu, np.int16(NOT_IMAGED_HU))
    return marked


def _between_ends(shows: BoolArray, axis: int) -> BoolArray:
    """From the first to the last place along an axis that shows something; nothing where none does."""
    length = shows.shape[axis]
    first = np.argmax(shows, axis=axis, keepdims=True)
    last = length - 1 - np.argmax(np.flip(shows, axis), axis=axis, keepdims=True)
    index = np.arange(length).reshape([-1 if place == axis else 1 for place in range(3)])
    between: BoolArray = (index >= first) & (index <= last) & shows.any(axis=axis, keepdims=True)
    return between
