"""Earlier studies brought onto the grid of the current one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from pipeline.orient import LpsVolume, image_from_array
from pipeline.study import BoolArray, Float64Array, Grid, Int16Array, UInt8Array

WORK_MM = 4.0
"""Spacing on which the affine is fitted: it leaves 2 mm of error, the temporal layers see cells of 8 to 16 mm."""

SMALLEST_DICE = 0.85
"""Lungs of one patient overlap by 0.97 and more after an affine (measured on phantom pairs: unaligned 0.84, lung boxes
0.97, affine 0.98). Below this the places of the two studies do not correspond: failed alignment, an operated or
collapsed lung, another part of the body. It does not tell patients apart: lungs of two phantom patients reach 0.93.
That is the task of the link."""

WORTH_DICE = 0.01
"""Grey values place inner structures better than outlines do, so the fit stands unless it costs more than this."""

SMALLEST_SHARED_SHARE = 0.5
"""An earlier study that shows less of the current lungs than this is no comparison."""

MARGIN_MM = 15.0
"""Around the lungs, for the metric: the pleura and the chest wall guide the fit."""

TISSUE_HU = (-1000.0, 0.0)
"""The metric sees nothing denser: lesions and contrast agent change between studies, lung and pleura stay."""

SCALE_LIMITS = (0.7, 1.4)
"""Of one lung box to another: breathing scales the height by about a fifth."""

AIR_HU = -1024
_ITERATIONS = 60
_TransformPoints = tuple[Float64Array, Float64Array]


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
    lung_dice: float
    """Of both lungs, where the earlier study was imaged."""
    shared_share: float
    """Of the current lungs that the earlier study shows."""

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
        return ""

    @property
    def volume_factor(self) -> float:
        """Volume in the earlier study per volume on the current grid."""
        return float(abs(np.linalg.det(affine_matrix(self.prior_from_current))))


def align_prior(
    prior: LpsVolume, prior_lungs: UInt8Array, current: LpsVolume, current_lungs: UInt8Array
) -> AlignedPrior:
    """The earlier study, warped by the best affine that lung boxes and grey values lead to.

    Args:
        prior: The earlier study.
        prior_lungs: Its lung mask, same shape, not empty.
        current: The study it is compared with.
        current_lungs: Its lung mask, same shape, not empty.
    """
    fixed_lungs = image_from_array(current_lungs, current.grid)
    moving_lungs = image_from_array(prior_lungs, prior.grid)
    small = _work_grid(fixed_lungs)
    starts = (_box_transform(fixed_lungs, moving_lungs), _centre_transform(fixed_lungs, moving_lungs))
    start = max(starts, key=lambda transform: _lung_dice(small, fixed_lungs, moving_lungs, transform))
    moving = image_from_array(prior.volume_hu, prior.grid)
    fixed = image_from_array(current.volume_hu, current.grid)
    fitted = _fitted((fixed, fixed_lungs), moving, small, start)
    lost = _lung_dice(small, fixed_lungs, moving_lungs, start) - _lung_dice(small, fixed_lungs, moving_lungs, fitted)
    best = start if lost > WORTH_DICE else fitted
    return _warped(prior, prior_lungs, best, current=current, current_lungs=current_lungs)


def warp_labels(labels: NDArray[Any], labels_grid: Grid, target: Grid, transform: SimpleITK.Transform) -> NDArray[Any]:
    """A label map on another grid, nearest neighbour.

    Args:
        labels: On `labels_grid`.
        labels_grid: Of the earlier study.
        target: Grid of the result.
        transform: From points of the target to points of `labels_grid`.
    """
    image = image_from_array(labels, labels_grid)
    warped = SimpleITK.Resample(
        image, reference_image(target), transform, SimpleITK.sitkNearestNeighbor, 0.0, image.GetPixelID()
    )
    array: NDArray[Any] = SimpleITK.GetArrayFromImage(warped)
    return array


def affine_matrix(transform: SimpleITK.Transform) -> Float64Array:
    """(3, 3): the linear part of an affine, which is all that `align_prior` makes."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    return np.stack([np.array(transform.TransformPoint(axis)) - origin for axis in np.eye(3).tolist()], axis=1)


def _warped(
    prior: LpsVolume,
    prior_lungs: UInt8Array,
    transform: SimpleITK.Transform,
    *,
    current: LpsVolume,
    current_lungs: UInt8Array,
) -> AlignedPrior:
    reference = reference_image(current.grid)
    moving = image_from_array(prior.volume_hu, prior.grid)
    warped = SimpleITK.Resample(moving, reference, transform, SimpleITK.sitkLinear, float(AIR_HU), SimpleITK.sitkInt16)
    everywhere = np.ones(prior.volume_hu.shape, np.uint8)
    valid = warp_labels(everywhere, prior.grid, current.grid, transform) > 0
    lungs = warp_labels(prior_lungs, prior.grid, current.grid, transform)
    current_inside = (current_lungs > 0) & valid
    return AlignedPrior(
        volume_hu=SimpleITK.GetArrayFromImage(warped),
        lung_mask=lungs,
        valid=valid,
        prior_from_current=transform,
        lung_dice=dice(current_inside, lungs > 0),
        shared_share=float(current_inside.sum()) / max(1, int(np.count_nonzero(current_lungs))),
    )


