"""Segments of a DICOM segmentation, whoever wrote it, on the grid of a CT (PS3.3 A.51, C.8.20)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from pipeline.importers.errors import StudyNotImportedError
from pipeline.importers.frame_references import NamedFrames, named_frames
from pipeline.read import FOREIGN_READ_ERRORS
from pipeline.study import BoolArray, Float64Array, Grid
from pipeline.tolerance import tolerant_pydicom
from pipeline.warp import warp_labels

SEGMENTATION_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Segmentation Storage, Label Map Segmentation Storage (PS3.6 A.1)."""

SAME_PLACE_MM = 0.01
LARGEST_TURN = 1e-3
"""Of direction cosines between the frames of one segmentation."""

ROUNDING = 0.01
"""Voxels of the CT that places in headers may be wrong by."""

TOUCHING_SHARE = 0.9
"""Of the distance of frames, from which their thickness fills it: headers round, and some give the collimation."""

_OUTSIDE = (
    "The segment `{name}` lies outside of its CT, or reaches beyond it: not all slices of the series are here, or it was drawn on "
    "another one. Export the whole series."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What a segmentation says of one of its segments."""

    number: int
    name: str
    codes: tuple[tuple[str, str, str], ...]
    """Scheme, value, meaning of type, then category."""
    sides: tuple[tuple[str, str], ...]
    made_by: str
    """"automatic", "semiautomatic" or "manual"."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """A segmentation whose pixels are in memory."""

    segments: tuple[Segment, ...]
    referenced_series: frozenset[str]
    source_frames: NamedFrames
    """Of a multi-frame CT, which it was drawn on."""
    frames: NDArray[Any]
    """(frame, row, column)."""
    places: Float64Array
    """(frame, 3): LPS of the first pixel of each frame."""
    numbers: tuple[int, ...]
    """Segment of each frame; 0 in a label map, whose values are numbers of segments."""
    orientation: Float64Array
    """(6,): row, column direction."""
    pixel_mm: tuple[float, float]
    between_slices_mm: float | None
    thickness_mm: float | None
    threshold: float
    """Values from here on belong to a segment; a fraction is half of its maximum."""


def referenced_series(path: Path) -> frozenset[str]:
    """Series Instance UIDs that a segmentation was drawn on; empty where it does not say."""
    with tolerant_pydicom():
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            return _referenced_series(dataset)
        except FOREIGN_READ_ERRORS:
            return frozenset()


def read_segmentation(path: Path) -> Segmentation:
    """A segmentation with its pixels.

    Raises:
        StudyNotImportedError: It cannot be read, or does not say where its frames lie.
    """
    with tolerant_pydicom():
        try:
            return _segmentation(pydicom.dcmread(path))
        except FOREIGN_READ_ERRORS as exc:
            reason = f"The segmentation {path.name} is damaged, or does not say where it lies."
            raise StudyNotImportedError(reason) from exc


def segment_mask(segmentation: Segmentation, segment: Segment, grid: Grid) -> BoolArray | None:
    """The mask of a segment on the grid of its CT, which may differ from its own: nearest voxel; None without pixels.

    Raises:
        StudyNotImportedError: It shows something more than a voxel outside of the grid.
    """
    stack = _stack(segmentation, segment.number, grid)
    if stack is None:
        return None
    if _reaches_beyond(*stack, grid):
        raise StudyNotImportedError(_OUTSIDE.format(name=segment.name))
    return _on_grid(*stack, grid)


def _segmentation(dataset: Dataset) -> Segmentation:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    per_frame = dataset.PerFrameFunctionalGroupsSequence
    is_label_map = str(dataset.SegmentationType) == "LABELMAP"
    orientations = np.array(
        [_group(frame, shared, "PlaneOrientationSequence").ImageOrientationPatient for frame in per_frame], float
    )
    if np.ptp(orientations, axis=0).max() > LARGEST_TURN:
        reason = "its frames lie in different orientations"
        raise ValueError(reason)
    measures = _group(per_frame[0], shared, "PixelMeasuresSequence")
    fraction = float(dataset.get("MaximumFractionalValue", 1)) if str(dataset.SegmentationType) == "FRACTIONAL" else 1.0
    return Segmentation(
        segments=tuple(_segment(item) for item in dataset.SegmentSequence),
        referenced_series=_referenced_series(dataset),
        source_frames=named_frames(source for group in (shared, *per_frame) for source in _sources(group)),
        frames=dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns),
        places=np.array(
            [_group(frame, shared, "PlanePositionSequence").ImagePositionPatient for frame in per_frame], float
        ),
        numbers=tuple(
            0 if is_label_map else int(_group(frame, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
            for frame in per_frame
        ),
        orientation=orientations[0],
        pixel_mm=(float(measures.PixelSpacing[0]), float(measures.PixelSpacing[1])),
        between_slices_mm=_positive(measures.get("SpacingBetweenSlices")),
        thickness_mm=_positive(measures.get("SliceThickness")),
        threshold=fraction / 2,
    )


def _segment(item: Dataset) -> Segment:
    types = list(item.get("SegmentedPropertyTypeCodeSequence") or [])
    categories = list(item.get("SegmentedPropertyCategoryCodeSequence") or [])
    regions = list(item.get("AnatomicRegionSequence") or [])
    modifiers = [
        *(one for code in types for one in code.get("SegmentedPropertyTypeModifierCodeSequence") or []),
        *(one for code in regions for one in code.get("AnatomicRegionModifierSequence") or []),
    ]
    return Segment(
        number=int(item.SegmentNumber),
        name=str(item.get("SegmentLabel") or ""),
        codes=tuple(_code(code) for code in (*types, *categories)),
        sides=tuple(_code(code)[:2] for code in modifiers),
        made_by=str(item.get("SegmentAlgorithmType") or "").lower(),
    )


def _code(item: Dataset) -> tuple[str, str, str]:
    return (
        str(item.get("CodingSchemeDesignator") or ""),
        str(item.get("CodeValue") or ""),
        str(item.get("CodeMeaning") or ""),
    )


def _group(frame: Dataset, shared: Dataset, name: str) -> Dataset:
    """A functional group, which is either the frame's own or that of all frames (PS3.3 C.7.6.16)."""
    found: Dataset = (frame if name in frame else shared)[name].value[0]
    return found


def _referenced_series(dataset: Dataset) -> frozenset[str]:
    return frozenset(str(item.SeriesInstanceUID) for item in dataset.get("ReferencedSeriesSequence") or [])


def _sources(group: Dataset) -> list[Dataset]:
    """Images that a frame was derived from (PS3.3 C.7.6.16.2.6)."""
    derivations = group.get("DerivationImageSequence") or []
    return [source for derivation in derivations for source in derivation.get("SourceImageSequence") or []]


def _positive(value: object) -> float | None:
    number = abs(float(str(value))) if value not in (None, "") else 0.0
    return number or None


def _stack(segmentation: Segmentation, number: int, grid: Grid) -> tuple[BoolArray, Grid] | None:
    """The frames of a segment as a volume with its grid; frames that were left out because they are empty stay empty."""
    planes = _planes(segmentation, number)
    if not planes:
        return None
    normal = np.cross(segmentation.orientation[:3], segmentation.orientation[3:])
    heights = np.array([float(segmentation.places[index] @ normal) for index in planes])
    step_mm = _step_mm(segmentation, segmentation.places @ normal, grid)
    lowest = int(np.argmin(heights))
    ks = np.rint((heights - heights[lowest]) / step_mm).astype(int)
    volume = np.zeros((int(ks.max()) + 1, *segmentation.frames.shape[1:]), np.bool_)
    for k, plane in zip(ks, planes.values(), strict=True):
        volume[k] |= plane
    affine = np.eye(4)
    affine[:3, 0] = normal * step_mm
    affine[:3, 1] = segmentation.orientation[3:] * segmentation.pixel_mm[0]
    affine[:3, 2] = segmentation.orientation[:3] * segmentation.pixel_mm[1]
    affine[:3, 3] = segmentation.places[list(planes)[lowest]]
    return volume, Grid(shape=(len(volume), volume.shape[1], volume.shape[2]), affine_lps_from_kji=affine)


def _planes(segmentation: Segmentation, number: int) -> dict[int, BoolArray]:
    """Pixels of a segment by frame, where there are any."""
    found = {}
    for index, own in enumerate(segmentation.numbers):
        frame = segmentation.frames[index]
        plane = frame == number if own == 0 else (frame >= segmentation.threshold) & (own == number)
        if plane.any():
            found[index] = plane
    return found


def _step_mm(segmentation: Segmentation, heights: Float64Array, grid: Grid) -> float:
    """Between frames: what the file says, else the least distance of frames, where they are as thick as it is wide.

    Thinner frames that lie farther apart than the slices of the CT are slices of the CT, some of which were left out.
    """
    if segmentation.between_slices_mm:
        return segmentation.between_slices_mm
    steps = np.diff(np.unique(np.round(heights / SAME_PLACE_MM))) * SAME_PLACE_MM
    least = min((float(step) for step in steps), default=grid.spacing_mm[0])
    touches = (segmentation.thickness_mm or 0.0) >= TOUCHING_SHARE * least
    return least if touches else min(least, grid.spacing_mm[0])


def _reaches_beyond(volume: BoolArray, own: Grid, grid: Grid) -> bool:
    """Whether something lies farther than a voxel, of the larger of both grids, from the outermost voxels of a grid."""
    there = np.linalg.inv(grid.affine_lps_from_kji) @ own.affine_lps_from_kji
    spare = (np.maximum(1.0, np.abs(there[:3, :3]).sum(axis=1)) + ROUNDING)[:, None]
    last = np.array(grid.shape)[:, None] - 1
    for k in np.flatnonzero(volume.any(axis=(1, 2))):
        j, i = np.nonzero(volume[k])
        places = there[:3] @ np.stack([np.full(len(j), k), j, i, np.ones(len(j))])
        if (places < -spare).any() or (places > last + spare).any():
            return True
    return False


def _on_grid(volume: BoolArray, own: Grid, grid: Grid) -> BoolArray:
    mask: BoolArray = warp_labels(volume.astype(np.uint8), own, grid, SimpleITK.Transform()) > 0
    return mask
