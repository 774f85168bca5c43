"""Boxes of slices, linked into candidates in three dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.boxes import box_overlap
from pipeline.study import Float32Array

Int32Array: TypeAlias = NDArray[np.int32]

LINK_OVERLAP = 0.2
"""Intersection over union from which boxes of neighbouring slices are one candidate."""

TOP_SLICES = 3
"""The best boxes of a candidate, whose mean is its score."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxStack:
    """One box on each of some slices."""

    slices: Int32Array
    """(n,), ascending."""
    boxes: Float32Array
    """(n, 4): x0, y0, x1, y1 in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A lesion as a detector claims it."""

    boxes: BoxStack
    score: float


def link_boxes(slices: Int32Array, boxes: Float32Array, scores: Float32Array) -> tuple[Candidate, ...]:
    """Candidates, best first.

    Two boxes of neighbouring slices are linked where each is the other's best match there: with every overlapping pair
    linked, one box that two neighbouring lesions share would make one candidate of both.

    Args:
        slices: (n,), on which slice each box lies.
        boxes: (n, 4).
        scores: (n,).
    """
    chains = np.arange(len(slices))
    for below in np.unique(slices):
        lower, upper = np.flatnonzero(slices == below), np.flatnonzero(slices == below + 1)
        for one, other in _mutual_matches(boxes[lower], boxes[upper]):
            chains[upper[other]] = chains[lower[one]]
    order = np.lexsort((slices, chains))
    starts = np.flatnonzero(np.diff(chains[order])) + 1
    groups = np.split(order, starts) if len(order) else []
    found = [
        Candidate(boxes=BoxStack(slices=slices[group], boxes=boxes[group]), score=_top_mean(scores[group]))
        for group in groups
    ]
    return tuple(sorted(found, key=lambda candidate: -candidate.score))


def overlaps(candidates: Sequence[BoxStack], lesions: Sequence[BoxStack]) -> Float32Array:
    """(candidates, lesions) of intersections over unions in three dimensions; all slices are equally thick."""
    stacks = [*candidates, *lesions]
    if not candidates or not lesions:
        return np.zeros((len(candidates), len(lesions)), np.float32)
    last = max(int(stack.slices[-1]) for stack in stacks)
    dense = _dense(candidates, last + 1)
    areas = _areas(dense).sum(axis=1)
    columns: list[Float32Array] = []
    for lesion in _dense(lesions, last + 1):
        low, high = np.maximum(dense[..., :2], lesion[:, :2]), np.minimum(dense[..., 2:], lesion[:, 2:])
        common = np.clip(high - low, 0.0, None).prod(axis=-1).sum(axis=1)
        columns.append(common / np.maximum(areas + _areas(lesion).sum() - common, 1e-6))
    table: Float32Array = np.stack(columns, axis=1)
    return table


def _dense(stacks: Sequence[BoxStack], slices: int) -> Float32Array:
    """(stacks, slices, 4), empty boxes where a stack has none."""
    dense = np.zeros((len(stacks), slices, 4), np.float32)
    for row, stack in enumerate(stacks):
        dense[row, stack.slices] = stack.boxes
    return dense


def _areas(boxes: Float32Array) -> Float32Array:
    areas: Float32Array = (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
    return areas


def _top_mean(scores: Float32Array) -> float:
    return float(np.sort(scores)[-TOP_SLICES:].mean())


def _mutual_matches(lower: Float32Array, upper: Float32Array) -> list[tuple[int, int]]:
    """Pairs of indices that are each other's best match."""
    if not len(lower) or not len(upper):
        return []
    overlap = box_overlap(torch.from_numpy(lower), torch.from_numpy(upper)).numpy()
    best_above, best_below = overlap.argmax(axis=1), overlap.argmax(axis=0)
    return [
        (one, int(other))
        for one, other in enumerate(best_above)
        if best_below[other] == one and overlap[one, other] >= LINK_OVERLAP
    ]
