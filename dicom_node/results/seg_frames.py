"""The frames of a binary segmentation as bytes: their functional groups and their pixels.

highdicom makes a data set of every frame, which takes seconds for a thousand frames; here the parts that frames share
are encoded once, in the form that highdicom gives them.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicom_node.results.areas import Labels, areas_by_slice
from dicom_node.results.elements import code_item, element, sequence, text_element
from dicom_node.results.references import source_image_item
from dicom_node.results.source import SourceImages

SEGMENTATION_DERIVATION: Final = code_item("113076", "DCM", "Segmentation")
"""CID 7203."""

PER_FRAME_TAG: Final = 0x52009230
PIXEL_DATA_TAG: Final = 0x7FE00010


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One segment on one slice."""

    segment_number: int
    k: int
    position_index: int
    """From 1: the how many-th slice it is of those that hold any segment."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segments:
    """The voxels of all segments."""

    labels: Labels
    """(k, j, i)."""
    values: tuple[int, ...]
    """What segment 1, 2, ... is called in `labels`."""


def frames_of(segments: Segments) -> tuple[Frame, ...]:
    """The frames that hold something: by segment, then against k, which is how highdicom orders them."""
    areas = areas_by_slice(segments.labels, max(segments.values))[:, list(segments.values)]
    occupied = [int(k) for k in np.flatnonzero(areas.any(axis=1))[::-1]]
    return tuple(
        Frame(segment_number=number, k=k, position_index=index)
        for number, area in enumerate(areas.T, start=1)
        for index, k in enumerate(occupied, start=1)
        if area[k]
    )


def encoded_frames(frames: Sequence[Frame], segments: Segments, images: SourceImages) -> dict[int, bytes]:
    """Functional groups and pixels of all frames as whole elements by their tags."""
    return {
        PER_FRAME_TAG: _functional_groups(frames, segments, images),
        PIXEL_DATA_TAG: element(PIXEL_DATA_TAG, "OB", packed_pixels(frames, segments)),
    }


def packed_pixels(frames: Sequence[Frame], segments: Segments) -> bytes:
    """One bit a pixel, the first in the lowest bit, frame after frame without a gap (PS3.5 8.1.1 and 8.2), even length."""
    pieces = []
    for first in range(0, len(frames), 8):
        # Eight frames of any size end at a whole byte.
        eight = [segments.labels[frame.k] == segments.values[frame.segment_number - 1] for frame in frames[first:][:8]]
        pieces.append(np.packbits(np.stack(eight), bitorder="little").tobytes())
    pieces.append(bytes(sum(map(len, pieces)) % 2))
    return b"".join(pieces)


def _functional_groups(frames: Sequence[Frame], segments: Segments, images: SourceImages) -> bytes:
    """Per-Frame Functional Groups Sequence; the attributes of an item in ascending order of tags."""
    slices = {k: (_derivation(images, k), _position(images, k)) for k in sorted({frame.k for frame in frames})}
    # A single segment is named in the shared functional groups.
    is_named_per_frame = len(segments.values) > 1
    items = []
    for frame in frames:
        derivation, position = slices[frame.k]
        identification = _identification(frame) if is_named_per_frame else b""
        items.append(b"".join((derivation, _frame_content(frame), position, identification)))
    return sequence(PER_FRAME_TAG, *items)


def _derivation(images: SourceImages, k: int) -> bytes:
    """Derivation Image Sequence."""
    source, code = sequence(0x00082112, source_image_item(images, k)), sequence(0x00089215, SEGMENTATION_DERIVATION)
    return sequence(0x00089124, source + code)


def _frame_content(frame: Frame) -> bytes:
    """Frame Content Sequence with Dimension Index Values."""
    indices = struct.pack("<II", frame.segment_number, frame.position_index)
    return sequence(0x00209111, element(0x00209157, "UL", indices))


def _position(images: SourceImages, k: int) -> bytes:
    """Plane Position Sequence with Image Position (Patient), in the very digits of the source."""
    position = "\\".join(str(value) for value in images.datasets[k].ImagePositionPatient)
    return sequence(0x00209113, text_element(0x00200032, "DS", position))


def _identification(frame: Frame) -> bytes:
    """Segment Identification Sequence with Referenced Segment Number."""
    return sequence(0x0062000A, element(0x0062000B, "US", struct.pack("<H", frame.segment_number)))
