"""From a detector's maps to measured lesions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK
from scipy import ndimage

from pipeline.findings import LesionKind, Side
from pipeline.lesion_rules import TOUCHING, without_sheets
from pipeline.orient import image_from_array, sub_grid
from pipeline.plug_points import Detection, SliceFinding, StudyDetection
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Float32Array, Grid, Int16Array, UInt8Array, UInt16Array
from pipeline.warp import reference_image

TOP_FINDINGS = 3
"""The best boxes of a lesion that make its score."""

BOX_HIT_SHARE = 0.2
"""A box and a lesion belong together where they share this much of the smaller one's area on a slice."""

MOST_LESIONS = 65_535
"""What a label map of 16 bits can tell apart."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionMaps:
    """The detector's answer for one study on that study's grid, within the lungs, as far as it is plausible."""

    lesion: BoolArray
    consolidation: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLesion:
    """A lesion as one study shows it."""

    number: int
    """Its value in the label map; 1 is the largest."""
    kind: LesionKind
    side: Side
    volume_ml: float
    mean_hu: float
    sd_hu: float
    first_voxel: tuple[int, int, int]
    """z, y, x: the first in array order, which no other lesion shares."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundLesions:
    """All lesions of one study, arrays (z, y, x) in patient order."""

    labels: UInt16Array
    lesions: tuple[MeasuredLesion, ...]
    """By number."""
    boxes: tuple[tuple[slice, ...], ...]
    """Around each lesion in `labels`, by number."""


def lesion_maps(
    detection: Detection, study: StudyDetection, lung_mask: UInt8Array, grid: Grid, *, threshold: float
) -> LesionMaps:
    """Where lesion and where consolidation is, on `grid`.

    Args:
        detection: For the grid of the maps.
        study: One of its studies.
        lung_mask: On `grid`; lesions lie within.
        grid: Of the newest study, in patient order.
        threshold: A voxel of this probability is lesion.
    """
    maps = LesionMaps(lesion=np.zeros(grid.shape, np.bool_), consolidation=np.zeros(grid.shape, np.bool_))
    for found in ndimage.find_objects((lung_mask > 0).view(np.uint8)):
        box = (slice(max(0, found[0].start - 1), min(found[0].stop + 1, grid.shape[0])), *found[1:])
        part = sub_grid(grid, box)
        probability = _on_grid(study.lesion_probability, detection.grid, part)
        lungs = lung_mask[box] > 0
        maps.lesion[box] = without_sheets((probability >= threshold) & lungs, lungs, grid.spacing_mm)
        dense = _on_grid(study.consolidation_probability, detection.grid, part)
        maps.consolidation[box] = maps.lesion[box] & (dense * 2 > probability)
    return maps


def find_lesions(
    maps: LesionMaps, volume_hu: Int16Array, lung_mask: UInt8Array, voxel_ml: float, *, smallest_ml: float
) -> FoundLesions:
    """The connected lesions that are large enough, the largest first."""
    labels = np.zeros(maps.lesion.shape, np.uint16)
    for box in ndimage.find_objects(maps.lesion.view(np.uint8)):
        labels[box] = _numbered(maps.lesion[box], smallest_ml / voxel_ml)
    boxes = tuple(ndimage.find_objects(labels))
    lesions = tuple(
        _measured(number, box, labels, (maps, volume_hu, lung_mask), voxel_ml=voxel_ml)
        for number, box in enumerate(boxes, start=1)
    )
    return FoundLesions(labels=labels, lesions=lesions, boxes=boxes)


def _numbered(lesion: BoolArray, smallest_voxels: float) -> UInt16Array:
    """Connected pieces of at least so many voxels, the largest is 1; equal ones in the order of their first voxels."""
    pieces, count = ndimage.label(lesion, TOUCHING)
    voxels = np.bincount(pieces.ravel(), minlength=count + 1)
    large = [piece for piece in range(1, count + 1) if voxels[piece] >= smallest_voxels]
    ordered = sorted(large, key=lambda piece: -int(voxels[piece]))[:MOST_LESIONS]
    numbers = np.zeros(count + 1, np.uint16)
    numbers[ordered] = np.arange(1, len(ordered) + 1)
    numbered: UInt16Array = numbers[pieces]
    return numbered


