"""Reads segmentations with plain pydicom and numpy, by positions alone."""

import numpy as np
from pydicom.dataset import Dataset

from pipeline.study import BoolArray


def segments_by_label(segmentation: Dataset) -> dict[str, int]:
    """Segment numbers by label, in order."""
    return {segment.SegmentLabel: int(segment.SegmentNumber) for segment in segmentation.SegmentSequence}


def frames_of(segmentation: Dataset, number: int) -> list[tuple[Dataset, BoolArray]]:
    """Functional groups and pixels of each frame of a segment."""
    pixels = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns).astype(bool)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    found = []
    for frame, mask in zip(segmentation.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        holder = frame if "SegmentIdentificationSequence" in frame else shared
        if int(holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber) == number:
            found.append((frame, mask))
    return found


def centroid_lps_mm(segmentation: Dataset, number: int) -> list[float]:
    """Centre of mass of a segment from plane positions, orientation and spacing (PS3.3 C.7.6.2.1.1)."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    row_mm, column_mm = (float(value) for value in shared.PixelMeasuresSequence[0].PixelSpacing)
    points = []
    for frame, mask in frames_of(segmentation, number):
        origin = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        rows, columns = np.nonzero(mask)
        across, down = columns[:, None] * orientation[:3] * column_mm, rows[:, None] * orientation[3:] * row_mm
        points.append(origin + across + down)
    return [float(value) for value in np.concatenate(points).mean(axis=0)]


def voxel_count(segmentation: Dataset, number: int) -> int:
    """Voxels of a segment."""
    return sum(int(mask.sum()) for _, mask in frames_of(segmentation, number))


def voxels_by_source(segmentation: Dataset, number: int) -> dict[str, BoolArray]:
    """The mask of a segment on each source image that its frames name."""
    return {
        str(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID): mask
        for frame, mask in frames_of(segmentation, number)
    }
