"""Earlier studies brought onto the grid of the current one."""

from dataclasses import dataclass, replace
from enum import StrEnum
from threading import Lock

import numpy as np
import SimpleITK
from scipy import ndimage

from pipeline.affine_fit import Chest, affine_matrix, chest_of, fitted_affine, show_opposite_parts
from pipeline.chest_volume import ChestVolume
from pipeline.deform import Deformation, after, fitted_deformation
from pipeline.orient import grid_of_image
from pipeline.study import BoolArray, Float64Array, Grid, Int16Array, UInt8Array, UInt16Array
from pipeline.warp import dice, warp_labels, warp_volume

SMALLEST_DICE = 0.85
"""Lungs of one patient overlap by 0.97 and more after an affine (measured on phantom pairs: unaligned 0.84, lung boxes
0.97, affine 0.98). Below this the places of the two studies do not correspond: failed alignment, an operated or
collapsed lung, another part of the body. It does not tell patients apart: lungs of two phantom patients reach 0.93.
That is the task of the link."""

SMALLEST_SHARED_SHARE = 0.5
"""An earlier study that shows less of the current lungs than this is no comparison."""


STRETCH_LIMITS = (0.75, 1.33)
"""Of the volume factor of studies that show opposite parts of the lungs: beyond it one part was stretched onto the other."""

_WHOLE_VOLUMES = Lock()
"""Held while copies of a whole volume are made: studies that are aligned at the same time make them one after the other, with
all threads; what takes long is the fit between."""


class Alignment(StrEnum):
    """How far an earlier study is bent to fit."""

    AFFINE = "affine"
    """Shift, rotation, scale and shear: leaves 2 to 3 mm, 4 to 5 mm at one place in twenty, less than a cell of the
    temporal layers; no more where a study lacks 40 % of the height of the lungs (`tests/benchmarks/alignment.py`)."""
    DEFORMABLE = "deformable"
    """A smooth displacement besides, for studies at very different levels of breath: leaves about half of that."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeChange:
    """How much volume of the earlier study lies in a volume of the current grid."""

    factor: float
    """In the lungs as a whole."""
    affine_factor: float
    """The affine's share of it."""
    jacobian: SimpleITK.Image | None = None
    """The deformation's share, by place; None without one."""

    def by_label(self, labels: UInt16Array, grid: Grid) -> Float64Array:
        """The factor in each label of a map on the current grid, by number; where none can be told that of the lungs."""
        numbers = np.arange(int(labels.max()) + 1)
        factors = np.full(len(numbers), self.factor)
        if self.jacobian is None:
            return factors
        coarse = warp_labels(labels, grid, grid_of_image(self.jacobian), SimpleITK.Transform())
        seen = np.bincount(coarse.ravel(), minlength=len(numbers)) > 0
        local = ndimage.mean(SimpleITK.GetArrayViewFromImage(self.jacobian), coarse, numbers[seen])
        factors[seen] = self.affine_factor * np.asarray(local)
        return factors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignedPrior:
    """An earlier study on the grid of the current one."""

    volume_hu: Int16Array
    """(z, y, x); air where it shows nothing."""
    lung_mask: UInt8Array
    valid: BoolArray
    """Where it shows something."""
    prior_from_current: SimpleITK.Transform
    """Maps points of the current study to the same place in the earlier one, both LPS in mm."""
    volume_change: VolumeChange
    lung_dice: float
    """Of both lungs, where both studies show something."""
    shared_share: float
    """Of the current lungs that the earlier study shows."""
    is_opposite_part: bool = False
    """See `show_opposite_parts`."""

    @property
    def refusal(self) -> str:
        """Why it cannot be compared, one plain sentence; empty when it can."""
        if self.shared_share < SMALLEST_SHARED_SHARE:
            return f"It shows only {100 * self.shared_share:.0f} % of the lungs of the current study."
        if self.lung_dice < SMALLEST_DICE:
            return (
                f"Its lungs do not match those of the current study after alignment "
                f"(overlap {self.lung_dice:.2f}, at least {SMALLEST_DICE:.2f} is needed)."
            )
        if self.is_opposite_part and not STRETCH_LIMITS[0] <= self.volume_change.factor <= STRETCH_LIMITS[1]:
            return (
                "One of the two studies shows the upper, the other the lower part of the lungs: "
                "they share too little to be aligned."
            )
        return ""


def align_prior(
    prior: ChestVolume, current: ChestVolume, fixed: Chest, *, alignment: Alignment = Alignment.AFFINE
) -> AlignedPrior:
    """The earlier study, warped by the best transform that lung boxes and grey values lead to.

    Args:
        prior: The earlier study, with lungs in it.
        current: The study it is compared with, with lungs in it.
        fixed: `chest_of(current)`, which serves all its earlier studies.
        alignment: A deformation that makes nothing better, or folds the lung, is not used.
    """
    with _WHOLE_VOLUMES:
        moving = chest_of(prior)
    fitted = fitted_affine(fixed, moving)
    deformation = fitted_deformation(fixed, moving, fitted) if alignment is Alignment.DEFORMABLE else None
    transform = after(fitted.transform, deformation.transform) if deformation else fitted.transform
    with _WHOLE_VOLUMES:
        warped = _warped(prior, current, transform, _volume_change(fitted.transform, deformation))
    return replace(warped, is_opposite_part=show_opposite_parts(fixed, moving))


def _warped(
    prior: ChestVolume, current: ChestVolume, transform: SimpleITK.Transform, volume_change: VolumeChange
) -> AlignedPrior:
    grids = (prior.lps.grid, current.lps.grid)
    volume_hu, valid = warp_volume(prior.lps.volume_hu, prior.imaged, *grids, transform)
    lungs: UInt8Array = warp_labels(prior.lung_mask, *grids, transform)
    current_inside = (current.lung_mask > 0) & valid
    return AlignedPrior(
        volume_hu=volume_hu,
        lung_mask=lungs,
        valid=valid,
        prior_from_current=transform,
        volume_change=volume_change,
        lung_dice=dice(current_inside, (lungs > 0) & current.imaged),
        shared_share=float(np.count_nonzero(current_inside)) / max(1, int(np.count_nonzero(current.lung_mask))),
    )


def _volume_change(affine: SimpleITK.AffineTransform, deformation: Deformation | None) -> VolumeChange:
    affine_factor = float(abs(np.linalg.det(affine_matrix(affine))))
    if deformation is None:
        return VolumeChange(factor=affine_factor, affine_factor=affine_factor)
    return VolumeChange(
        factor=affine_factor * deformation.lung_factor, affine_factor=affine_factor, jacobian=deformation.jacobian
    )
