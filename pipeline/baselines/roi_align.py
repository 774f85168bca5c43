"""Features of regions of interest (RoIAlign, He et al. 2017) in plain torch, differentiable in the features."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class RegionPooling(NamedTuple):
    """How regions are pooled, in the order of the arguments of the operator `torchvision::roi_align`."""

    spatial_scale: float
    """Cells per pixel."""
    pooled_height: int
    """Bins down."""
    pooled_width: int
    """Bins across."""
    sampling_ratio: int
    """Samples per bin and axis; 0 or less takes about one per cell."""
    aligned: bool
    """Shifts the regions by half a cell, so that the middle of cell i lies at i."""


def roi_align(features: Tensor, regions: Tensor, pooling: RegionPooling) -> Tensor:
    """Each bin of a region is the mean of bilinear samples: one weighted sum of feature cells.

    Args:
        features: (N, C, H, W).
        regions: (K, 5): index into N, then x0, y0, x1, y1 in pixels of the input.
        pooling: See there.

    Returns:
        (K, C, pooled_height, pooled_width) in the dtype of the features.
    """
    number, channels, height, width = features.shape
    spatial_scale, pooled_height, pooled_width, samples, aligned = pooling
    regions = regions.detach().to(torch.promote_types(features.dtype, torch.float32))
    edges = regions[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    least = 0.0 if aligned else 1.0
    rows, row_weights = _axis_samples(edges[:, [1, 3]], least, (pooled_height, height), samples)
    columns, column_weights = _axis_samples(edges[:, [0, 2]], least, (pooled_width, width), samples)
    cells = rows[:, :, None, :, None] * width + columns[:, None, :, None, :]
    cells = cells + (regions[:, 0].long() * height * width)[:, None, None, None, None]
    weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
    bins = len(regions) * pooled_height * pooled_width
    if not bins:
        return features.new_zeros((0, channels, pooled_height, pooled_width)) + 0.0 * features.sum()
    table = features.to(regions.dtype).movedim(1, -1).reshape(number * height * width, channels)
    pooled = functional.embedding_bag(
        cells.reshape(bins, -1), table, mode="sum", per_sample_weights=weights.reshape(bins, -1)
    )
    return torch.unflatten(pooled, 0, (-1, pooled_height, pooled_width)).movedim(-1, 1).to(features.dtype)


def _axis_samples(
    edges: Tensor, least_size: float, bins_and_cells: tuple[int, int], sampling_ratio: int
) -> tuple[Tensor, Tensor]:
    """Which cells each bin reads along one axis, how much of each: (K, bins, 2 x samples) indices and weights.

    Args:
        edges: (K, 2), start and end of the regions in cells.
        least_size: Shorter regions are stretched to this.
        bins_and_cells: Of the axis.
        sampling_ratio: Samples per bin, 0 or less for one per cell of the longest bin.
    """
    bins, cells = bins_and_cells
    size = (edges[:, 1] - edges[:, 0]).clamp(min=least_size) if least_size else edges[:, 1] - edges[:, 0]
    counts = torch.full_like(size, sampling_ratio) if sampling_ratio > 0 else (size / bins).ceil().clamp(min=0.0)
    most = sampling_ratio if sampling_ratio > 0 else int(functional.pad(counts, (0, 1), value=1.0).max())
    sample = torch.arange(most, device=edges.device)
    share = (sample + 0.5) / counts.clamp(min=1.0)[:, None]
    place = torch.arange(bins, device=edges.device)[None, :, None] + share[:, None, :]
    position = edges[:, :1, None] + place * (size / bins)[:, None, None]
    taken = (sample < counts[:, None])[:, None, :] & (position >= -1.0) & (position <= cells)
    weight = taken.to(edges.dtype) / counts.clamp(min=1.0)[:, None, None]
    inside = position.clamp(0.0, cells - 1.0)
    low = inside.floor()
    upper = inside - low
    index = torch.cat([low, (low + 1).clamp(max=cells - 1)], dim=-1).long()
    return index, torch.cat([weight * (1.0 - upper), weight * upper], dim=-1)
