"""What the node says of real chests when the scan is worse than it was, or merely other.

    python tests/benchmarks/chest_changes.py FILE [FILE ...] [--pack PACK] [--changes NAME ...]

FILE as for `chest_volumes.py`. Each volume is shown as it is and with each change: noise, kernel, thickness of its slices, depth
of breath, calibration, field of view. Nothing of this is disease, so involvement should stay what it was. Noise is of the size given
on the volume's own pixels. The last line is one JSON object: lung volume, involvement, scores.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from chest_volumes import analysed, read_chest
from scipy import ndimage

from pipeline.engine import build_engine
from pipeline.model_pack import load_model_pack
from pipeline.study import Float32Array, Int16Array

Spacing = tuple[float, float, float]
Change = Callable[[Float32Array, Spacing], tuple[Float32Array, Spacing]]

SEED = 0
LUNG_BELOW_HU = -500.0


def main() -> None:
    """Change, analyse, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=list(CHANGES))
    wanted = parser.parse_args()
    engine = build_engine(load_model_pack(wanted.pack), torch.device("cpu"))
    found: dict[str, dict[str, dict[str, float]]] = {}
    for path in wanted.files:
        volume_hu, spacing_mm = read_chest(path)
        found[path.name] = {}
        for name in wanted.changes:
            changed, changed_mm = CHANGES[name](volume_hu.astype(np.float32), spacing_mm)
            figures = analysed(engine, _in_hu(changed), changed_mm)
            found[path.name][name] = figures
            sys.stdout.write(f"{path.name} {name}: {figures}\n")
    sys.stdout.write(json.dumps({"benchmark": "chest_changes", "chests": found}) + "\n")


def _in_hu(volume: Float32Array) -> Int16Array:
    return np.clip(np.rint(volume), -1024, 3071).astype(np.int16)


def _noisy(deviation_hu: float, grain_pixels: float) -> Change:
    """Noise that runs together over a grain, in the plane."""

    def change(volume: Float32Array, spacing_mm: Spacing) -> tuple[Float32Array, Spacing]:
        noise = np.random.default_rng(SEED).standard_normal(volume.shape, np.float32)
        if grain_pixels:
            noise = ndimage.gaussian_filter(noise, (0.0, grain_pixels, grain_pixels))
        return volume + noise * np.float32(deviation_hu / noise.std()), spacing_mm

    return change


def _blurred(volume: Float32Array, pixels: float) -> Float32Array:
    return np.asarray(ndimage.gaussian_filter(volume, (0.0, pixels, pixels)), dtype=np.float32)


def _sharp(volume: Float32Array, spacing_mm: Spacing) -> tuple[Float32Array, Spacing]:
    """As a kernel for bone does it: edges overshoot, and noise with them."""
    return _noisy(60.0, 0.0)(volume + 2.0 * (volume - _blurred(volume, 1.0)), spacing_mm)


def _smooth(volume: Float32Array, spacing_mm: Spacing) -> tuple[Float32Array, Spacing]:
    return _blurred(volume, 1.2), spacing_mm


def _thin(volume: Float32Array, spacing_mm: Spacing) -> tuple[Float32Array, Spacing]:
    """Slices of 1.25 mm, by interpolation."""
    thin = ndimage.zoom(volume, (spacing_mm[0] / 1.25, 1.0, 1.0), order=1)
    return np.asarray(thin, dtype=np.float32), (1.25, *spacing_mm[1:])


def _thick(volume: Float32Array, spacing_mm: Spacing) -> tuple[Float32Array, Spacing]:
    """Slices of some 7 mm, by averaging."""
    count = max(2, round(7.0 / spacing_mm[0]))
    whole = volume[: len(volume) // count * count]
    slabs: Float32Array = whole.reshape(-1, count, *volume.shape[1:]).mean(axis=1)
    return slabs, (spacing_mm[0] * count, *spacing_mm[1:])


def _shallow_breath(volume: Float32Array, spacing_mm: Spacing) -> tuple[Float32Array, Spacing]:
    """Lungs 50 HU denser in front and 150 HU at the back."""
    share = _blurred((volume < LUNG_BELOW_HU).astype(np.float32), 1.5)
    towards_back = np.linspace(0.0, 1.0, volume.shape[1], dtype=np.float32)[None, :, None]
    within = volume > -1000.0
    return volume + share * within * (50.0 + 100.0 * towards_back), spacing_mm


def _brighter(volume: Float32Array, spacing_mm: Spacing) -> tuple[Float32Array, Spacing]:
    return volume + 40.0, spacing_mm


def _darker(volume: Float32Array, spacing_mm: Spacing) -> tuple[Float32Array, Spacing]:
    return volume - 40.0, spacing_mm


def _cut(volume: Float32Array, spacing_mm: Spacing) -> tuple[Float32Array, Spacing]:
    """The field of view ends within one lung."""
    return np.ascontiguousarray(volume[:, :, : int(0.72 * volume.shape[2])]), spacing_mm


CHANGES: dict[str, Change] = {
    "as it is": lambda volume, spacing_mm: (volume, spacing_mm),
    "noise 30": _noisy(30.0, 0.7),
    "noise 60": _noisy(60.0, 0.7),
    "white noise 100": _noisy(100.0, 0.0),
    "sharp": _sharp,
    "smooth": _smooth,
    "thin": _thin,
    "thick": _thick,
    "shallow breath": _shallow_breath,
    "brighter": _brighter,
    "darker": _darker,
    "cut": _cut,
}


if __name__ == "__main__":
    main()
