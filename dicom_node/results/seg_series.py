"""Fits a segmentation that was built on one image to the whole series."""

from collections.abc import Sequence
from typing import Final

from highdicom.spatial import get_volume_positions
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pydicom.valuerep import DSfloat, format_number_as_ds

from dicom_node.results.seg_frames import Frame
from dicom_node.results.source import SourceImages

THREE_DIMENSIONAL: Final = "3D"
"""Dimension Organization Type of frames that lie one behind the other (PS3.3 C.7.6.17)."""

BUILT_ON_ONE_IMAGE: Final = (
    "ReferencedSeriesSequence",
    "SourceImageSequence",
    "PerFrameFunctionalGroupsSequence",
    "PixelData",
)
"""What is encoded by us, over all images."""


def single_frame_stand_in(images: SourceImages) -> Dataset:
    """The first slice as a single-frame image, which is what highdicom takes one slice of a series for."""
    first = images.first
    if first.SOPClassUID == CTImageStorage:
        return first
    stand_in = Dataset()
    stand_in.update(first)
    # A data set that was updated shares its elements with the other: replace, do not assign.
    stand_in.add_new("SOPClassUID", "UI", CTImageStorage)
    return stand_in


def fit_to_series(segmentation: Dataset, frames: Sequence[Frame], images: SourceImages) -> None:
    """Say how the frames lie to each other; take out the one frame and the one image that it was built with."""
    spacing_mm = _organize(segmentation, frames, images) or _spacing_mm(images, range(len(images.datasets)))
    _say_spacing(segmentation, spacing_mm)
    segmentation.NumberOfFrames = len(frames)
    for keyword in BUILT_ON_ONE_IMAGE:
        delattr(segmentation, keyword)


def _say_spacing(segmentation: Dataset, spacing_mm: float | None) -> None:
    """Spacing Between Slices as the positions say, absent where they are not regular.

    What the source says is not repeated: it may be the thickness, or negative (PS3.3 C.7.6.16.2.1 wants neither).
    """
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if not spacing_mm:
        measures.pop("SpacingBetweenSlices", None)
    else:
        measures.SpacingBetweenSlices = DSfloat(format_number_as_ds(spacing_mm))


def _organize(segmentation: Dataset, frames: Sequence[Frame], images: SourceImages) -> float | None:
    """Frames that nothing but their place tells apart are `3D` if that place is regular: then their distance in mm."""
    slices = [frame.k for frame in frames]
    is_one_segment = len(segmentation.SegmentSequence) == 1
    spacing_mm = _spacing_mm(images, slices) if is_one_segment and len(slices) > 1 else None
    if spacing_mm:
        segmentation.DimensionOrganizationType = THREE_DIMENSIONAL
    else:
        segmentation.pop("DimensionOrganizationType", None)
    return spacing_mm


def _spacing_mm(images: SourceImages, slices: Sequence[int]) -> float | None:
    """Distance between these slices in mm, None where it is not regular."""
    positions = [[float(value) for value in images.datasets[k].ImagePositionPatient] for k in slices]
    spacing_mm, _ = get_volume_positions(
        image_positions=positions, image_orientation=images.first.ImageOrientationPatient
    )
    return None if spacing_mm is None else float(spacing_mm)
