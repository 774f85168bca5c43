"""The source slices that a result is understood from."""

from typing import Final

import numpy as np

from pipeline.findings import Analysis
from pipeline.study import SliceHeader

MOST_KEY_IMAGES: Final = 20
"""Key slices of the largest lesions; more are no key."""

WITHOUT_LESIONS: Final = 3
"""Slices that show the lungs where there is no lesion to show."""


def key_images(analysis: Analysis) -> list[int]:
    """The key slices of the largest lesions, each k once and ascending; without lesions slices through the lungs."""
    if analysis.findings.lesions:
        slices = dict.fromkeys(lesion.key_slice for lesion in analysis.findings.lesions)
        return sorted(list(slices)[:MOST_KEY_IMAGES])
    with_lung = np.flatnonzero(analysis.lung_mask.any(axis=(1, 2)))
    places = np.linspace(with_lung[0], with_lung[-1], WITHOUT_LESIONS + 2)[1:-1]
    return sorted({int(k) for k in places.round()})


def image_name(header: SliceHeader, slice_index: int) -> str:
    """What viewers call the image of a slice: by its instance number, by its frame in a multi-frame object."""
    frame_number = getattr(header, "frame_number", None)
    if frame_number is not None:
        return f"frame {frame_number}"
    return f"image {header.instance_number if header.instance_number is not None else slice_index + 1}"
