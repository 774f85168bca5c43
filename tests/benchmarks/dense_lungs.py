"""What becomes of lungs that are dense in large part: consolidation, ground glass without an edge, fluid.

    python tests/benchmarks/dense_lungs.py --phantoms 2 [--pack PACK]

Healthy phantoms are filled in part with one density, wholly and without bronchograms, which is harder than most disease, and
analysed by way of DICOM files. For each filling: overlap of the lungs that were found with the true ones, involvement found and
true, in per cent, and the share of the phantoms in which something is said to be as dense as fluid; of fluid the truth is that
what it fills is lung no longer and nothing is involved. The last line is one JSON object; means over the phantoms.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from phantom_study import analysed_study
from scipy import ndimage

from pipeline.engine import Engine, build_engine
from pipeline.errors import PipelineError
from pipeline.model_pack import load_model_pack
from pipeline.phantom import Course, PhantomStudy, build_patient, render_study
from pipeline.phantom.scan import Scan
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray
from pipeline.warp import dice

FIRST_SEED = 3_100_000
"""Neither trained nor evaluated on elsewhere."""

GROUND_GLASS_HU, CONSOLIDATION_HU, FLUID_HU = -500.0, 35.0, 8.0
NOISE_HU = 15.0
EDGE_PIXELS = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What is filled, and with what."""

    part: BoolArray
    density_hu: float
    is_lung: bool = True


def main() -> None:
    """Render, fill, analyse, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantoms", type=int, default=2)
    parser.add_argument("--pack", type=Path)
    wanted = parser.parse_args()
    engine = build_engine(load_model_pack(wanted.pack), torch.device("cpu"))
    rows: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + wanted.phantoms):
        scan = Scan(seed=seed, slice_spacing_mm=5.0, fov_mm=380.0)
        study = render_study(build_patient(seed, course=Course.HEALTHY), 8.0, scan=scan)
        for name, filling in fillings(study, np.random.default_rng(seed)).items():
            rows.setdefault(name, []).append(measured(engine, study, filling, seed))
    names = ("lung_dice", "involvement_percent", "true_involvement_percent", "said_to_be_fluid")
    means = {name: dict(zip(names, np.mean(row, axis=0).round(3).tolist(), strict=True)) for name, row in rows.items()}
    sys.stdout.write(json.dumps({"benchmark": "dense_lungs", "phantoms": wanted.phantoms, "fillings": means}) + "\n")


def fillings(study: PhantomStudy, rng: np.random.Generator) -> Mapping[str, Filling]:
    """By name; the first fills nothing."""
    lungs = study.lung_mask > 0
    right, left = study.lung_mask == RIGHT_LUNG, study.lung_mask == LEFT_LUNG
    rows = np.broadcast_to(np.arange(lungs.shape[1])[None, :, None], lungs.shape)
    front, back = np.flatnonzero(lungs.any(axis=(0, 2)))[[0, -1]]

    def behind(share: float) -> BoolArray:
        return np.asarray(rows > front + share * (back - front))

    bumps = ndimage.gaussian_filter(rng.standard_normal(lungs.shape).astype(np.float32), (2.5, 18.0, 18.0))
    patches = lungs & (bumps > np.median(bumps[lungs]))
    white = {
        "back half of both lungs consolidated": lungs & behind(0.5),
        "left lung consolidated": left,
        "patches, half of both lungs consolidated": patches,
    }
    hazy = {"right lung ground glass": right, "patches, half of both lungs ground glass": patches}
    wet = {"fluid behind the right lung": right & behind(0.65), "fluid in the place of the left lung": left}
    return (
        {"nothing": Filling(part=np.zeros_like(lungs), density_hu=0.0)}
        | {name: Filling(part=part, density_hu=CONSOLIDATION_HU) for name, part in white.items()}
        | {name: Filling(part=part, density_hu=GROUND_GLASS_HU) for name, part in hazy.items()}
        | {name: Filling(part=part, density_hu=FLUID_HU, is_lung=False) for name, part in wet.items()}
    )


def measured(engine: Engine, study: PhantomStudy, filling: Filling, seed: int) -> tuple[float, ...]:
    """Overlap of the lungs, involvement found and true, 1 where fluid is named; of a study that is refused nothing is found."""
    lungs = (study.lung_mask > 0) if filling.is_lung else (study.lung_mask > 0) & ~filling.part
    involved = filling.part & lungs
    true_percent = 100.0 * np.count_nonzero(involved) / np.count_nonzero(lungs)
    try:
        found = analysed_study(engine, filled(study, filling, seed), uid_seed=f"dense {seed}")
    except PipelineError:
        return 0.0, 0.0, true_percent, 0.0
    named = any("pleural effusion" in sentence for sentence in found.findings.qualifications)
    return dice(found.lung_mask > 0, lungs), found.findings.involvement_percent, true_percent, float(named)


def filled(study: PhantomStudy, filling: Filling, seed: int) -> PhantomStudy:
    """The study with a part filled; ground glass leaves what is denser as it is."""
    noise = np.random.default_rng(seed).standard_normal(study.volume_hu.shape).astype(np.float32)
    density = filling.density_hu + NOISE_HU * noise
    if filling.density_hu < FLUID_HU:
        density = np.maximum(density, study.volume_hu)
    share = ndimage.gaussian_filter(filling.part.astype(np.float32), (0.0, EDGE_PIXELS, EDGE_PIXELS))
    share = np.where(ndimage.binary_dilation(filling.part), share, 0.0)
    volume_hu = np.rint(study.volume_hu * (1.0 - share) + density * share).astype(np.int16)
    return replace(study, volume_hu=volume_hu)


if __name__ == "__main__":
    main()
