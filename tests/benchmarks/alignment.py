"""How well earlier studies are laid on the current one, on phantom pairs whose lesions changed in between.

    python tests/benchmarks/alignment.py --pairs 4

Each pair is one patient on two days, turned, shifted, bent and at another level of breath. The true lungs go in; the
target registration error is measured at random points of them, in mm. `growth` holds the change of volume of each lesion
as the software measures it against the true one, in per cent: `seen` if volumes were counted on the warped study,
`measured` as it is done. `cut` holds the same errors, at points that both show, where the base or the apex of one of the
two is not imaged: 40 % of the height of the lungs. The last line is one JSON object.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK

from pipeline.affine_fit import box_transform, chest_of
from pipeline.align import AlignedPrior, Alignment, align_prior
from pipeline.chest_volume import ChestVolume, chest_volume
from pipeline.orient import LpsVolume, sub_grid
from pipeline.phantom import Course, PhantomStudy, Scan, build_patient, render_study
from pipeline.study import BoolArray, Float64Array, Grid
from pipeline.warp import dice, warp_labels

DAYS = (3.0, 9.0)
POINTS = 1500
CUT_SHARE = 0.4
"""Of the height of the lungs."""
SMALLEST_ML = 1.0
"""Smaller lesions are a few voxels of these phantoms."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Two studies of a phantom patient."""

    earlier: PhantomStudy
    current: PhantomStudy


