"""The affine that lays one chest on another."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import SimpleITK

from pipeline.chest_volume import ChestVolume
from pipeline.lung_checks import CUT_AREA_CM2
from pipeline.orient import LpsVolume, image_from_array
from pipeline.study import BoolArray, Float64Array
from pipeline.warp import dice

WORK_MM = 4.0
"""Spacing on which the affine is fitted: the bending that no affine takes up is 2 to 3 mm, the temporal layers see
cells of 8 to 16 mm."""

WORTH_DICE = 0.01
"""Grey values place inner structures better than outlines do, so the fit stands unless it costs more than this."""

MARGIN_MM = 15.0
"""Around the lungs, for the metric: the pleura and the chest wall guide the fit."""

TISSUE_HU = (-1000, 0)
"""The metric sees nothing denser: lesions and contrast agent change between studies, lung and pleura stay."""

SCALE_LIMITS = (0.7, 1.4)
"""Of one lung box to another: breathing scales the height by about a fifth."""

START_STEP_MM = 10.0
"""Between heights at which a part of the lungs is tried against the whole: grey values bring it from there to its place."""

_ITERATIONS = 60

Linear = TypeVar("Linear", SimpleITK.AffineTransform, SimpleITK.Euler3DTransform)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chest:
    """A study as alignment sees it, at about `WORK_MM`."""

    tissue: SimpleITK.Image
    """float32 HU, clipped to `TISSUE_HU`."""
    lungs: SimpleITK.Image
    """uint8 on the same grid, 1 in both lungs."""
    imaged: SimpleITK.Image
    """uint8 on the same grid, 1 where the study shows something."""
    low_mm: Float64Array
    """x, y, z in LPS: the lowest corner of the box around the lungs."""
    high_mm: Float64Array
    is_cut_below: bool
    """The lungs go on below the images."""
    is_cut_above: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedAffine:
    """What lays the moving chest on the fixed one."""

    transform: SimpleITK.AffineTransform
    """From points of the fixed chest to the same places of the moving one."""
    overlap: float
    """See `lung_overlap`."""


def chest_of(study: ChestVolume) -> Chest:
    """What the fit sees of a study with lungs."""
    volume = study.lps
    sides = zip(reversed(volume.spacing_mm), reversed(volume.grid.shape), strict=True)
    factors = [min(size, max(1, int(WORK_MM / step))) for step, size in sides]
    clipped = SimpleITK.Clamp(image_from_array(volume.volume_hu, volume.grid), SimpleITK.sitkInt16, *TISSUE_HU)
    tissue = SimpleITK.Cast(SimpleITK.BinShrink(clipped, factors), SimpleITK.sitkFloat32)
    lungs, imaged = (
        SimpleITK.Resample(
            image_from_array(mask, volume.grid), tissue, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor
        )
        for mask in (study.lung_mask, study.imaged.view(np.uint8))
    )
    low_mm, high_mm = _lung_box(study.lung_mask > 0, volume)
    return Chest(
        tissue=tissue,
        lungs=lungs > 0,
        imaged=imaged,
        low_mm=low_mm,
        high_mm=high_mm,
        is_cut_below=_is_cut(study, 0),
        is_cut_above=_is_cut(study, -1),
    )


def show_opposite_parts(fixed: Chest, moving: Chest) -> bool:
    """Whether the lungs of one study go on below its images and those of the other above: neither shows their height."""
    return (fixed.is_cut_below and moving.is_cut_above) or (fixed.is_cut_above and moving.is_cut_below)


def _is_cut(study: ChestVolume, end: int) -> bool:
    """Whether the lungs reach the lowest slice that shows something, 0, or the highest, -1."""
    last = np.flatnonzero(study.imaged.any(axis=(1, 2)))[end]
    area_cm2 = float(np.count_nonzero(study.lung_mask[last])) * float(np.prod(study.lps.spacing_mm[1:])) / 100.0
    return area_cm2 > CUT_AREA_CM2


def lung_overlap(fixed: Chest, moving: Chest, transform: SimpleITK.Transform) -> float:
    """Dice of the lungs after the transform, 0..1, of the part that both studies show."""
    moved, imaged = (
        SimpleITK.GetArrayFromImage(SimpleITK.Resample(one, fixed.lungs, transform, SimpleITK.sitkNearestNeighbor)) > 0
        for one in (moving.lungs, moving.imaged)
    )
    here, shown = (SimpleITK.GetArrayViewFromImage(one) > 0 for one in (fixed.lungs, fixed.imaged))
    return dice(here & imaged, moved & shown)


def fitted_affine(fixed: Chest, moving: Chest) -> FittedAffine:
    """By lung boxes and grey values.

    Studies that show opposite parts of the lungs have no heights that could be held against each other, and an affine may
    stretch one part onto the other. The fit is tried with a shift and a turn before the affine too, and the better overlap counts.
    """

    def measured(transform: SimpleITK.AffineTransform) -> FittedAffine:
        return FittedAffine(transform=transform, overlap=lung_overlap(fixed, moving, transform))

    if not show_opposite_parts(fixed, moving):
        start = _best(map(measured, (box_transform(fixed, moving), *_shifts(fixed, moving))))
        return _unless_worse(measured(_fitted(fixed, moving, start.transform)), start)
    start = _best(map(measured, _shifts(fixed, moving)))
    turned = _turned(fixed, moving, start.transform)
    fits = (measured(_fitted(fixed, moving, one)) for one in (start.transform, turned))
    return _unless_worse(_best(fits), start)


def _best(fits: Iterable[FittedAffine]) -> FittedAffine:
    """The one of the largest overlap, of equals the first."""
    return max(fits, key=lambda one: one.overlap)


def _unless_worse(fit: FittedAffine, other: FittedAffine) -> FittedAffine:
    """A fit, unless it costs overlap that it is not worth."""
    return other if other.overlap - fit.overlap > WORTH_DICE else fit


def box_transform(fixed: Chest, moving: Chest) -> SimpleITK.AffineTransform:
    """Scale and shift per axis that lays one lung box on the other."""
    scale = (moving.high_mm - moving.low_mm) / np.maximum(fixed.high_mm - fixed.low_mm, 1.0)
    middle_mm = (fixed.low_mm + fixed.high_mm) / 2
    return _affine(np.clip(scale, *SCALE_LIMITS), middle_mm, (moving.low_mm + moving.high_mm) / 2 - middle_mm)


def affine_matrix(affine: SimpleITK.AffineTransform) -> Float64Array:
    """(3, 3): its linear part."""
    return np.array(affine.GetMatrix()).reshape(3, 3)


def _lung_box(lungs: BoolArray, volume: LpsVolume) -> tuple[Float64Array, Float64Array]:
    """Lowest and highest LPS coordinate of the lungs in mm."""
    filled = [np.flatnonzero(lungs.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    ends = [(int(index[0]), int(index[-1])) for index in filled]
    corners = np.array([[k, j, i, 1.0] for k in ends[0] for j in ends[1] for i in ends[2]])
    points = corners @ volume.grid.affine_lps_from_kji[:3].T
    return points.min(axis=0), points.max(axis=0)


def _shifts(fixed: Chest, moving: Chest) -> list[SimpleITK.AffineTransform]:
    """Shift only, for studies of which one shows a part of the lungs: its box says nothing about size.

    The middles of the boxes on each other, then heights from the lower ends on each other to the upper ends.
    """
    middle_mm = (fixed.low_mm + fixed.high_mm) / 2
    shift_mm = (moving.low_mm + moving.high_mm) / 2 - middle_mm
    ends_mm = (moving.low_mm - fixed.low_mm)[2], (moving.high_mm - fixed.high_mm)[2]
    count = 2 + int(abs(ends_mm[1] - ends_mm[0]) / START_STEP_MM)
    heights_mm = (shift_mm[2], *np.linspace(*ends_mm, count))
    return [_affine(np.ones(3), middle_mm, np.array([*shift_mm[:2], height])) for height in heights_mm]


def _affine(scale: Float64Array, middle_mm: Float64Array, shift_mm: Float64Array) -> SimpleITK.AffineTransform:
    """Scales about a place, then shifts."""
    transform = SimpleITK.AffineTransform(3)
    transform.SetCenter(middle_mm.tolist())
    transform.SetMatrix(np.diag(scale).ravel().tolist())
    transform.SetTranslation(shift_mm.tolist())
    return transform


def _turned(fixed: Chest, moving: Chest, start: SimpleITK.AffineTransform) -> SimpleITK.AffineTransform:
    """A shift and a turn that bring grey values together, from a shift."""
    rigid = SimpleITK.Euler3DTransform()
    rigid.SetCenter(start.GetCenter())
    rigid.SetTranslation(start.GetTranslation())
    rigid = _fitted(fixed, moving, rigid)
    transform = SimpleITK.AffineTransform(start)
    transform.SetMatrix(rigid.GetMatrix())
    transform.SetTranslation(rigid.GetTranslation())
    return transform


def _fitted(fixed: Chest, moving: Chest, start: Linear) -> Linear:
    """A transform that brings grey values together around the lungs, by mean squares.

    Every voxel is looked at, in one thread: the same input gives the same transform.
    """
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.NONE)
    radius = [max(1, round(MARGIN_MM / step)) for step in fixed.lungs.GetSpacing()]
    method.SetMetricFixedMask(SimpleITK.BinaryDilate(fixed.lungs, radius) & fixed.imaged)
    method.SetMetricMovingMask(moving.imaged)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=1e-3, numberOfIterations=_ITERATIONS, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = type(start)(start)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed.tissue, moving.tissue)
    except RuntimeError:
        return start
    return transform
