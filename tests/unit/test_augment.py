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


def lung_stacks(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Slices with their neighbours, and their labels: two dark lungs in a body."""
    labels = torch.zeros((count, 3, 64, 64), dtype=torch.int64)
    labels[..., 10:54, 6:28], labels[..., 10:54, 36:58] = 1, 2
    return torch.where(labels > 0, 0.2, 0.8), labels


def test_opacities_go_through_a_slice_and_its_neighbours() -> None:
    """Alike in all three, but not the same; now and then in one lung alone, and never outside."""
    images, labels = lung_stacks(8)
    one_sided = 0
    for seed in range(12):
        changed = augment.with_opacities(images, labels, generator(seed))
        dense = changed - images
        assert float(dense[labels == 0].abs().max()) == 0.0
        below, middle = dense[:, 0].flatten(), dense[:, 1].flatten()
        assert not torch.equal(below, middle)
        if float(middle.std()) > 0.02:
            assert float(torch.corrcoef(torch.stack([below, middle]))[0, 1]) > 0.3
        right, left = (float(dense[labels == side].sum()) for side in (1, 2))
        one_sided += right > 20.0 * left or left > 20.0 * right
    assert 1 <= one_sided <= 8


def test_gas_lies_outside_the_lungs_in_tissue() -> None:
    """Pockets of air go through neighbouring slices too."""
    images, labels = lung_stacks(8)
    changed = augment.with_gas(images, labels, generator(3))
    assert torch.equal(changed[labels > 0], images[labels > 0])
    assert float((changed[labels == 0] < 0.5).float().mean()) > 0.005


def test_mirrored_lungs_keep_the_names_of_their_sides() -> None:
    """What lies on the left of the image is the right lung of the patient, mirrored or not."""
    images, labels = torch.rand(2, 3, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.int64)
    labels[..., 1:3], labels[..., 5:8] = 1, 2
    turned, sides = augment.mirrored(images, labels)
    assert torch.equal(turned.flip(-1), images)
    assert (sides[..., :3] == 1).all()
    assert (sides[..., 5:7] == 2).all()
    assert torch.equal(sides > 0, (labels > 0).flip(-1))


def test_a_chest_is_bent_with_its_labels() -> None:
    """Labels stay on what they name, and the same in all three slices."""
    disc = ((torch.arange(64) - 31.5) ** 2).view(-1, 1) + ((torch.arange(64) - 31.5) ** 2) < 400.0
    images = disc.float().expand(4, 3, 64, 64)
    straight = torch.eye(3)[:2].expand(4, 2, 3)
    bend = augment.random_bend(generator(3), 4)
    moved, labels = augment.placed(images, images.long(), straight, bend)
    assert bend.abs().max() > 0.01
    assert ((moved > 0.5) != (labels > 0)).float().mean() < 0.03
    assert (labels != images.long()).float().mean() > 0.005
    assert torch.equal(labels[:, 0], labels[:, 2])
