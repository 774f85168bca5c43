"""The grid on which Space-Time-Net sees a study."""

import numpy as np
import pytest
import torch

from pipeline.model_input import InputContract, averaged_slabs, resampled_in_plane, slices_per_slab, stacked_channels


@pytest.mark.parametrize(("spacing_mm", "slices"), [(0.625, 4), (1.0, 2), (1.25, 2), (2.0, 1), (2.5, 1), (5.0, 1)])
def test_only_thin_slices_are_averaged(spacing_mm: float, slices: int) -> None:
    """Thick slices stay; no slab is much thicker than the contract says."""
    assert slices_per_slab(spacing_mm, InputContract()) == slices


def test_slabs_keep_every_slice() -> None:
    """The last slab may be thinner."""
    volume = torch.arange(5.0)[:, None, None].expand(5, 2, 2)
    assert averaged_slabs(volume, 2)[:, 0, 0].tolist() == [0.5, 2.5, 4.0]


def test_channels_are_below_slice_above_and_lungs() -> None:
    """The first and the last slice stand in for the neighbours that they lack."""
    volume_hu = np.stack([np.full((2, 2), hu, np.float32) for hu in (-1300.0, -500.0, 300.0)])
    lungs = np.zeros((3, 2, 2), np.bool_)
    lungs[1] = True
    channels = stacked_channels(volume_hu, lungs)[:, :, 0, 0].tolist()
    assert channels == [[0.0, 0.0, 0.5, 0.0], [0.0, 0.5, 1.0, 1.0], [0.5, 1.0, 1.0, 0.0]]


def test_an_image_is_brought_to_the_contracts_pixels() -> None:
    """A plane of 200 x 100 pixels of 0.75 mm has half as many of 1.5 mm, and the same mean."""
    plane = torch.rand((1, 200, 100))
    resampled = resampled_in_plane(plane, (0.75, 0.75), InputContract())
    assert resampled.shape == (1, 100, 50)
    torch.testing.assert_close(resampled.mean(), plane.mean(), rtol=1e-2, atol=1e-2)
