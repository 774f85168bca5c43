"""The lung network and the only way into its grid."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.lungs_net import LungNet, lung_logits_on_image, lung_net_input, lung_net_labels, with_neighbours


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_a_slice_costs_at_most_three_gigaflop() -> None:
    """A chest of 300 slices is read in seconds on two cores."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        logits = LungNet(neighbour_mm=10.0)(torch.zeros((1, 3, 256, 256)))
    assert logits.shape == (1, 3, 256, 256)
    assert counter.get_total_flops() <= 3e9


@pytest.mark.parametrize(("pixels", "pixel_mm"), [(512, 0.7), (512, 0.98), (64, 4.17), (768, 0.5)])
def test_the_way_back_ends_where_the_way_in_began(pixels: int, pixel_mm: float) -> None:
    """A mask comes back in place, whatever the image's own grid is."""
    rows, columns = np.mgrid[:pixels, :pixels] / pixels
    mask = torch.from_numpy(((rows - 0.55) ** 2 + (columns - 0.3) ** 2 < 0.02).astype(np.uint8))[None]
    labels = lung_net_labels(mask, (pixel_mm, pixel_mm))
    logits = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float() * 20.0 - 10.0
    back = lung_logits_on_image(logits, (pixels, pixels), (pixel_mm, pixel_mm)).argmax(dim=1)
    common = 2.0 * float(((back == 1) & (mask == 1)).sum()) / float((back == 1).sum() + (mask == 1).sum())
    assert common > 0.98


def test_input_is_the_window_with_air_around_the_image() -> None:
    """HU -1300 is 0, 300 is 1, and what lies outside is 0."""
    slices = np.full((2, 100, 100), 300, np.int16)
    slices[1] = -500
    image = lung_net_input(slices, (2.0, 2.0))
    assert image.shape == (2, 1, 256, 256)
    assert image[:, 0, 128, 128].tolist() == [1.0, 0.5]
    assert float(image[:, 0, 0, 0].sum()) == 0.0


@pytest.mark.parametrize(
    ("spacing_mm", "below", "above"),
    [(2.5, [0, 0, 0, 0, 0, 1], [4, 5, 5, 5, 5, 5]), (8.0, [0, 0, 1, 2, 3, 4], [1, 2, 3, 4, 5, 5])],
)
def test_neighbours_lie_a_centimetre_away(spacing_mm: float, below: list[int], above: list[int]) -> None:
    """As near to it as the slices allow; beyond the ends there is the last slice."""
    slices = torch.arange(6.0).view(6, 1, 1, 1)
    stacks = with_neighbours(slices, spacing_mm, 10.0)[:, :, 0, 0]
    assert stacks[:, 0].tolist() == below
    assert stacks[:, 1].tolist() == [0, 1, 2, 3, 4, 5]
    assert stacks[:, 2].tolist() == above


def test_a_network_of_single_slices_is_shown_them_alone() -> None:
    """As packs from before there were neighbours."""
    slices = torch.arange(6.0).view(6, 1, 1, 1)
    assert torch.equal(with_neighbours(slices, 2.5, LungNet().neighbour_mm), slices)


def test_what_the_network_did_not_see_is_background() -> None:
    """An image wider than the network's field of view."""
    logits = torch.zeros((1, 3, 256, 256))
    logits[:, 1] = 5.0
    back = lung_logits_on_image(logits, (100, 100), (10.0, 10.0)).argmax(dim=1)
    assert back[0, 50, 50] == 1
    assert back[0, 0, 0] == 0
