"""Claimed lesions against true ones: FROC, average precision, accuracy of target detection.

A claim meets a lesion where their stacks of boxes overlap by at least a tenth (intersection over union in three
dimensions), the convention for diffuse findings of nnDetection and of MONAI's detection metrics.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.lesion_boxes import Candidate, Int32Array, overlaps
from pipeline.evaluation.truth import TrueLesion
from pipeline.study import BoolArray, Float64Array

HIT_OVERLAP = 0.1

FALSE_POSITIVE_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Per scan, of the competition performance metric of LUNA16 (Setio et al. 2017)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionClaims:
    """What was claimed of many patients, one scan each; rows belong to the patient whose index they hold."""

    patients: int
    claim_patient: Int32Array
    claim_score: Float64Array
    claim_correct: BoolArray
    """The best claim that meets a lesion is correct, another one about the same lesion is not."""
    alarm_patient: Int32Array
    alarm_score: Float64Array
    """Claims that meet no lesion at all, the false positives of the FROC."""
    lesion_patient: Int32Array
    lesion_score: Float64Array
    """Of the best claim that meets the lesion; minus infinity where none does."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrocCurve:
    """Sensitivity to lesions against false positives per scan, both rising."""

    false_positives: Float64Array
    sensitivity: Float64Array


def claims_of(scans: Sequence[tuple[Sequence[Candidate], Sequence[TrueLesion]]]) -> LesionClaims:
    """Candidates beside lesions, one scan per patient.

    Lesions too small to count may be claimed or not. A candidate takes the lesion it overlaps most of those that no
    better candidate took.
    """
    claims: list[tuple[int, float, bool]] = []
    alarms: list[tuple[int, float]] = []
    lesions: list[tuple[int, float]] = []
    for patient, (candidates, true) in enumerate(scans):
        table = overlaps([each.boxes for each in candidates], [each.boxes for each in true])
        meets = table >= HIT_OVERLAP
        scores = np.array([each.score for each in candidates])
        claims += [(patient, score, hit) for score, hit in _matched(table, scores, [each.counts for each in true])]
        alarms += [(patient, float(score)) for score in scores[~meets.any(axis=1)]]
        best = np.where(meets, scores[:, None], -np.inf).max(axis=0, initial=-np.inf)
        lesions += [(patient, float(score)) for score, lesion in zip(best, true, strict=True) if lesion.counts]
    return LesionClaims(
        patients=len(scans),
        claim_patient=np.array([row[0] for row in claims], np.int32),
        claim_score=np.array([row[1] for row in claims], np.float64),
        claim_correct=np.array([row[2] for row in claims], np.bool_),
        alarm_patient=np.array([row[0] for row in alarms], np.int32),
        alarm_score=np.array([row[1] for row in alarms], np.float64),
        lesion_patient=np.array([row[0] for row in lesions], np.int32),
        lesion_score=np.array([row[1] for row in lesions], np.float64),
    )


def froc_curve(claims: LesionClaims, weights: Float64Array | None = None) -> FrocCurve:
    """One point per score; a patient of weight 2 counts as two."""
    weights = np.ones(claims.patients) if weights is None else weights
    scores = np.unique(np.concatenate([claims.alarm_score, claims.lesion_score]))[::-1]
    scores = scores[np.isfinite(scores)]
    lesions = weights[claims.lesion_patient]
    false = _weight_from(claims.alarm_score, weights[claims.alarm_patient], scores) / weights.sum()
    found = _weight_from(claims.lesion_score, lesions, scores) / (lesions.sum() or math.nan)
    return FrocCurve(
        false_positives=np.concatenate([[0.0], false]), sensitivity=np.concatenate([[0.0 * found.sum()], found])
    )


def froc_sensitivities(curve: FrocCurve) -> tuple[float, ...]:
    """At `FALSE_POSITIVE_RATES`, between points along a straight line; beyond the last point nothing more is found."""
    values = np.interp(FALSE_POSITIVE_RATES, curve.false_positives, curve.sensitivity)
    return tuple(float(value) for value in values)


def average_precision(claims: LesionClaims, weights: Float64Array | None = None) -> float:
    """Area under the curve of the best precision that is still to be had at each recall."""
    weights = np.ones(claims.patients) if weights is None else weights
    lesions = float(weights[claims.lesion_patient].sum())
    if not lesions:
        return math.nan
    order = np.argsort(-claims.claim_score, kind="stable")
    worth, correct = weights[claims.claim_patient][order], claims.claim_correct[order]
    hits, all_claims = np.cumsum(worth * correct), np.cumsum(worth)
    precision = hits / np.maximum(all_claims, 1e-9)
    still_to_be_had = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(hits, prepend=0.0) * still_to_be_had) / lesions)


def target_accuracy(claims: LesionClaims, score: float, weights: Float64Array | None = None) -> float:
    """Correct claims among correct, false and missing ones, of the claims with at least this score.

    The paper names no definition of its "accuracy of target detection"; this one has no true negatives, of which there
    is no count.
    """
    weights = np.ones(claims.patients) if weights is None else weights
    made = claims.claim_score >= score
    worth = weights[claims.claim_patient]
    correct, false = float(worth[made & claims.claim_correct].sum()), float(worth[made & ~claims.claim_correct].sum())
    missed = float(weights[claims.lesion_patient].sum()) - correct
    return correct / (correct + false + missed) if correct + false + missed else math.nan


def best_score(claims: LesionClaims) -> float:
    """Where F1 of the claims is highest, which is where their accuracy is; 0.5 where nothing was claimed rightly."""
    order = np.argsort(-claims.claim_score, kind="stable")
    hits = np.cumsum(claims.claim_correct[order])
    if not len(hits) or not hits[-1]:
        return 0.5
    f1 = 2.0 * hits / (np.arange(1, len(hits) + 1) + len(claims.lesion_score))
    return float(claims.claim_score[order][int(np.argmax(f1))])


def _matched(table: np.ndarray, scores: Float64Array, counts: Sequence[bool]) -> list[tuple[float, bool]]:
    """Score of each claim with whether it is correct; those about lesions that do not count are left out."""
    free = table.copy()
    rows: list[tuple[float, bool]] = []
    for row in np.argsort(-scores, kind="stable"):
        best = int(free[row].argmax()) if len(counts) else -1
        hit = best >= 0 and free[row, best] >= HIT_OVERLAP
        if hit and counts[best]:
            free[:, best] = 0.0
        if not hit or counts[best]:
            rows.append((float(scores[row]), bool(hit)))
    return rows


def _weight_from(values: Float64Array, weights: Float64Array, thresholds: Float64Array) -> Float64Array:
    """Per falling threshold, the weight of the values that reach it."""
    order = np.argsort(-values, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    sums: Float64Array = total[np.searchsorted(-values[order], -thresholds, side="right")]
    return sums
