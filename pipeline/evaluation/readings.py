"""What is kept of a reading: enough for every figure, nothing the size of a volume."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.evaluation.detector import StudyReading
from pipeline.evaluation.lesion_boxes import Int32Array
from pipeline.evaluation.truth import SMALLEST_LESION_ML, known_lung, known_region
from pipeline.study import BoolArray, Float32Array, UInt8Array
from pipeline.training.cases import CaseStudy

Int64Array: TypeAlias = NDArray[np.int64]

MASK_PROBABILITIES = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Thresholds of the lesion mask; validation chooses one."""

SCORE_LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Box scores from which boxes are painted where they stand for a mask."""

FOUND_SHARE = 0.1
"""Of a lesion that lies in the mask, as in training."""

LEAST_LUNG_SHARE = 0.2
"""Of a box; one that lies outside the lungs is no claim about them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptReading:
    """One study as one detector read it."""

    slices: Int32Array
    """(n,), on which slice each box lies."""
    boxes: Float32Array
    """(n, 4), clipped to the grid; at least a fifth of each lies in the lungs."""
    scores: Float32Array
    """(n,)."""
    slice_logits: Float32Array
    """Of the slices that show lung."""
    lung_voxels: int
    truth_voxels: int
    mask_voxels: Int64Array
    """Per `MASK_PROBABILITIES`, in pieces that are large enough to be reported; empty without a mask."""
    common_voxels: Int64Array
    """The same, of those that are lesion."""
    found_lesions: Int64Array
    """The same, lesions large enough to count of which at least `FOUND_SHARE` lies in the mask."""
    false_pieces: Int64Array
    """The same, pieces of the mask without a voxel of lesion."""
    ellipse_voxels: Int64Array
    """Per `SCORE_LEVELS`, lung in the inscribed ellipses of the boxes from that score on."""


def kept_reading(reading: StudyReading, study: CaseStudy, voxel_ml: float) -> KeptReading:
    """A reading beside the truth of its study: answers count in the lungs as found, lesions wherever they were drawn."""
    lungs = known_lung(study)
    numbers: UInt8Array = np.where(known_region(study), study.truth[1], 0)
    slices, boxes, scores = _boxes_in_lungs(reading, lungs)
    counts = _mask_counts(reading, lungs, numbers, SMALLEST_LESION_ML / voxel_ml)
    return KeptReading(
        slices=slices,
        boxes=boxes,
        scores=scores,
        slice_logits=reading.slice_logits[lungs.any(axis=(1, 2))],
        lung_voxels=int(lungs.sum()),
        truth_voxels=int(np.count_nonzero(numbers)),
        mask_voxels=counts[:, 0],
        common_voxels=counts[:, 1],
        found_lesions=counts[:, 2],
        false_pieces=counts[:, 3],
        ellipse_voxels=_ellipse_counts(slices, boxes, scores, lungs),
    )


