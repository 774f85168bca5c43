"""Haze and cut fields of view that crops are given for training."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipeline.phantom.lesions import CONSOLIDATION, GROUND_GLASS
from pipeline.phantom.paint import NOT_KNOWN
from pipeline.study import LEFT_LUNG, RIGHT_LUNG
from pipeline.training import crop_changes
from pipeline.training.cases import Case, CaseStudy
from pipeline.training.config import SpaceTimeTraining
from pipeline.training.crop_changes import FIRST_HAZE_NUMBER, Haze, cut, draw_circles, draw_haze, hazed
from pipeline.training.crop_places import worth_seeing
from pipeline.training.losses import UNKNOWN_SLICE
from pipeline.training.sequences import sample_batch

LUNG_HU, TISSUE_HU = -860.0, 45.0
SIZE = (4, 48, 64)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def crop() -> tuple[Tensor, Tensor]:
    """Noisy lungs in tissue, the right one on the left of the picture, with a vessel and a consolidation in it."""
    volume_hu = torch.full(SIZE, TISSUE_HU)
    truth = torch.zeros((SIZE[0], 3, *SIZE[1:]))
    for side, columns in ((RIGHT_LUNG, slice(4, 28)), (LEFT_LUNG, slice(36, 60))):
        truth[:, 0, 6:42, columns] = side
        volume_hu[:, 6:42, columns] = LUNG_HU
    volume_hu += 20.0 * torch.randn(SIZE, generator=torch.Generator().manual_seed(1))
    volume_hu[:, 20:22, 4:28] = TISSUE_HU
    volume_hu[:, 30:34, 8:12] = 20.0
    truth[:, 1, 30:34, 8:12], truth[:, 2, 30:34, 8:12] = 3, CONSOLIDATION
    return volume_hu, truth


WHOLE = Haze(
    sides=(RIGHT_LUNG,), density_hu=-500.0, direction=None, offset_pixels=0.0, border_pixels=6.0, amounts=(1.0,)
)


def test_haze_fills_a_lung_to_its_density_and_leaves_everything_else() -> None:
    """The other lung, the tissue and what is denser stay as they are."""
    before, truth = crop()
    after, told = hazed(before, truth, WHOLE, 1.0)
    right = (truth[:, 0] == RIGHT_LUNG) & (before < -700.0)
    assert float(after[right].mean()) == pytest.approx(-500.0, abs=15.0)
    assert torch.equal(after[truth[:, 0] != RIGHT_LUNG], before[truth[:, 0] != RIGHT_LUNG])
    assert torch.equal(after[:, 20:22, 4:28], before[:, 20:22, 4:28])
    assert torch.equal(told[:, 0], truth[:, 0])


def test_noise_stays_on_top_of_haze() -> None:
    """Else smooth lung would be what ground glass is known by."""
    before, truth = crop()
    after, _ = hazed(before, truth, WHOLE, 1.0)
    quiet = (slice(None), slice(8, 18), slice(6, 26))
    assert float(after[quiet].std()) > 0.75 * float(before[quiet].std())


def test_haze_is_told_as_ground_glass_with_its_vessels_and_lesions_keep_their_names() -> None:
    """One lesion a lung; the consolidation in it is the lesion that it was."""
    _, told = hazed(*crop(), WHOLE, 1.0)
    kind, number = told[:, 2], told[:, 1]
    assert set(kind[:, 20:22, 4:28].flatten().tolist()) == {GROUND_GLASS}
    assert set(number[:, 20:22, 4:28].flatten().tolist()) == {FIRST_HAZE_NUMBER}
    assert set(kind[:, 30:34, 8:12].flatten().tolist()) == {CONSOLIDATION}
    assert set(number[:, 30:34, 8:12].flatten().tolist()) == {3}
    assert not kind[:, :, 36:].any()


def test_haze_of_a_part_ends_in_what_nobody_knows() -> None:
    """Between what readers draw and what they do not lies a strip that teaches nothing."""
    part = replace(WHOLE, direction=(0.0, 1.0, 0.0), border_pixels=40.0)
    _, told = hazed(*crop(), part, 1.0)
    column = told[0, 2, 6:42, 20].tolist()
    assert column[0] == 0
    assert column[-1] == GROUND_GLASS
    assert NOT_KNOWN in column
    assert column == sorted(column, key=[0, NOT_KNOWN, GROUND_GLASS].index)


def test_lungs_that_are_as_dense_already_and_studies_without_haze_stay() -> None:
    """Nothing gets darker."""
    volume_hu, truth = crop()
    for haze, amount in ((replace(WHOLE, density_hu=-900.0), 1.0), (WHOLE, 0.0)):
        after, told = hazed(volume_hu, truth, haze, amount)
        assert torch.equal(after, volume_hu)
        assert torch.equal(told, truth)


def test_a_circle_leaves_air_and_no_truth_outside() -> None:
    """Its edge is as sharp as the grid allows."""
    volume_hu, truth = crop()
    circle = crop_changes.Circle(row=24.0, column=32.0, radius=18.0)
    after, told, shown = cut(volume_hu, truth, circle)
    rows, columns = torch.arange(SIZE[1])[:, None], torch.arange(SIZE[2])
    away = torch.hypot(rows - 24.0, columns - 32.0)
    assert (after[:, away > 19.0] == crop_changes.AIR_HU).all()
    assert torch.allclose(after[:, away < 17.0], volume_hu[:, away < 17.0], atol=1e-3)
    assert not told[:, :, away > 18.0].any()
    assert torch.equal(shown > 0, away <= 18.0)


def test_some_patients_are_hazy_and_some_are_cut() -> None:
    """The shares that are written; of all haze and every circle something lies in the crop."""
    generator = torch.Generator().manual_seed(2)
    hazes = [draw_haze(generator, 2) for _ in range(1500)]
    circles = [draw_circles(generator, 2, (112, 128), (60.0, -20.0)) for _ in range(1500)]
    hazy = [haze for haze in hazes if haze]
    cuts = [each for both in circles for each in both if each]
    assert len(hazy) / 1500 == pytest.approx(crop_changes.HAZY_SHARE, abs=0.025)
    assert sum(any(both) for both in circles) / 1500 == pytest.approx(crop_changes.CUT_SHARE, abs=0.025)
    assert {haze.amounts[0] for haze in hazy} == {0.0, 0.5, 1.0}
    assert any(both[0] and not both[1] for both in circles)
    for circle in cuts:
        _, _, shown = cut(torch.zeros((1, 112, 128)), torch.zeros((1, 3, 112, 128)), circle)
        assert 0.0 < float(shown.mean()) < 1.0


def test_small_lesions_are_seen_as_often_as_large_ones_in_a_part_of_the_draws() -> None:
    """Of crops that are drawn by voxels nearly all would lie about the largest lesion."""
    truth = torch.zeros((3, 1, 64, 64)).numpy().astype("uint8")
    truth[0], truth[1, :, :40], truth[1, :, 60:, 60:] = 1, 1, 2
    study = CaseStudy(day=0.0, volume_hu=torch.full((1, 64, 64), -850).numpy().astype("int16"), truth=truth)
    assert worth_seeing(study, 0.2).tolist() == [[0, 15, 15]]
    assert len(worth_seeing(study, 0.05)) == 10 * 16
    assert len(worth_seeing(study, 0.4)) == 10 * 16 + 1


def test_a_reader_who_saw_no_lesion_says_nothing_of_a_slice_that_was_made_hazy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Haze too faint to be marked is not known to be there, and is no healthy lung either."""
    monkeypatch.setattr(crop_changes, "CUT_SHARE", 0.0)
    monkeypatch.setattr(crop_changes, "BOTH_LUNGS_SHARE", 1.0)
    monkeypatch.setattr(crop_changes, "PART_SHARE", 0.0)
    monkeypatch.setattr(crop_changes, "DENSITY_HU", (LUNG_HU + 60.0, LUNG_HU + 61.0))
    volume_hu, truth = crop()
    truth[:, 1:] = 0.0
    study = CaseStudy(
        day=0.0,
        volume_hu=volume_hu.numpy().astype("int16"),
        truth=truth.movedim(1, 0).numpy().astype("uint8"),
        slice_labels=torch.zeros(SIZE[0]).numpy().astype("int8"),
    )
    case = Case(
        name="read", source="site", diseased=False, slice_spacing_mm=5.0, pixel_mm=1.5, studies=(study,), patient="one"
    )
    settings = SpaceTimeTraining(batch=1, slices=2, crop=(32, 32))
    said = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(crop_changes, "HAZY_SHARE", share)
        batch = sample_batch([case], [], settings, torch.Generator().manual_seed(3))
        said.append(set(batch.slice_labels.flatten().tolist()))
    assert said == [{0}, {UNKNOWN_SLICE}]
