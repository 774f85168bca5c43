"""Real chests for training: their pseudo-masks, and lesions set into them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.model_input import InputContract
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, Int16Array
from pipeline.training.cases import load_cases, lung_window
from pipeline.training.real_cases import save_real_cases
from pipeline.training.real_lungs import RealStudy, pseudo_lung_mask

SPACING_MM = (5.0, 3.0, 3.0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def chest(*, bowel_gas: bool = False) -> Int16Array:
    """A body with two lungs, a trachea between them, and perhaps gas below them."""
    z, y, x = np.ogrid[:24, :100, :120]
    volume_hu = np.full((24, 100, 120), -1000, np.int16)
    volume_hu[np.broadcast_to(((y - 50) / 45) ** 2 + ((x - 60) / 55) ** 2 < 1, volume_hu.shape)] = 40
    for centre in (33, 87):
        inside = ((z - 13) / 10) ** 2 + ((y - 50) / 30) ** 2 + ((x - centre) / 20) ** 2 < 1
        volume_hu[inside] = -850
    volume_hu[10:, 46:51, 58:63] = -1000
    if bowel_gas:
        volume_hu[:2, 30:40, 55:65] = -1000
    return volume_hu


def test_pseudo_masks_tell_right_from_left() -> None:
    """x runs from the patient's right to left."""
    mask = pseudo_lung_mask(chest(), SPACING_MM)
    assert mask[13, 50, 33] == RIGHT_LUNG
    assert mask[13, 50, 87] == LEFT_LUNG


def test_pseudo_masks_hold_neither_trachea_nor_bowel_gas_nor_the_air_outside() -> None:
    """Only lungs teach the lung network."""
    mask = pseudo_lung_mask(chest(bowel_gas=True), SPACING_MM)
    assert not mask[:, 46:51, 58:63].any()
    assert not mask[0].any()
    assert not mask[:, 0].any()


def test_pseudo_masks_cover_the_lungs() -> None:
    """Dice against the lungs that were drawn."""
    volume_hu = chest()
    truth = volume_hu == -850
    mask = pseudo_lung_mask(volume_hu, SPACING_MM) > 0
    assert 2.0 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.95


def test_lesions_are_set_into_the_lungs_and_nowhere_else(tmp_path: Path) -> None:
    """What is not lesion keeps the voxels of the real scan."""
    volume_hu = chest()
    lungs = pseudo_lung_mask(volume_hu, SPACING_MM)
    study = RealStudy(name="real-0", volume_hu=volume_hu, spacing_mm=SPACING_MM, lung_mask=lungs)
    save_real_cases([study], tmp_path, 6, contract=InputContract(pixel_mm=3.0))
    cases = load_cases(tmp_path)
    window = lung_window(lungs > 0, 3)
    painted = [newest for case in cases for newest in case.studies[-1:] if newest.truth[2].any()]
    assert len(cases) == 6
    assert painted
    for newest in painted:
        assert (newest.truth[0][newest.truth[2] > 0] > 0).all()
        outside = newest.truth[0] == 0
        np.testing.assert_array_equal(newest.volume_hu[outside], volume_hu[window][outside])
