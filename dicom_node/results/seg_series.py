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
    _say_spacing(segmentation, images)
    _say_organization(segmentation, frames, images)
    segmentation.NumberOfFrames = len(frames)
    for keyword in BUILT_ON_ONE_IMAGE:
        delattr(segmentation, keyword)


def _say_spacing(segmentation: Dataset, images: SourceImages) -> None:
    """Spacing Between Slices: what the source says, else what the positions say where they are regular."""
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if "SpacingBetweenSlices" in images.first:
        return
    spacing_mm = _spacing_mm(images, range(len(images.datasets)))
    if spacing_mm is None:
        measures.pop("SpacingBetweenSlices", None)
    else:
        measures.SpacingBetweenSlices = DSfloat(format_number_as_ds(spacing_mm))


def _say_organization(segmentation: Dataset, frames: Sequence[Frame], images: SourceImages) -> None:
    """Frames that nothing but their place tells apart are `3D` if that place is regular."""
    slices = [frame.k for frame in frames]
    is_one_segment = len(segmentation.SegmentSequence) == 1
    if is_one_segment and len(slices) > 1 and _spacing_mm(images, slices):
        segmentation.DimensionOrganizationType = THREE_DIMENSIONAL
    else:
        segmentation.pop("DimensionOrganizationType", None)


def _spacing_mm(images: SourceImages, slices: Sequence[int]) -> float | None:
    """Distance between these slices, None where it is not regular."""
    positions = [[float(value) for value in images.datasets[k].ImagePositionPatient] for k in slices]
    spacing_mm, _ = get_volume_positions(
        image_positions=positions, image_orientation=images.first.ImageOrientationPatient
    )
    return None if spacing_mm is None else float(spacing_mm)
