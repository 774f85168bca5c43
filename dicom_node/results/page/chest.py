"""The analysis in patient order, with what the pictures of the page are cut from it."""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

import contourpy
import numpy as np
from PIL import Image
from scipy import ndimage

from dicom_node.results.key_images import image_name
from dicom_node.results.page.pen import Box, Point
from pipeline.findings import Analysis, Lesion
from pipeline.orient import lps_from_source, lps_mask_from_source
from pipeline.study import BoolArray, Float64Array, Int16Array, UInt8Array, UInt16Array

WINDOW_HU: Final = (-1350.0, 150.0)
"""The usual lung window, level -600, width 1500."""

PIXELS_PER_MM: Final = 11.0
"""Of a picture on paper, about 280 per inch."""

JPEG_QUALITY: Final = 88


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A rectangle of a plane of voxels, in voxels from the corner of the first."""

    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chest:
    """Arrays (z, y, x) in patient order: to superior, posterior, left."""

    volume_hu: Int16Array
    lung_mask: UInt8Array
    labels: UInt16Array
    spacing_mm: tuple[float, float, float]
    lesions: tuple[Lesion, ...]
    boxes: tuple[tuple[slice, slice, slice], ...]
    """Around each lesion, in their order."""
    key_slices: tuple[int, ...]
    """z of the slice with the largest area of each lesion, in their order."""
    image_names: tuple[str, ...]
    """What each slice is called."""

    def box_of(self, lesion: Lesion) -> tuple[slice, slice, slice]:
        """Around a lesion."""
        return self.boxes[lesion.number - 1]

    def is_on(self, lesion: Lesion, z: int) -> bool:
        """Whether a slice shows a lesion."""
        along_z, rows, columns = self.box_of(lesion)
        inside = along_z.start <= z < along_z.stop
        return inside and bool((self.labels[z, rows, columns] == lesion.number).any())


def chest_of(analysis: Analysis) -> Chest:
    """The analysis, turned and not interpolated."""
    lps = lps_from_source(analysis.volume)
    labels = lps_mask_from_source(analysis.lesion_labels, lps)
    # One voxel wide, so that turning it tells which image each slice is, where slices are images.
    depth = analysis.volume.grid.shape[0]
    order = lps_mask_from_source(np.arange(depth).reshape(depth, 1, 1), lps)
    source_of_z = order.max(axis=(1, 2)) if order.shape[0] == depth else None
    boxes = tuple(ndimage.find_objects(labels, max_label=len(analysis.findings.lesions)))
    return Chest(
        volume_hu=lps.volume_hu,
        lung_mask=lps_mask_from_source(analysis.lung_mask, lps),
        labels=labels,
        spacing_mm=lps.spacing_mm,
        lesions=analysis.findings.lesions,
        boxes=boxes,
        key_slices=tuple(
            _key_slice(labels, lesion, box, source_of_z)
            for lesion, box in zip(analysis.findings.lesions, boxes, strict=True)
        ),
        image_names=tuple(
            _image_name(analysis, lps.grid.affine_lps_from_kji, z, source_of_z) for z in range(len(labels))
        ),
    )


def _key_slice(labels: UInt16Array, lesion: Lesion, box: tuple[slice, ...], source_of_z: np.ndarray | None) -> int:
    """Where the findings say; in slices across images where the area is largest."""
    if source_of_z is not None:
        return int(np.flatnonzero(source_of_z == lesion.key_slice)[0])
    return int(box[0].start + np.count_nonzero(labels[box] == lesion.number, axis=(1, 2)).argmax())


def _image_name(analysis: Analysis, affine: Float64Array, z: int, source_of_z: np.ndarray | None) -> str:
    """Of the image; of a slice across images its height."""
    if source_of_z is None:
        return f"z {float(affine[2, 3] + z * affine[2, 0]):.0f} mm"
    k = int(source_of_z[z])
    return image_name(analysis.volume.slice_headers[k], k)


def slice_view(chest: Chest, box: Box) -> View:
    """What slices show: both lungs with a margin, in the proportions of a box of the page."""
    rows = np.flatnonzero((chest.lung_mask > 0).any(axis=(0, 2)))
    columns = np.flatnonzero((chest.lung_mask > 0).any(axis=(0, 1)))
    return around((rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1), chest.spacing_mm[1:], box, margin_mm=14.0)


def around(
    rows: tuple[float, float],
    columns: tuple[float, float],
    spacing_mm: tuple[float, float],
    box: Box,
    *,
    margin_mm: float,
) -> View:
    """The smallest view with the proportions of `box` that holds a range of rows and columns and a margin."""
    height_mm = (rows[1] - rows[0]) * spacing_mm[0] + 2 * margin_mm
    width_mm = (columns[1] - columns[0]) * spacing_mm[1] + 2 * margin_mm
    width_mm = max(width_mm, height_mm * box.width / box.height)
    height_mm = width_mm * box.height / box.width
    height, width = height_mm / spacing_mm[0], width_mm / spacing_mm[1]
    return View(
        top=(rows[0] + rows[1] - height) / 2, left=(columns[0] + columns[1] - width) / 2, height=height, width=width
    )


def jpeg_of(plane: np.ndarray, view: View, box: Box, limits: tuple[float, float]) -> bytes:
    """A view of a plane in grey, black where there is nothing."""
    whole = max(limits[1] - limits[0], 1.0)
    grey = np.clip((plane.astype(np.float32) - limits[0]) / whole, 0, 1) * 255
    size = (round(box.width * PIXELS_PER_MM), round(box.height * PIXELS_PER_MM))
    extent = (view.left, view.top, view.left + view.width, view.top + view.height)
    picture = Image.fromarray(grey.astype(np.uint8)).transform(
        size, Image.Transform.EXTENT, extent, Image.Resampling.BICUBIC
    )
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def outlines(mask: BoolArray, corner: tuple[int, int], view: View, box: Box) -> list[list[Point]]:
    """Every border of a mask, on the page.

    Args:
        mask: (rows, columns), cut out of its plane.
        corner: Row and column of its first pixel in the plane.
        view: What of the plane is shown.
        box: Where on the page.
    """
    lines = contourpy.contour_generator(z=np.pad(mask.astype(np.float64), 1), name="serial").lines(0.5)
    return [
        [on_page((float(x) - 0.5 + corner[1], float(y) - 0.5 + corner[0]), view, box) for x, y in np.asarray(line)]
        for line in lines
    ]


def deepest(mask: BoolArray, corner: tuple[int, int], view: View, box: Box) -> tuple[Point, float]:
    """The point of a mask that is farthest from its border, on the page, and how far in mm; arguments as above."""
    mm_per_voxel = (box.height / view.height, box.width / view.width)
    depth_mm = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=mm_per_voxel)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth_mm.argmax()), mask.shape)
    place = (float(column) + 0.5 + corner[1], float(row) + 0.5 + corner[0])
    return on_page(place, view, box), float(depth_mm.max())


def on_page(place: tuple[float, float], view: View, box: Box) -> Point:
    """Column and row of a plane, in voxels from the corner of the first, in mm of the page."""
    x = box.left + (place[0] - view.left) / view.width * box.width
    y = box.top + (place[1] - view.top) / view.height * box.height
    return x, y
