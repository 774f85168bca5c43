"""Random changes of grey values in training."""

import pytest
import torch
from torch import Tensor

pytest.importorskip("monai", reason="training needs the extra `train` (MONAI)")

from pipeline.training import augment


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def generator(seed: int) -> torch.Generator:
    """Of one step."""
    return torch.Generator().manual_seed(seed)


def lungs() -> Tensor:
    """Slices in HU: soft tissue with a lung in its middle."""
    volume_hu = torch.full((5, 48, 48), 40.0)
    volume_hu[:, 8:-8, 8:-8] = -860.0
    return volume_hu


def test_a_step_is_the_same_whenever_it_is_run() -> None:
    """All randomness comes from the generator, MONAI's included."""
    for seed in range(6):
        first, second = (augment.rescanned(lungs(), generator(seed)) for _ in range(2))
        assert torch.equal(first, second)


def test_steps_differ() -> None:
    """Another seed, another scanner."""
    changed = [augment.rescanned(lungs(), generator(seed)) for seed in range(4)]
    assert all(not torch.equal(changed[0], other) for other in changed[1:])


def test_a_lung_still_looks_like_a_lung_on_any_scanner() -> None:
    """Grey values move by about what calibration, kernels and contrast move them, and stay in the window."""
    inner = [augment.rescanned(lungs(), generator(seed))[:, 14:-14, 14:-14] for seed in range(40)]
    shifts = torch.stack([part.mean() + 860.0 for part in inner])
    assert shifts.abs().max() < 110.0
    assert shifts.std() > 10.0
    assert min(float(part.min()) for part in inner) >= -1300.0


def test_the_given_slices_are_not_changed_in_place() -> None:
    """Cases are mapped from disk and read again."""
    given = lungs()
    for seed in range(8):
        augment.rescanned(given, generator(seed))
    assert torch.equal(given, lungs())


def test_scanner_noise_has_unit_strength_and_a_grain() -> None:
    """Neighbouring pixels go together more than in white noise, and the mean is nothing."""
    for seed in range(5):
        noise = augment.scanner_noise(generator(seed), (6, 64, 64))
        together = (noise[..., 1:] * noise[..., :-1]).mean()
        assert float(noise.std()) == pytest.approx(1.0, abs=0.01)
        assert abs(float(noise.mean())) < 0.05
        assert abs(float(together)) > 0.01
