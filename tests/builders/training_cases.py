"""Training cases made in a moment: noisy lungs with one bright block that grows."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.training.cases import Case, CaseStudy, save_case

pytest.importorskip("monai", reason="training needs the extra `train` (MONAI)")

SHAPE = (6, 40, 48)


def small_case(seed: int, *, studies: int = 3) -> Case:
    """A patient whose lesion, number 1, grows from study to study."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(6, 16, size=2)
    return Case(
        name=f"small-{seed}",
        source="phantom",
        diseased=True,
        slice_spacing_mm=5.0,
        pixel_mm=1.5,
        studies=tuple(_study(rng, corner, side=6 + 4 * number, day=5.0 * number) for number in range(studies)),
    )


def save_small_cases(folder: Path, count: int) -> None:
    """As `load_cases` and `load_lung_slices` read them."""
    for seed in range(count):
        case = small_case(seed)
        save_case(folder / case.name, case)
        rng = np.random.default_rng(seed)
        labels = np.zeros((4, 3, 256, 256), np.uint8)
        labels[..., 80:180, 60:120], labels[..., 80:180, 140:200] = 1, 2
        images = np.where(labels > 0, 0.3, 0.8) + 0.02 * rng.standard_normal(labels.shape)
        np.savez(folder / case.name / "lungs.npz", images=images.astype(np.float16), labels=labels)


def _study(rng: np.random.Generator, corner: NDArray[np.int64], *, side: int, day: float) -> CaseStudy:
    volume_hu = rng.normal(-850.0, 30.0, SHAPE)
    truth = np.zeros((3, *SHAPE), np.uint8)
    truth[0, :, 4:-4, 4:-4] = 1
    rows, columns = (slice(int(start), int(start) + side) for start in corner)
    volume_hu[1:5, rows, columns] = rng.normal(-550.0, 30.0, volume_hu[1:5, rows, columns].shape)
    truth[1:, 1:5, rows, columns] = 1
    return CaseStudy(day=day, volume_hu=volume_hu.astype(np.int16), truth=truth)
