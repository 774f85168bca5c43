"""The image library of a report, where its images are frames of multi-frame objects."""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from dicom_node.results import codes
from dicom_node.results.source import SourceImages


def name_library_frames(report: Dataset, images: SourceImages, slices: Sequence[int]) -> None:
    """Say which frame each entry of the image library (PS3.16 TID 1600) is; highdicom names the instance only.

    Args:
        report: Whose library, if it has one, was made of the `slices`, in that order.
        images: The source images.
        slices: Every k in the library.
    """
    entries = list(_library_images(report))
    for entry, k in zip(entries, slices if entries else (), strict=True):
        frame_number = images.reference(k).frame_number
        if frame_number is not None:
            entry.ReferencedSOPSequence[0].ReferencedFrameNumber = frame_number


def _library_images(report: Dataset) -> Iterator[Dataset]:
    """The image items of the library, in order."""
    for item in report.ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == codes.IMAGE_LIBRARY.value:
            for group in item.ContentSequence:
                yield from (entry for entry in group.ContentSequence if entry.ValueType == "IMAGE")
