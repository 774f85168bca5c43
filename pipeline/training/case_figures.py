"""What Space-Time-Net does on whole cases that it was not trained on."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from pipeline.boxes import box_overlap, decode_boxes
from pipeline.evaluation.space_time_detector import kind_probabilities, newest_output
from pipeline.evaluation.truth import known_lung, known_region
from pipeline.patient_score import patient_features
from pipeline.space_time import SpaceTimeNet, StudyOutput
from pipeline.study import BoolArray, Float32Array, UInt8Array
from pipeline.training.cases import Case
from pipeline.training.sequences import boxes_of_slices

PROBABILITIES = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Thresholds of the lesion mask that are compared."""

BOX_SCORES = tuple(round(0.05 * step, 2) for step in range(2, 15))

SMALLEST_LESION_ML = 0.1

HIT_SHARE = 0.1
"""A lesion counts as found when this share of it is in the mask."""

BOX_HIT_OVERLAP = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFigures:
    """A lesion mask against the truth, at one threshold."""

    dice: float
    """nan where there is neither lesion nor mask."""
    found_lesions: int
    false_components: int
    false_ml: float
    involvement_percent: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseFigures:
    """One case read with a number of earlier studies."""

    name: str
    source: str
    priors: int
    lesions: int
    """In the newest study, of at least 0.1 ml."""
    lesion_ml: float
    masks: tuple[MaskFigures, ...]
    """One per `PROBABILITIES`."""
    kind_agreement: float
    """Share of true lesion voxels in the mask (at 0.5) whose kind is right; nan without any."""
    slice_logits: Float32Array
    slice_truth: BoolArray
    boxes: tuple[tuple[int, int, int], ...]
    """Per `BOX_SCORES`: hits, predicted boxes, true boxes."""
    features: tuple[tuple[float, float], ...]
    """Per `PROBABILITIES`, what the patient score is made of."""


def evaluate_case(net: SpaceTimeNet, case: Case, priors: int) -> CaseFigures:
    """The newest study of a case, read with up to `priors` of the earlier ones."""
    studies = case.studies[-1 - min(priors, len(case.studies) - 1) :]
    output = newest_output(net, studies)
    newest = studies[-1]
    # Where nobody said what there is, nothing is right or wrong.
    lungs, region = known_lung(newest), known_region(newest)
    by_kind = kind_probabilities(output, newest.volume_hu.shape[1:])
    probability = np.asarray(by_kind.sum(axis=1) * lungs)
    voxel_ml = case.slice_spacing_mm * case.pixel_mm**2 / 1000.0
    numbers = np.where(region, newest.truth[1], 0)
    masks = tuple(_mask_figures(probability >= value, numbers, lungs, voxel_ml) for value in PROBABILITIES)
    counts = np.bincount(numbers.ravel(), minlength=2)[1:] * voxel_ml
    return CaseFigures(
        name=case.name,
        source=case.source,
        priors=len(studies) - 1,
        lesions=int((counts >= SMALLEST_LESION_ML).sum()),
        lesion_ml=float(counts.sum()),
        masks=masks,
        kind_agreement=_kind_agreement(
            probability >= 0.5, by_kind, np.where(region, newest.truth[2], 0).astype(np.uint8)
        ),
        slice_logits=output.slice_logits.numpy(),
        slice_truth=(numbers > 0).sum(axis=(1, 2)) >= 12,
        boxes=tuple(_box_counts(output, numbers, score) for score in BOX_SCORES),
        features=tuple(patient_features(output.slice_logits, mask.involvement_percent) for mask in masks),
    )


def _mask_figures(mask: BoolArray, numbers: UInt8Array, lungs: BoolArray, voxel_ml: float) -> MaskFigures:
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * voxel_ml
    kept = sizes >= SMALLEST_LESION_ML
    kept[0] = False
    mask = kept[labels]
    truth = numbers > 0
    touching = np.unique(labels[truth & mask])
    total = int(mask.sum() + truth.sum())
    return MaskFigures(
        dice=2.0 * float((mask & truth).sum()) / total if total else float("nan"),
        found_lesions=_found(mask, numbers, voxel_ml),
        false_components=int(kept.sum()) - len(touching),
        false_ml=float((mask & ~truth).sum()) * voxel_ml,
        involvement_percent=100.0 * float((mask & lungs).sum()) / max(1, int(lungs.sum())),
    )


def _found(mask: BoolArray, numbers: UInt8Array, voxel_ml: float) -> int:
    sizes = np.bincount(numbers.ravel(), minlength=2).astype(float)
    inside = np.bincount(numbers[mask].ravel(), minlength=len(sizes)).astype(float)
    hits = (inside >= HIT_SHARE * sizes) & (sizes * voxel_ml >= SMALLEST_LESION_ML)
    return int(hits[1:].sum())


def _kind_agreement(mask: BoolArray, by_kind: Float32Array, kind: UInt8Array) -> float:
    both = mask & (kind > 0)
    if not both.any():
        return float("nan")
    return float((by_kind.argmax(axis=1)[both] + 1 == kind[both]).mean())


def _box_counts(output: StudyOutput, numbers: UInt8Array, score: float) -> tuple[int, int, int]:
    """Hits, predicted boxes and true boxes over all slices."""
    truth = boxes_of_slices(torch.from_numpy(numbers.astype(np.int32)))
    hits = predicted = real = 0
    for found, rows in zip(decode_boxes(output.box_maps, score_threshold=score), truth, strict=True):
        boxes = rows[~torch.isnan(rows[:, 0])]
        predicted, real = predicted + len(found.boxes), real + len(boxes)
        if len(boxes) and len(found.boxes):
            hits += int((box_overlap(boxes, found.boxes).amax(dim=1) >= BOX_HIT_OVERLAP).sum())
    return hits, predicted, real