def save_reading(path: Path, reading: KeptReading) -> None:
    """Written beside, then renamed: what is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, **asdict(reading))
    unfinished.replace(path)


def load_reading(path: Path) -> KeptReading:
    """What `save_reading` wrote."""
    with np.load(path) as content:
        return KeptReading(
            slices=content["slices"],
            boxes=content["boxes"],
            scores=content["scores"],
            slice_logits=content["slice_logits"],
            lung_voxels=int(content["lung_voxels"]),
            truth_voxels=int(content["truth_voxels"]),
            mask_voxels=content["mask_voxels"],
            common_voxels=content["common_voxels"],
            found_lesions=content["found_lesions"],
            false_pieces=content["false_pieces"],
            ellipse_voxels=content["ellipse_voxels"],
        )


def _boxes_in_lungs(reading: StudyReading, lungs: BoolArray) -> tuple[Int32Array, Float32Array, Float32Array]:
    height, width = lungs.shape[1:]
    limits = np.array([width, height, width, height], np.float32)
    slices: list[Int32Array] = [np.zeros(0, np.int32)]
    boxes: list[Float32Array] = [np.zeros((0, 4), np.float32)]
    scores: list[Float32Array] = [np.zeros(0, np.float32)]
    for z, (found, plane) in enumerate(zip(reading.boxes, lungs, strict=True)):
        clipped = np.clip(found.boxes, 0.0, limits).astype(np.float32)
        inside = lung_shares(clipped, plane) >= LEAST_LUNG_SHARE
        slices.append(np.full(int(inside.sum()), z, np.int32))
        boxes.append(clipped[inside])
        scores.append(found.scores[inside].astype(np.float32))
    return np.concatenate(slices), np.concatenate(boxes), np.concatenate(scores)


def lung_shares(boxes: Float32Array, plane: BoolArray) -> Float32Array:
    """Of each box's whole pixels, from sums over rectangles."""
    sums = np.pad(plane.cumsum(axis=0, dtype=np.int64).cumsum(axis=1), ((1, 0), (1, 0)))
    x0, y0, x1, y1 = np.rint(boxes).astype(int).T
    inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    shares: Float32Array = (inside / np.maximum(1, (x1 - x0) * (y1 - y0))).astype(np.float32)
    return shares


def _mask_counts(reading: StudyReading, lungs: BoolArray, numbers: UInt8Array, smallest_voxels: float) -> Int64Array:
    """(thresholds, 4): voxels of the mask, of lesion in it, lesions found, false pieces; no row without a mask."""
    if reading.lesion_probability is None:
        return np.zeros((0, 4), np.int64)
    sizes = np.bincount(numbers.ravel(), minlength=2)
    asked = sizes >= smallest_voxels
    asked[0] = False
    rows: list[tuple[int, int, int, int]] = []
    for threshold in MASK_PROBABILITIES:
        pieces = large_pieces((reading.lesion_probability >= threshold) & lungs, smallest_voxels)
        mask = pieces > 0
        inside = np.bincount(numbers[mask], minlength=len(sizes))
        found = int(np.count_nonzero(asked & (inside >= FOUND_SHARE * sizes)))
        true_pieces = np.unique(pieces[mask & (numbers > 0)])
        false = int(np.count_nonzero(np.unique(pieces))) - len(true_pieces)
        rows.append((int(mask.sum()), int(inside[1:].sum()), found, false))
    return np.array(rows, np.int64)


def large_pieces(mask: BoolArray, smallest_voxels: float) -> Int32Array:
    """A number for each connected piece, corners included, that is large enough; 0 elsewhere."""
    pieces = np.zeros(mask.shape, np.int32)
    for box in ndimage.find_objects(mask.view(np.uint8)):
        labels, _ = ndimage.label(mask[box], np.ones((3, 3, 3)))
        large = np.bincount(labels.ravel()) >= smallest_voxels
        large[0] = False
        pieces[box] = np.where(large[labels], labels, 0)
    return pieces


def _ellipse_counts(slices: Int32Array, boxes: Float32Array, scores: Float32Array, lungs: BoolArray) -> Int64Array:
    best = np.zeros(lungs.shape, np.float32)
    for z, box, score in zip(slices, boxes, scores, strict=True):
        x0, y0, x1, y1 = (int(edge) for edge in (*np.floor(box[:2]), *np.ceil(box[2:])))
        across = (np.arange(x0, x1) + 0.5 - (box[0] + box[2]) / 2) / max(1e-3, (box[2] - box[0]) / 2)
        down = (np.arange(y0, y1) + 0.5 - (box[1] + box[3]) / 2) / max(1e-3, (box[3] - box[1]) / 2)
        part = best[z, y0:y1, x0:x1]
        np.maximum(part, score, out=part, where=down[:, None] ** 2 + across[None, :] ** 2 <= 1.0)
    values = best[lungs]
    return np.array([np.count_nonzero(values >= level) for level in SCORE_LEVELS], np.int64)
