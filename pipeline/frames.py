"""The frames of a multi-frame CT, each as the header of the single image that it stands for."""

from collections.abc import Iterator

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

MULTI_FRAME_CT = frozenset({EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
"""The two whose frames carry functional groups (PS3.3 A.38, A.70)."""

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"

_SAME_NAME = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "FrameContentSequence": ("StackID", "TemporalPositionIndex"),
    "UnassignedSharedConvertedAttributesSequence": ("ConvolutionKernel", "AcquisitionNumber", "BodyPartExamined"),
    "UnassignedPerFrameConvertedAttributesSequence": ("ConvolutionKernel", "AcquisitionNumber", "BodyPartExamined"),
}
"""Functional groups and what single images say under the same name (PS3.3 C.7.6.16.2, C.8.15.3, C.7.6.16.2.25)."""

_COMPUTED = frozenset(
    {"ADDITION", "DIVISION", "MASKED", "MAXIMUM", "MEAN", "MINIMUM", "MULTIPLICATION", "QUANTITY", "RESAMPLED"}
    | {"STD_DEVIATION", "SUBTRACTION"}
)
"""Fourth values of Frame Type (0008,9007) of frames made from other frames (PS3.3 C.8.16.1.4)."""

_NOT_CALCULATED = frozenset({"", "NONE", "MIXED"})
"""Volume Based Calculation Techniques (0008,9207) that are no projection or reformat (PS3.3 C.8.16.2.1.3)."""


def is_multi_frame_ct(dataset: Dataset) -> bool:
    """Whether the frames of an instance are to be taken apart."""
    return str(dataset.get("SOPClassUID", "")).strip("\0 ") in MULTI_FRAME_CT


def frame_count(dataset: Dataset) -> int:
    """How many frames the functional groups describe; Number of Frames (0028,0008) may say otherwise."""
    return len(dataset.get(PER_FRAME) or ())


def frame_headers(dataset: Dataset) -> Iterator[Dataset]:
    """One header per frame, in the order of the frames, as a single-frame CT image would have it.

    What a frame's own functional groups say stands over the shared groups, and those over the top level. Elements are
    shared with the data set, so they are replaced, never changed; most are taken over as they are encoded, so that a
    senseless one is found where it is read.
    """
    top = _without_frames(dataset)
    for group in dataset.get(SHARED) or ():
        _add_groups(top, group)
    for group in dataset.get(PER_FRAME) or ():
        header = Dataset()
        header.update(top)
        _add_groups(header, group)
        yield header


def _without_frames(dataset: Dataset) -> Dataset:
    top = Dataset()
    top.update(dataset)
    for keyword in (SHARED, PER_FRAME, "NumberOfFrames"):
        top.pop(keyword, None)
    return top


def _add_groups(header: Dataset, groups: Dataset) -> None:
    """Put what functional groups say to where single images say it."""
    for sequence, keywords in _SAME_NAME.items():
        for keyword in keywords:
            _copy(header, groups, sequence, source=keyword, target=keyword)
    _copy(header, groups, "FrameContentSequence", source="FrameAcquisitionNumber", target="AcquisitionNumber")
    _copy(header, groups, "FrameContentSequence", source="FrameAcquisitionDateTime", target="AcquisitionDateTime")
    _copy_region(header, groups)
    _copy_type(header, groups)


def _copy(header: Dataset, groups: Dataset, sequence: str, *, source: str, target: str) -> None:
    item = _item(groups, sequence)
    tag = tag_for_keyword(source)
    if item is None or tag is None or tag not in item:
        return
    if source == target:
        header[tag] = item.get_item(tag)
    else:
        header.add_new(target, dictionary_VR(target), item[tag].value)


def _item(groups: Dataset, sequence: str) -> Dataset | None:
    return next(iter(groups.get(sequence) or ()), None)


def _copy_region(header: Dataset, groups: Dataset) -> None:
    anatomy = _item(groups, "FrameAnatomySequence")
    region = _item(anatomy, "AnatomicRegionSequence") if anatomy is not None else None
    if region is not None and region.get("CodeMeaning"):
        header.add_new("BodyPartExamined", "LO", str(region.CodeMeaning))


def _copy_type(header: Dataset, groups: Dataset) -> None:
    """Frame Type in the words of Image Type; what was computed from other frames is called a reformat."""
    frame_type = _item(groups, "CTImageFrameTypeSequence")
    if frame_type is None:
        return
    values: list[str] = [str(value) for value in frame_type.get("FrameType") or []]
    technique = str(frame_type.get("VolumeBasedCalculationTechnique") or "")
    if technique not in _NOT_CALCULATED or not _COMPUTED.isdisjoint(values[3:]):
        values.append("REFORMATTED")
    header.add_new("ImageType", "CS", values)
