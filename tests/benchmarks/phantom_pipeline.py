"""What the whole pipeline says of phantom patients that no network was trained on: lungs, involvement, lesions.

    python tests/benchmarks/phantom_pipeline.py --healthy 100 --diseased 20 --severe 20 [--pack PACK]

Every patient is written as DICOM and read back by the pipeline. The bars are those that the project set itself. The last
line is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from phantom_study import analysed_study

from pipeline.engine import Engine, build_engine
from pipeline.model_input import InputContract
from pipeline.model_pack import load_model_pack
from pipeline.phantom import Course, build_patient, render_study
from pipeline.training.phantom_scans import draw_posture, draw_scan, model_spacing
from pipeline.warp import dice

FIRST_SEED = 3_000_000
"""Neither trained nor evaluated on elsewhere."""

LEAST_DICE_ML = 0.5
"""Studies with less lesion have no Dice worth averaging."""

LUNG_BAR, SEVERE_LUNG_BAR, HEALTHY_LIMIT_PERCENT, HEALTHY_BAR = 0.97, 0.95, 1.0, 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One patient."""

    course: Course
    lung_dice: float
    involvement_percent: float
    true_involvement_percent: float
    lesion_dice: float
    """nan with hardly any lesion."""
    patient_score: float


def main() -> None:
    """Render, write, analyse, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--healthy", type=int, default=4)
    parser.add_argument("--diseased", type=int, default=3)
    parser.add_argument("--severe", type=int, default=1)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    parser.add_argument("--pack", type=Path)
    wanted = parser.parse_args()
    engine = build_engine(load_model_pack(wanted.pack), torch.device("cpu"))
    diseased = [Course.EARLY, Course.ADVANCED, Course.ABSORPTION]
    courses = [Course.HEALTHY] * wanted.healthy + [diseased[n % 3] for n in range(wanted.diseased)]
    courses += [Course.SEVERE] * wanted.severe
    figures = [measured(engine, wanted.seed + number, course) for number, course in enumerate(courses)]
    sys.stdout.write(json.dumps(report(figures)) + "\n")


def measured(engine: Engine, seed: int, course: Course) -> Figures:
    """One patient on a day of illness, by way of DICOM files."""
    rng = np.random.default_rng([seed, 79])
    contract = InputContract()
    spacing = model_spacing(float(rng.choice([2.5, 5.0])), contract)
    scan = draw_posture(rng, draw_scan(rng, spacing, contract))
    truth = render_study(build_patient(seed, course=course), float(rng.uniform(6.0, 12.0)), scan=scan)
    found = analysed_study(engine, truth, uid_seed=f"benchmark {seed}")
    lungs, lesion = truth.lung_mask > 0, truth.lesion_labels > 0
    lesion_ml = np.count_nonzero(lesion) * float(np.prod(truth.spacing_mm)) / 1000.0
    return Figures(
        course=course,
        lung_dice=dice(found.lung_mask > 0, lungs),
        involvement_percent=found.findings.involvement_percent,
        true_involvement_percent=100.0 * np.count_nonzero(lesion & lungs) / np.count_nonzero(lungs),
        lesion_dice=dice(found.lesion_labels > 0, lesion) if lesion_ml >= LEAST_DICE_ML else float("nan"),
        patient_score=found.findings.patient_score,
    )


def report(figures: Sequence[Figures]) -> dict[str, object]:
    """All figures with their bars."""
    healthy = [one for one in figures if one.course is Course.HEALTHY]
    ill = [one for one in figures if one.course is not Course.HEALTHY]
    errors = [one.involvement_percent - one.true_involvement_percent for one in ill]
    return {
        "benchmark": "phantom_pipeline",
        "patients": {course.value: sum(one.course is course for one in figures) for course in Course},
        "lung_dice": _summary([one.lung_dice for one in figures], LUNG_BAR),
        "lung_dice_severe": _summary([one.lung_dice for one in ill if one.course is Course.SEVERE], SEVERE_LUNG_BAR),
        "healthy_below_1_percent": _summary(
            [float(one.involvement_percent < HEALTHY_LIMIT_PERCENT) for one in healthy], HEALTHY_BAR
        ),
        "healthy_highest_percent": max((one.involvement_percent for one in healthy), default=None),
        "lesion_dice": _summary([one.lesion_dice for one in ill if one.lesion_dice >= 0.0], None),
        "involvement_error_points": _summary(errors, None),
        "patient_scores": {
            course.value: sorted(round(one.patient_score, 3) for one in figures if one.course is course)
            for course in Course
        },
    }


def _summary(values: Sequence[float], bar: float | None) -> dict[str, object]:
    if not values:
        return {"n": 0}
    mean = float(np.mean(values))
    summary: dict[str, object] = {"n": len(values), "mean": round(mean, 4), "sd": round(float(np.std(values)), 4)}
    summary |= {"lowest": round(float(min(values)), 4), "highest": round(float(max(values)), 4)}
    return summary if bar is None else summary | {"bar": bar, "reached": mean >= bar}


if __name__ == "__main__":
    main()
