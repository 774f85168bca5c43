"""Ground glass without an edge, for training."""

import pytest
import torch
from torch import Tensor

pytest.importorskip("monai", reason="training needs the extra `train` (MONAI)")

from pipeline.training.haze import HAZE_NUMBER, HAZE_SHARE, Haze, draw_hazes, with_haze
from pipeline.training.losses import UNKNOWN_KIND

EVERYWHERE = Haze(seed=3, reach=-6.0, sharpness=4.0, density_hu=-500.0, strength=1.0)


def crop() -> tuple[Tensor, Tensor]:
    """A lung with a vessel and a consolidation, beside soft tissue."""
    volume_hu, truth = torch.full((4, 64, 64), 40.0), torch.zeros((4, 3, 64, 64))
    volume_hu[:, 8:56, 8:56], truth[:, 0, 8:56, 8:56] = -850.0, 1.0
    volume_hu[:, 20:22, 8:56] = 60.0
    volume_hu[:, 40:50, 40:50], truth[:, 1, 40:50, 40:50], truth[:, 2, 40:50, 40:50] = 0.0, 5.0, 2.0
    return volume_hu, truth


def test_a_lung_that_is_hazy_all_over_is_one_lesion_of_ground_glass() -> None:
    """Vessels stay to be seen, what was lesion stays what it was, soft tissue is left alone."""
    volume_hu, truth = crop()
    hazy, marked = with_haze(volume_hu, truth, EVERYWHERE)
    aerated = volume_hu == -850.0
    assert -540.0 < float(hazy[aerated].mean()) < -460.0
    assert torch.equal(hazy[volume_hu >= 0.0], volume_hu[volume_hu >= 0.0])
    lung_alone = (truth[:, 0] > 0) & (truth[:, 2] == 0)
    assert set(marked[:, 2][lung_alone].tolist()) == {1.0}
    assert set(marked[:, 1][lung_alone].tolist()) == {float(HAZE_NUMBER)}
    assert torch.equal(marked[:, :, 40:50, 40:50], truth[:, :, 40:50, 40:50])
    assert not marked[:, 1:, :8].any()


def test_what_is_faint_is_not_known() -> None:
    """Between none and surely some; in an earlier study it may have been less."""
    volume_hu, truth = crop()
    faint = Haze(seed=3, reach=-6.0, sharpness=4.0, density_hu=-500.0, strength=0.3)
    _, marked = with_haze(volume_hu, truth, faint)
    assert set(marked[:, 2][(truth[:, 0] > 0) & (truth[:, 2] == 0)].tolist()) == {float(UNKNOWN_KIND)}
    none, unmarked = with_haze(
        volume_hu, truth, Haze(seed=3, reach=0.0, sharpness=4.0, density_hu=-500.0, strength=0.0)
    )
    assert torch.equal(none, volume_hu)
    assert torch.equal(unmarked, truth)


def test_it_lies_in_the_same_place_in_all_studies_of_few_patients() -> None:
    """The newest shows it; the earlier ones may not yet."""
    generator = torch.Generator().manual_seed(1)
    drawn = [draw_hazes(3, generator) for _ in range(600)]
    hazy = [[haze for haze in hazes if haze] for hazes in drawn if hazes[0]]
    assert 0.5 * HAZE_SHARE < len(hazy) / len(drawn) < 1.6 * HAZE_SHARE
    assert all(len(hazes) == 3 and len({haze.seed for haze in hazes}) == 1 for hazes in hazy)
    assert all(hazes[-1].strength >= 0.8 for hazes in hazy)
    assert any(hazes[0].strength == 0.0 for hazes in hazy)
