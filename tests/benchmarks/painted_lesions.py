"""Lesion Dice of a model pack on synthetic lesions in the lungs of a real chest.

    python tests/benchmarks/painted_lesions.py --chests FOLDER --paintings 10 [--pack PACK]

FOLDER holds DICOM of chests without the disease. The newest study of each painted course is read with its earlier ones,
with true lung masks. Whether the chests were trained on is for the caller to know. The last line is one JSON object.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.model_input import InputContract
from pipeline.model_pack import load_model_pack
from pipeline.space_time import SpaceTimeNet
from pipeline.training.case_figures import PROBABILITIES, CaseFigures, evaluate_case
from pipeline.training.cases import Case
from pipeline.training.real_cases import paint_case, real_chest
from pipeline.training.real_lungs import RealStudy, read_real_studies

FIRST_PAINTING = 1000
"""Trainings paint fewer."""

BAR = 0.75

LEAST_DICE_ML = 0.5
PRIORS = (0, 1, 3)


def main() -> None:
    """Paint, read, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chests", type=Path, required=True)
    parser.add_argument("--paintings", type=int, default=4)
    parser.add_argument("--pack", type=Path)
    wanted = parser.parse_args()
    pack = load_model_pack(wanted.pack)
    net = pack.load_space_time_net("cpu")
    level = int(np.argmin([abs(value - pack.thresholds.lesion_probability) for value in PROBABILITIES]))
    cases = [case for series in chests_below(wanted.chests) for case in painted(series, wanted.paintings)]
    sys.stdout.write(json.dumps(report(net, cases, level)) + "\n")


def chests_below(folder: Path) -> list[list[RealStudy]]:
    """The series of each chest."""
    chests: dict[tuple[int, ...], list[RealStudy]] = defaultdict(list)
    for study in read_real_studies(folder):
        chests[study.volume_hu.shape].append(study)
    return list(chests.values())


def painted(series: Sequence[RealStudy], paintings: int) -> list[Case]:
    """Courses in one chest; those that are drawn healthy stay."""
    contract = InputContract()
    chest = real_chest(series, contract)
    return [
        paint_case(chest, number, rng=np.random.default_rng([7, number, 98]), contract=contract)
        for number in range(FIRST_PAINTING, FIRST_PAINTING + paintings)
    ]


def report(net: SpaceTimeNet, cases: Sequence[Case], level: int) -> dict[str, object]:
    """Dice of the diseased and false volume of the healthy, by number of earlier studies."""
    figures = {priors: [evaluate_case(net, case, priors) for case in cases] for priors in PRIORS}
    return {
        "benchmark": "painted_lesions",
        "cases": len(cases),
        "bar": BAR,
        "by_earlier_studies": {str(priors): _figures(read, level) for priors, read in figures.items()},
    }


def _figures(read: Sequence[CaseFigures], level: int) -> dict[str, object]:
    dices = [one.masks[level].dice for one in read if one.lesion_ml >= LEAST_DICE_ML]
    healthy = [one.masks[level].involvement_percent for one in read if one.lesion_ml == 0.0]
    return {
        "diseased": len(dices),
        "dice": round(float(np.mean(dices)), 4) if dices else None,
        "healthy": len(healthy),
        "healthy_highest_percent": round(max(healthy), 3) if healthy else None,
    }


if __name__ == "__main__":
    main()
