"""What a reader said of whole slices, for crops of them."""

import numpy as np
import torch
from torch import Tensor

from pipeline.training.cases import CaseStudy
from pipeline.training.losses import UNKNOWN_SLICE


def reader_labels(study: CaseStudy, slices: np.ndarray, sides: Tensor) -> Tensor | None:
    """Labels (n,) of cropped slices: 1 shows a lesion, 0 does not, -1 not known; None where no reader labelled slices.

    A slice without lesion has none in any crop; a slice with one keeps its label only when the crop shows all of its
    lungs.

    Args:
        study: With `slice_labels` or without.
        slices: (n,), which slices of the study.
        sides: (n, H, W), lung side in the crop.
    """
    if study.slice_labels is None:
        return None
    given = torch.from_numpy(np.asarray(study.slice_labels)[slices].astype(np.int64))
    whole = torch.tensor([_shows_all(crop, study.truth[0, number]) for crop, number in zip(sides, slices, strict=True)])
    return torch.where((given == 1) & ~whole, UNKNOWN_SLICE, given)


def _shows_all(crop: Tensor, lungs: np.ndarray) -> bool:
    """Every lung of the slice is in the crop, and none is cut by its border."""
    border = torch.cat([crop[0], crop[-1], crop[:, 0], crop[:, -1]])
    there = set(np.unique(lungs).tolist()) - {0}
    return not bool((border > 0).any()) and there <= set(np.unique(crop.numpy()).tolist())
