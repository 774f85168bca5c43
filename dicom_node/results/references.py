"""How results name the images that they were made from; an instance with many slices is named once."""

from collections.abc import Iterable
from typing import Final

from pydicom.dataset import Dataset

from dicom_node.results.elements import code_item, sequence, text_element
from dicom_node.results.source import SourceImages

SOURCE_FOR_PROCESSING: Final = code_item("121322", "DCM", "Source image for image processing operation")
"""CID 7202; the purpose that highdicom writes."""

REFERENCED_SERIES_TAG: Final = 0x00081115
SOURCE_IMAGE_TAG: Final = 0x00082112


def source_image_item(images: SourceImages, k: int) -> bytes:
    """Slice k as the content of an item of Source Image Sequence (Derivation Image macro, PS3.3 C.7.6.16.2.6)."""
    sop_class_uid, sop_instance_uid, frame_number = images.reference(k)
    frame = b"" if frame_number is None else text_element(0x00081160, "IS", str(frame_number))
    return b"".join(
        (
            text_element(0x00081150, "UI", sop_class_uid),
            text_element(0x00081155, "UI", sop_instance_uid),
            frame,
            text_element(0x0028135A, "CS", "YES"),  # Spatial Locations Preserved
            sequence(0x0040A170, SOURCE_FOR_PROCESSING),
        )
    )


def encoded_references(images: SourceImages) -> dict[int, bytes]:
    """Referenced Series Sequence (PS3.3 C.12.2) and Source Image Sequence over all images, as elements by their tags."""
    instances = [
        text_element(0x00081150, "UI", sop_class_uid) + text_element(0x00081155, "UI", sop_instance_uid)
        for sop_class_uid, sop_instance_uid in _instances(images)
    ]
    series = sequence(0x0008114A, *instances) + text_element(0x0020000E, "UI", str(images.first.SeriesInstanceUID))
    return {
        REFERENCED_SERIES_TAG: sequence(REFERENCED_SERIES_TAG, series),
        SOURCE_IMAGE_TAG: sequence(SOURCE_IMAGE_TAG, *instances),
    }


def evidence_item(images: SourceImages, results: Iterable[Dataset]) -> Dataset:
    """All images and the results made with them, which are of the same study (PS3.3 C.17.2, evidence sequences)."""
    series = {str(images.first.SeriesInstanceUID): [_instance(*names) for names in _instances(images)]}
    for result in results:
        instances = series.setdefault(str(result.SeriesInstanceUID), [])
        instances.append(_instance(str(result.SOPClassUID), str(result.SOPInstanceUID)))
    item = Dataset()
    item.StudyInstanceUID = images.first.StudyInstanceUID
    item.ReferencedSeriesSequence = [_series(uid, instances) for uid, instances in series.items()]
    return item


def _instances(images: SourceImages) -> list[tuple[str, str]]:
    """SOP class and SOP instance of each instance once, in slice order."""
    return list(dict.fromkeys(images.reference(k)[:2] for k in range(len(images.datasets))))


def _series(series_instance_uid: str, instances: list[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series_instance_uid
    item.ReferencedSOPSequence = instances
    return item


def _instance(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.add_new(0x00081150, "UI", sop_class_uid)
    item.add_new(0x00081155, "UI", sop_instance_uid)
    return item
