"""The grid on which Space-Time-Net sees a study, for training and for inference alike."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.study import BoolArray, Float32Array
from pipeline.window import WINDOW_CENTRE_HU, WINDOW_WIDTH_HU, hu_windowed


@dataclass(frozen=True, slots=True, kw_only=True)
class InputContract:
    """What a Space-Time-Net was trained to see."""

    pixel_mm: float = 1.5
    """In-plane spacing of the model grid, both ways."""
    slice_spacing_mm: float = 2.5
    """Thinner slices are averaged in slabs up to about this spacing; thicker ones stay as they are."""
    thickest_slice_spacing_mm: float = 10.0
    """Wider spacing than it was trained for: the findings say so."""
    margin_mm: float = 10.0
    """Around the box of both lungs."""
    size_multiple: int = 32
    """Rows and columns are padded with air up to a multiple of this."""
    window_centre_hu: float = WINDOW_CENTRE_HU
    window_width_hu: float = WINDOW_WIDTH_HU
    channels: tuple[str, ...] = ("slice below", "slice", "slice above", "lung mask")


def slices_per_slab(slice_spacing_mm: float, contract: InputContract) -> int:
    """How many source slices are averaged into one of the model grid: 1 for thick slices."""
    return max(1, round(contract.slice_spacing_mm / slice_spacing_mm - 0.05))


def stacked_channels(volume_hu: Float32Array, lung_mask: BoolArray) -> Tensor:
    """Input of Space-Time-Net from a volume that is already on the model grid.

    Args:
        volume_hu: (Z, Y, X), z from inferior to superior, y from anterior to posterior, x from the patient's right to left.
        lung_mask: The same shape; both lungs of the same study.

    Returns:
        float32 (Z, 4, Y, X): slice below, slice, slice above in 0..1, lung mask. The first and last slice stand in for
        their missing neighbours.
    """
    grey = hu_windowed(torch.from_numpy(np.ascontiguousarray(volume_hu)).float())
    below = torch.cat([grey[:1], grey[:-1]])
    above = torch.cat([grey[1:], grey[-1:]])
    lungs = torch.from_numpy(np.ascontiguousarray(lung_mask)).float()
    return torch.stack([below, grey, above, lungs], dim=1)


def resampled_in_plane(slices: Tensor, spacing_mm: tuple[float, float], contract: InputContract) -> Tensor:
    """Slices (Z, Y, X) at the contract's pixel size, averaged where they shrink."""
    size = model_grid_size(slices.shape[-2:], spacing_mm, contract)
    image = slices.float().unsqueeze(1)
    return functional.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True).squeeze(1)


def model_grid_size(
    shape: tuple[int, ...] | torch.Size, spacing_mm: tuple[float, float], contract: InputContract
) -> tuple[int, int]:
    """Rows and columns of a whole image at the contract's pixel size, before cropping to the lungs."""
    rows, columns = (max(1, round(n * mm / contract.pixel_mm)) for n, mm in zip(shape, spacing_mm, strict=True))
    return rows, columns


def averaged_slabs(slices: Tensor, slab: int) -> Tensor:
    """(Z, Y, X) to (ceil(Z / slab), Y, X): means of `slab` neighbours; the last slab may be thinner."""
    if slab == 1:
        return slices
    return torch.stack([chunk.float().mean(dim=0) for chunk in torch.split(slices, slab)])