def dice(first: BoolArray, second: BoolArray) -> float:
    """Overlap of two masks, 0..1; 0 when both are empty."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2.0 * int(np.count_nonzero(first & second)) / total if total else 0.0


def reference_image(grid: Grid) -> SimpleITK.Image:
    """An image that has nothing but its place."""
    template = image_from_array(np.zeros((1, 1, 1), np.uint8), grid)
    reference = SimpleITK.Image([grid.shape[2], grid.shape[1], grid.shape[0]], SimpleITK.sitkUInt8)
    reference.SetSpacing(template.GetSpacing())
    reference.SetDirection(template.GetDirection())
    reference.SetOrigin(template.GetOrigin())
    return reference


def _work_grid(image: SimpleITK.Image) -> SimpleITK.Image:
    """The same place at `WORK_MM`."""
    extent_mm = [count * step for count, step in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    small = SimpleITK.Image([max(1, int(mm / WORK_MM)) for mm in extent_mm], SimpleITK.sitkUInt8)
    small.SetSpacing([WORK_MM] * 3)
    small.SetDirection(image.GetDirection())
    small.SetOrigin(image.GetOrigin())
    return small


def _lung_box(lungs: SimpleITK.Image) -> _TransformPoints:
    """Lowest and highest LPS coordinate of the lungs in mm."""
    z, y, x = np.nonzero(SimpleITK.GetArrayViewFromImage(lungs))
    index_steps = np.array(lungs.GetDirection()).reshape(3, 3) * np.array(lungs.GetSpacing())
    corners = np.array([[a, b, c] for a in _ends(x) for b in _ends(y) for c in _ends(z)], dtype=np.float64)
    points = corners @ index_steps.T + np.array(lungs.GetOrigin())
    return points.min(axis=0), points.max(axis=0)


def _ends(values: NDArray[np.int64]) -> tuple[int, int]:
    return int(values.min()), int(values.max())


def _box_transform(fixed_lungs: SimpleITK.Image, moving_lungs: SimpleITK.Image) -> SimpleITK.AffineTransform:
    """Scale and shift per axis that lays one lung box on the other."""
    fixed_low, fixed_high = _lung_box(fixed_lungs)
    moving_low, moving_high = _lung_box(moving_lungs)
    scale = np.clip((moving_high - moving_low) / np.maximum(fixed_high - fixed_low, 1.0), *SCALE_LIMITS)
    return _scale_about(scale, (fixed_low + fixed_high) / 2, (moving_low + moving_high) / 2)


def _centre_transform(fixed_lungs: SimpleITK.Image, moving_lungs: SimpleITK.Image) -> SimpleITK.AffineTransform:
    """Shift only, for studies of which one shows a part of the lungs: its box says nothing about size."""
    fixed_low, fixed_high = _lung_box(fixed_lungs)
    moving_low, moving_high = _lung_box(moving_lungs)
    return _scale_about(np.ones(3), (fixed_low + fixed_high) / 2, (moving_low + moving_high) / 2)


def _scale_about(scale: Float64Array, fixed: Float64Array, moving: Float64Array) -> SimpleITK.AffineTransform:
    """Scales about a fixed point, which lands on a moving point."""
    transform = SimpleITK.AffineTransform(3)
    transform.SetCenter([float(value) for value in fixed])
    transform.SetMatrix([float(value) for value in np.diag(scale).ravel()])
    transform.SetTranslation([float(value) for value in moving - fixed])
    return transform


def _lung_dice(
    small: SimpleITK.Image,
    fixed_lungs: SimpleITK.Image,
    moving_lungs: SimpleITK.Image,
    transform: SimpleITK.Transform,
) -> float:
    fixed = SimpleITK.Resample(fixed_lungs, small, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    moving = SimpleITK.Resample(moving_lungs, small, transform, SimpleITK.sitkNearestNeighbor)
    return dice(SimpleITK.GetArrayFromImage(fixed) > 0, SimpleITK.GetArrayFromImage(moving) > 0)


def _fitted(
    fixed: tuple[SimpleITK.Image, SimpleITK.Image],
    moving: SimpleITK.Image,
    small: SimpleITK.Image,
    start: SimpleITK.AffineTransform,
) -> SimpleITK.AffineTransform:
    """An affine that brings grey values together around the lungs, by mean squares.

    Every voxel is looked at, in one thread: the same input gives the same transform.
    """
    fixed_image, fixed_lungs = fixed
    lungs = SimpleITK.Resample(fixed_lungs, small, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    radius = max(1, round(MARGIN_MM / WORK_MM))
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetMetricFixedMask(SimpleITK.BinaryDilate(lungs > 0, [radius] * 3))
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=1e-3, numberOfIterations=_ITERATIONS, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = SimpleITK.AffineTransform(start)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(_tissue(fixed_image, small), _tissue(moving, _work_grid(moving)))
    except RuntimeError:
        return start
    return transform


def _tissue(image: SimpleITK.Image, small: SimpleITK.Image) -> SimpleITK.Image:
    """Smoothed, clipped to what stays between studies, at `WORK_MM`."""
    clipped = SimpleITK.Clamp(SimpleITK.Cast(image, SimpleITK.sitkFloat32), SimpleITK.sitkFloat32, *TISSUE_HU)
    sigmas = [max(1e-3, 0.5 * WORK_MM) if step < WORK_MM else 1e-3 for step in image.GetSpacing()]
    smooth = SimpleITK.DiscreteGaussian(clipped, [sigma**2 for sigma in sigmas])
    return SimpleITK.Resample(
        smooth, small, SimpleITK.Transform(), SimpleITK.sitkLinear, TISSUE_HU[0], SimpleITK.sitkFloat32
    )
