"""Arrays of one study on the grid of another."""

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from pipeline.orient import image_from_array
from pipeline.padding import NOT_IMAGED_HU, padding_marked
from pipeline.study import AIR_HU, BoolArray, Grid, Int16Array


def warp_volume(
    volume_hu: Int16Array, imaged: BoolArray, volume_grid: Grid, target: Grid, transform: SimpleITK.Transform
) -> tuple[Int16Array, BoolArray]:
    """A volume on another grid, linear, with where it shows something; air elsewhere.

    Args:
        volume_hu: On `volume_grid`.
        imaged: Where it shows something, the same shape.
        volume_grid: Of the earlier study.
        target: Grid of the result.
        transform: From points of the target to points of `volume_grid`.
    """
    # One expression, so that a copy of the volume is freed before the next but one is made.
    array: Int16Array = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(
            image_from_array(padding_marked(volume_hu, imaged), volume_grid),
            reference_image(target),
            transform,
            SimpleITK.sitkLinear,
            float(NOT_IMAGED_HU),
            SimpleITK.sitkInt16,
        )
    )
    # Of what was imaged nothing is less than air; a little of what was not brings a value far below.
    valid = array >= AIR_HU
    np.maximum(array, np.int16(AIR_HU), out=array)
    return array, valid


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


def reference_image(grid: Grid) -> SimpleITK.Image:
    """An image that has nothing but its place."""
    template = image_from_array(np.zeros((1, 1, 1), np.uint8), grid)
    reference = SimpleITK.Image([grid.shape[2], grid.shape[1], grid.shape[0]], SimpleITK.sitkUInt8)
    reference.SetSpacing(template.GetSpacing())
    reference.SetDirection(template.GetDirection())
    reference.SetOrigin(template.GetOrigin())
    return reference


def dice(first: BoolArray, second: BoolArray) -> float:
    """Overlap of two masks, 0..1; 0 when both are empty."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2.0 * int(np.count_nonzero(first & second)) / total if total else 0.0
