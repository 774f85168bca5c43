"""How much of a lesion is found beside the edge of a field of view that cuts the lungs.

    python tests/benchmarks/cut_lungs.py --phantoms 4 [--pack PACK]

Diseased phantoms are analysed by way of DICOM files twice, whole and with nothing but padding outside a circle of 190 to 240 mm.
For bands of distance to that circle: the share of the voxels of true lesions that was found in the whole study and in the cut
one, and what was found where there is none, as a share of the healthy lung there. The last line is one JSON object; all voxels
of all phantoms count alike.
"""

import argparse
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from phantom_study import analysed_study

from pipeline.engine import Engine, build_engine
from pipeline.model_pack import load_model_pack
from pipeline.phantom import Course, PhantomStudy, build_patient, render_study
from pipeline.phantom.scan import Scan
from pipeline.study import BoolArray, Float32Array

FIRST_SEED = 3_200_000
"""Neither trained nor evaluated on elsewhere."""

PADDING_HU = -1024
BANDS_MM = (0.0, 12.0, 24.0, 48.0, float("inf"))
DAY = 10.0


def main() -> None:
    """Render, cut, analyse, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantoms", type=int, default=4)
    parser.add_argument("--pack", type=Path)
    wanted = parser.parse_args()
    engine = build_engine(load_model_pack(wanted.pack), torch.device("cpu"))
    counts = np.zeros((len(BANDS_MM) - 1, 6), np.int64)
    for seed in range(FIRST_SEED, FIRST_SEED + wanted.phantoms):
        scan = Scan(seed=seed, slice_spacing_mm=5.0, fov_mm=380.0)
        study = render_study(build_patient(seed, course=Course.ADVANCED), DAY, scan=scan)
        radius_mm = float(np.random.default_rng(seed).uniform(95.0, 120.0))
        counts += counted(engine, study, inside_by_mm(study, radius_mm), seed)
    bands = {
        f"{low:g}..{high:g} mm": shares(row)
        for (low, high), row in zip(itertools.pairwise(BANDS_MM), counts.tolist(), strict=True)
    }
    sys.stdout.write(json.dumps({"benchmark": "cut_lungs", "phantoms": wanted.phantoms, "bands": bands}) + "\n")


def shares(row: list[int]) -> dict[str, float | int | None]:
    """Of one band, from its counts."""
    true, whole, cut, healthy, false_whole, false_cut = row

    def of(part: int, all_of_them: int) -> float | None:
        return round(part / all_of_them, 4) if all_of_them else None

    return {
        "true_voxels": true,
        "found_whole": of(whole, true),
        "found_cut": of(cut, true),
        "false_whole": of(false_whole, healthy),
        "false_cut": of(false_cut, healthy),
    }


def inside_by_mm(study: PhantomStudy, radius_mm: float) -> Float32Array:
    """(Y, X): distance to the circle about the middle of the image, negative outside."""
    rows, columns = study.volume_hu.shape[1:]
    y = (np.arange(rows) - (rows - 1) / 2.0) * study.spacing_mm[1]
    x = (np.arange(columns) - (columns - 1) / 2.0) * study.spacing_mm[2]
    return np.asarray(radius_mm - np.hypot(y[:, None], x), dtype=np.float32)


def counted(engine: Engine, study: PhantomStudy, inside_mm: Float32Array, seed: int) -> np.ndarray:
    """(bands, 6): true voxels, those found whole and cut; voxels of healthy lung, those called lesion whole and cut."""
    cut_hu = np.where(inside_mm >= 0.0, study.volume_hu, PADDING_HU).astype(np.int16)
    whole = found(engine, study, f"whole {seed}")
    cut = found(engine, replace(study, volume_hu=cut_hu), f"cut {seed}")
    lesion = study.lesion_labels > 0
    healthy = (study.lung_mask > 0) & ~lesion
    rows = []
    for low, high in itertools.pairwise(BANDS_MM):
        band = np.broadcast_to((inside_mm >= low) & (inside_mm < high), lesion.shape)
        rows.append(
            [
                int(np.count_nonzero(part & band))
                for part in (lesion, lesion & whole, lesion & cut, healthy, healthy & whole, healthy & cut)
            ]
        )
    return np.array(rows)


def found(engine: Engine, study: PhantomStudy, name: str) -> BoolArray:
    """Where the pipeline reports lesions."""
    return analysed_study(engine, study, uid_seed=name).lesion_labels > 0


if __name__ == "__main__":
    main()
