"""What an affine leaves between two chests, taken up by a smooth displacement.

Fast symmetric forces Demons (Vercauteren et al., "Diffeomorphic demons", NeuroImage 2009, here with additive steps) on two
levels. Lesions come and go between the studies, so the forces see none: lungs only, grey values of aerated lung only, and
dense regions wider than a vessel filled with the lung's own grey.
"""

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK

from pipeline.affine_fit import Chest, FittedAffine, lung_overlap
from pipeline.study import BoolArray, Float32Array

AERATED_HU = (-1000.0, -600.0)
"""Of aerated lung with its vessels at 4 mm."""

DENSE_HU = -700.0
"""Denser at 4 mm is a lesion, a large vessel or the border; what is wide enough of it is filled."""

SMOOTHING_VOXELS = 1.5
"""Of the displacement, after each step: it cannot follow what is smaller than a segment."""

LEVELS = ((2, 40), (1, 30))
"""Shrink factor against the working grid (8 and 4 mm), iterations."""

LEAST_JACOBIAN = 0.2
LARGEST_JACOBIAN = 5.0
"""Between these the lungs are neither folded nor torn."""


MARGIN_MM = 25.0
"""Around the lungs: beyond, nothing is displaced."""

WORTH_DICE = 0.002
"""A deformation that does not lay the lungs on each other better than the affine, by this, only adds its own error."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deformation:
    """A displacement with what it does to volumes."""

    transform: SimpleITK.Transform
    """From points of the fixed chest to points before the affine."""
    jacobian: SimpleITK.Image
    """float32: volume after per volume before, at each place in and around the fixed lungs."""
    lung_factor: float
    """The same of the lungs as a whole, as far as both studies show them."""


def fitted_deformation(fixed: Chest, moving: Chest, fitted: FittedAffine) -> Deformation | None:
    """The displacement to go before the affine; None where it brings nothing or is no bijection of the lungs.

    Args:
        fixed: The current study.
        moving: The earlier one.
        fitted: What lays the earlier study on the current one.
    """
    affine = fitted.transform
    around = _around_lungs(fixed)
    imaged = SimpleITK.Resample(moving.imaged, around.lungs, affine, SimpleITK.sitkNearestNeighbor)
    # Lungs that one of the studies does not show pull at nothing.
    near = replace(around, lungs=around.lungs & imaged)
    moved = replace(
        near,
        tissue=SimpleITK.Resample(moving.tissue, near.tissue, affine, SimpleITK.sitkLinear, 0.0),
        lungs=SimpleITK.Resample(moving.lungs, near.lungs, affine, SimpleITK.sitkNearestNeighbor) & near.imaged,
    )
    field = _demons(_texture(near), _texture(moved))
    jacobian = SimpleITK.Cast(SimpleITK.DisplacementFieldJacobianDeterminant(field), SimpleITK.sitkFloat32)
    transform = SimpleITK.DisplacementFieldTransform(SimpleITK.Cast(field, SimpleITK.sitkVectorFloat64))
    inside = SimpleITK.GetArrayViewFromImage(jacobian)[SimpleITK.GetArrayViewFromImage(near.lungs) > 0]
    if inside.min() < LEAST_JACOBIAN or inside.max() > LARGEST_JACOBIAN:
        return None
    if lung_overlap(fixed, moving, after(affine, transform)) - fitted.overlap < WORTH_DICE:
        return None
    return Deformation(transform=transform, jacobian=jacobian, lung_factor=float(inside.mean()))


def after(affine: SimpleITK.Transform, deformation: SimpleITK.Transform) -> SimpleITK.Transform:
    """Both: the deformation is applied to a point first, then the affine."""
    return SimpleITK.CompositeTransform([affine, deformation])


def _around_lungs(chest: Chest) -> Chest:
    """The part of a chest that is displaced."""
    shape = SimpleITK.LabelShapeStatisticsImageFilter()
    shape.Execute(chest.lungs)
    start, size = np.array(shape.GetBoundingBox(1)).reshape(2, 3)
    margin = np.ceil(MARGIN_MM / np.array(chest.lungs.GetSpacing())).astype(int)
    low = np.maximum(start - margin, 0)
    high = np.minimum(start + size + margin, chest.lungs.GetSize())
    part = ([int(count) for count in high - low], [int(index) for index in low])
    return replace(
        chest,
        tissue=SimpleITK.RegionOfInterest(chest.tissue, *part),
        lungs=SimpleITK.RegionOfInterest(chest.lungs, *part),
        imaged=SimpleITK.RegionOfInterest(chest.imaged, *part),
    )


def _texture(chest: Chest) -> SimpleITK.Image:
    """Aerated lung against its own median; one constant for everything outside and none for lesions."""
    tissue: Float32Array = SimpleITK.GetArrayFromImage(chest.tissue)
    lungs: BoolArray = SimpleITK.GetArrayViewFromImage(chest.lungs) > 0
    median_hu = float(np.median(tissue[lungs]))
    values = np.clip(tissue, *AERATED_HU)
    values[_wide(chest, tissue > DENSE_HU)] = median_hu
    values -= median_hu
    values[~lungs] = AERATED_HU[1] - median_hu
    image = SimpleITK.GetImageFromArray(values)
    image.CopyInformation(chest.tissue)
    return image


def _wide(chest: Chest, dense: BoolArray) -> BoolArray:
    """Dense lung wider than two voxels, with its edge; the partly filled voxels along the border are thinner."""
    inside = SimpleITK.GetImageFromArray((dense & (SimpleITK.GetArrayViewFromImage(chest.lungs) > 0)).astype(np.uint8))
    opened = SimpleITK.BinaryDilate(SimpleITK.BinaryMorphologicalOpening(inside, [1, 1, 1]), [1, 1, 1])
    wide: BoolArray = SimpleITK.GetArrayFromImage(opened) > 0
    return wide


def _demons(fixed: SimpleITK.Image, moving: SimpleITK.Image) -> SimpleITK.Image:
    """The displacement field on the grid of both, coarse level first; one thread, so that every run is the same."""
    field = SimpleITK.Image(fixed.GetSize(), SimpleITK.sitkVectorFloat64)
    field.CopyInformation(fixed)
    for factor, iterations in LEVELS:
        factors = [min(factor, size) for size in fixed.GetSize()]
        level_fixed, level_moving = (SimpleITK.BinShrink(image, factors) for image in (fixed, moving))
        start = SimpleITK.Resample(field, level_fixed, SimpleITK.Transform(), SimpleITK.sitkLinear)
        demons = SimpleITK.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfThreads(1)
        demons.SetNumberOfIterations(iterations)
        demons.SetStandardDeviations(SMOOTHING_VOXELS)
        field = demons.Execute(level_fixed, level_moving, start)
    return field