def _measured(
    number: int,
    box: tuple[slice, ...],
    labels: UInt16Array,
    arrays: tuple[LesionMaps, Int16Array, UInt8Array],
    *,
    voxel_ml: float,
) -> MeasuredLesion:
    maps, volume_hu, lung_mask = arrays
    inside = labels[box] == number
    values = volume_hu[box][inside].astype(np.float64)
    sides = np.bincount(lung_mask[box][inside], minlength=LEFT_LUNG + 1)
    first = np.argwhere(inside)[0] + [part.start for part in box]
    dense = int(np.count_nonzero(maps.consolidation[box] & inside))
    return MeasuredLesion(
        number=number,
        kind=LesionKind.CONSOLIDATION if 2 * dense > len(values) else LesionKind.GROUND_GLASS,
        side=Side.LEFT if sides[LEFT_LUNG] > sides[RIGHT_LUNG] else Side.RIGHT,
        volume_ml=len(values) * voxel_ml,
        mean_hu=float(values.mean()),
        sd_hu=float(values.std()),
        first_voxel=(int(first[0]), int(first[1]), int(first[2])),
    )


def lesion_scores(found: FoundLesions, grid: Grid, detection: Detection, study: StudyDetection) -> dict[int, float]:
    """Score of each lesion by number: the mean of its best boxes, or of its probability where no box meets it.

    Boxes of neighbouring slices that meet one lesion are linked by it.
    """
    labels = _nearest_labels(found.labels, grid, detection.grid)
    boxes: dict[int, list[float]] = {}
    for finding in study.slice_findings:
        for number in _lesions_in_box(labels[finding.z], finding):
            boxes.setdefault(number, []).append(finding.score)
    probability = _mean_probability(labels, study.lesion_probability, len(found.lesions))
    return {
        lesion.number: _top_mean(boxes[lesion.number]) if lesion.number in boxes else probability[lesion.number]
        for lesion in found.lesions
    }


def slices_with_lung(lung_mask: UInt8Array, grid: Grid, detection_grid: Grid) -> BoolArray:
    """(z,) of the detector's grid: the slice shows lung."""
    lungs = _nearest_labels(lung_mask.astype(np.uint16), grid, detection_grid)
    shows: BoolArray = lungs.reshape(len(lungs), -1).max(axis=1) > 0
    return shows


def _top_mean(scores: Sequence[float]) -> float:
    best = sorted(scores, reverse=True)[:TOP_FINDINGS]
    return sum(best) / len(best)


def _lesions_in_box(labels: UInt16Array, finding: SliceFinding) -> list[int]:
    """Lesions of a slice that share enough of their area, or of the box's, with the box."""
    y0, x0, y1, x1 = (max(0, round(edge + 0.5)) for edge in finding.box)
    inside = np.bincount(labels[y0:y1, x0:x1].ravel())
    whole = np.bincount(labels.ravel(), minlength=len(inside))
    area = max(1, (y1 - y0) * (x1 - x0))
    return [
        number
        for number in range(1, len(inside))
        if inside[number] and inside[number] >= BOX_HIT_SHARE * min(area, whole[number])
    ]


def _mean_probability(labels: UInt16Array, probability: Float32Array, count: int) -> dict[int, float]:
    """By number; 0 for a lesion too small to be seen on the detector's grid."""
    if not count:
        return {}
    numbers = np.arange(1, count + 1)
    voxels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    sums = ndimage.sum_labels(probability, labels, numbers)
    return {int(number): float(total) / max(1, int(n)) for number, total, n in zip(numbers, sums, voxels, strict=True)}


def _on_grid(probability: Float32Array, of: Grid, onto: Grid) -> Float32Array:
    """Linear, zero outside."""
    image = image_from_array(probability, of)
    moved = SimpleITK.Resample(image, reference_image(onto), SimpleITK.Transform(), SimpleITK.sitkLinear, 0.0)
    array: Float32Array = SimpleITK.GetArrayFromImage(moved)
    return array


def _nearest_labels(labels: UInt16Array, of: Grid, onto: Grid) -> UInt16Array:
    image = image_from_array(labels, of)
    moved = SimpleITK.Resample(image, reference_image(onto), SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0.0)
    array: UInt16Array = SimpleITK.GetArrayFromImage(moved)
    return array
