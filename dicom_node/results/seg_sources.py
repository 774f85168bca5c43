"""What a segmentation says about the slices it was drawn on, where they are frames of multi-frame objects.

highdicom takes one multi-frame object whose frames are all used and share one orientation and spacing. What was
analysed may be some frames of several objects; so it gets a single-frame stand-in for each slice, and the references
to stand-ins become references to frames afterwards.
"""

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from dicom_node.results.source import ImageReference, SourceImages
from dicom_node.results.uids import derive_uid


def single_frame_sources(images: SourceImages) -> tuple[Dataset, ...]:
    """The source images in slice order, each a single-frame image with a UID of its own."""
    if not images.is_multi_frame:
        return images.datasets
    return tuple(_stand_in(dataset, images.reference(k)) for k, dataset in enumerate(images.datasets))


def name_frames(segmentation: Dataset, images: SourceImages) -> None:
    """Refer to the frames themselves in place of their stand-ins; nothing to do for single-frame images."""
    if not images.is_multi_frame:
        return
    references = [images.reference(k) for k in range(len(images.datasets))]
    named = {_stand_in_uid(reference): reference for reference in references}
    for groups in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in groups.DerivationImageSequence:
            for source in derivation.SourceImageSequence:
                _name_frame(source, named)
    instances = [_instance(dataset) for dataset in images.instances]
    segmentation.SourceImageSequence = instances
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = instances


def _stand_in(dataset: Dataset, reference: ImageReference) -> Dataset:
    stand_in = Dataset()
    stand_in.update(dataset)
    stand_in.add_new("SOPClassUID", "UI", CTImageStorage)
    stand_in.add_new("SOPInstanceUID", "UI", _stand_in_uid(reference))
    return stand_in


def _stand_in_uid(reference: ImageReference) -> str:
    return derive_uid("stand-in", reference.sop_instance_uid, str(reference.frame_number))


def _name_frame(source: Dataset, named: dict[str, ImageReference]) -> None:
    """Frames of a segmentation share items, so one may be named already."""
    reference = named.get(str(source.ReferencedSOPInstanceUID))
    if reference is None:
        return
    source.ReferencedSOPClassUID = reference.sop_class_uid
    source.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reference.frame_number is not None:
        source.ReferencedFrameNumber = reference.frame_number


def _instance(dataset: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    return item