def main() -> None:
    """Render, align, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=70)
    arguments = parser.parse_args()
    pairs = [pair_of(arguments.seed + number) for number in range(arguments.pairs)]
    measured, cut_measured = [figures(pair) for pair in pairs], [cut_figures(pair) for pair in pairs]
    methods = {name: mean_of([one[name] for one in measured]) for name in measured[0]}
    cut_off = {name: mean_of([one[name] for one in cut_measured]) for name in cut_measured[0]}
    report = {"benchmark": "alignment", "pairs": arguments.pairs, "points": POINTS, "methods": methods, "cut": cut_off}
    sys.stdout.write(json.dumps(report) + "\n")


def pair_of(seed: int) -> Pair:
    """A patient whose lesions grow, in two positions and at two levels of breath."""
    rng = np.random.default_rng(seed)
    patient = build_patient(seed, course=Course.ADVANCED)
    scan = Scan(seed=seed, matrix=224, slice_spacing_mm=2.5, slice_thickness_mm=1.5)
    moved = Scan(
        seed=seed + 1,
        matrix=224,
        slice_spacing_mm=2.5,
        slice_thickness_mm=1.5,
        breath=float(rng.uniform(0.9, 0.97)),
        shift_mm=tuple(rng.uniform(-12, 12, 3).tolist()),
        rotation_deg=tuple(rng.uniform(-4, 4, 3).tolist()),
        elastic_mm=4.0,
        elastic_seed=seed,
    )
    return Pair(earlier=render_study(patient, DAYS[0], scan=moved), current=render_study(patient, DAYS[1], scan=scan))


def figures(pair: Pair) -> dict[str, dict[str, float]]:
    """Of every method for one pair."""
    earlier, current = (chest_volume(lps_of(one), one.lung_mask) for one in (pair.earlier, pair.current))
    fixed = chest_of(current)
    points = points_in(current.lps.grid, pair.current.lung_mask > 0)
    truth = pair.earlier.frame.scan_mm(pair.current.frame.patient_mm(points))
    box = box_transform(fixed, chest_of(earlier))
    found: dict[str, dict[str, float]] = {}
    for name, transform in (("none", SimpleITK.Transform()), ("lung box", box)):
        found[name] = errors_mm(transform, points, truth) | {"lung_dice": overlap(pair, transform)}
    for alignment in Alignment:
        began = time.process_time()
        aligned = align_prior(earlier, current, fixed, alignment=alignment)
        found[alignment.value] = {
            **errors_mm(aligned.prior_from_current, points, truth),
            "lung_dice": aligned.lung_dice,
            "processor_s": time.process_time() - began,
            "bends": float(aligned.volume_change.jacobian is not None),
            **growth_errors_percent(pair, aligned),
        }
    return found


def cut_figures(pair: Pair) -> dict[str, dict[str, float]]:
    """Of every method, with the base or the apex of one of the two studies cut off."""
    found: dict[str, dict[str, float]] = {}
    for end in ("base", "apex"):
        for is_current in (False, True):
            earlier = cut_off(pair.earlier, "none" if is_current else end)
            current = cut_off(pair.current, end if is_current else "none")
            fixed = chest_of(current)
            for alignment in Alignment:
                aligned = align_prior(earlier, current, fixed, alignment=alignment)
                points = points_in(current.lps.grid, (current.lung_mask > 0) & aligned.valid)
                truth = pair.earlier.frame.scan_mm(pair.current.frame.patient_mm(points))
                name = f"{end} of the {'current' if is_current else 'earlier'}, {alignment.value}"
                found[name] = errors_mm(aligned.prior_from_current, points, truth)
    return found


def cut_off(study: PhantomStudy, end: str) -> ChestVolume:
    """Without the slices of one end of the lungs, "base", "apex" or "none"."""
    volume, lungs = lps_of(study), study.lung_mask
    with_lung = np.flatnonzero(lungs.any(axis=(1, 2)))
    lost = round(CUT_SHARE * len(with_lung))
    start = int(with_lung[0]) + lost if end == "base" else 0
    stop = int(with_lung[-1]) + 1 - lost if end == "apex" else len(lungs)
    box = (slice(start, stop), *(slice(0, size) for size in lungs.shape[1:]))
    grid = sub_grid(volume.grid, box)
    part = LpsVolume(volume_hu=volume.volume_hu[box], grid=grid, source_grid=grid)
    return chest_volume(part, np.ascontiguousarray(lungs[box]))


def errors_mm(transform: SimpleITK.Transform, points: Float64Array, truth: Float64Array) -> dict[str, float]:
    """Distances between where points are said to come from and where they come from."""
    found = np.array([transform.TransformPoint(point) for point in points.tolist()])
    distances = np.linalg.norm(found - truth, axis=1)
    return {
        "mean_mm": float(distances.mean()),
        "median_mm": float(np.median(distances)),
        "p95_mm": float(np.percentile(distances, 95)),
    }


def overlap(pair: Pair, transform: SimpleITK.Transform) -> float:
    """Dice of the lungs."""
    target = lps_of(pair.current).grid
    moved = warp_labels(pair.earlier.lung_mask, lps_of(pair.earlier).grid, target, transform)
    return dice(pair.current.lung_mask > 0, moved > 0)


def growth_errors_percent(pair: Pair, aligned: AlignedPrior) -> dict[str, float]:
    """How wrong the volume before, and with it the growth, of each lesion is: median over lesions."""
    current, earlier = lps_of(pair.current).grid, lps_of(pair.earlier).grid
    labels = warp_labels(pair.earlier.lesion_labels, earlier, current, aligned.prior_from_current)
    factors = aligned.volume_change.by_label(labels, current)
    seen_ml = np.bincount(labels.ravel(), minlength=len(factors)) * current.voxel_volume_ml
    now_ml = {lesion.number: lesion.volume_ml for lesion in pair.current.lesions}
    rows = [
        (now_ml[lesion.number] / lesion.volume_ml, seen_ml[lesion.number] / lesion.volume_ml, factors[lesion.number])
        for lesion in pair.earlier.lesions
        if lesion.number in now_ml and lesion.volume_ml >= SMALLEST_ML and lesion.number < len(factors)
    ]
    growth, seen, factor = (np.array(column) for column in zip(*rows, strict=True))
    return {
        "true_growth": float(np.median(growth)),
        "growth_seen_error_percent": float(np.median(np.abs(100.0 / seen - 100.0))),
        "growth_measured_error_percent": float(np.median(np.abs(100.0 / (seen * factor) - 100.0))),
        "lesions": float(len(rows)),
    }


def points_in(grid: Grid, mask: BoolArray) -> Float64Array:
    """Random points of a mask, x, y, z in LPS."""
    rng = np.random.default_rng(1)
    voxels = np.argwhere(mask)
    chosen = voxels[rng.choice(len(voxels), POINTS, replace=False)]
    points: Float64Array = chosen @ grid.affine_lps_from_kji[:3, :3].T + grid.affine_lps_from_kji[:3, 3]
    return points


def lps_of(study: PhantomStudy) -> LpsVolume:
    """A phantom as the pipeline reads it."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, study.spacing_mm[2]], [0, study.spacing_mm[1], 0], [study.spacing_mm[0], 0, 0]])
    affine[:3, 3] = study.origin_lps_mm
    shape = study.volume_hu.shape
    grid = Grid(shape=(shape[0], shape[1], shape[2]), affine_lps_from_kji=affine)
    return LpsVolume(volume_hu=study.volume_hu, grid=grid, source_grid=grid)


def mean_of(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Over the pairs."""
    return {key: round(float(np.mean([row[key] for row in rows])), 3) for key in rows[0]}


if __name__ == "__main__":
    main()
