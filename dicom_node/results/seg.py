"""Segmentations of lungs and lesions (Segmentation Storage, PS3.3 A.51)."""

from dataclasses import dataclass
from typing import Any, Final

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.results import codes
from dicom_node.results.areas import holds
from dicom_node.results.colours import LESION_RGB, LUNG_RGB, Rgb
from dicom_node.results.common import Member, common_arguments
from dicom_node.results.context import ResultContext
from dicom_node.results.encode import dicom_bytes, long_string, make_reproducible, stamp_for
from dicom_node.results.references import encoded_references
from dicom_node.results.seg_frames import Segments, encoded_frames, frames_of
from dicom_node.results.seg_series import fit_to_series, single_frame_stand_in
from dicom_node.results.source import SourceImages
from dicom_node.results.uids import ResultUids, lung_tracking_uid
from pipeline.findings import Algorithm, Analysis, Lesion, LesionKind, Side
from pipeline.study import LEFT_LUNG, RIGHT_LUNG

LUNG_VALUE: Final = {Side.RIGHT: RIGHT_LUNG, Side.LEFT: LEFT_LUNG}
LUNG_NAME: Final = {Side.RIGHT: "Right lung", Side.LEFT: "Left lung"}
KIND_NAME: Final = {LesionKind.GROUND_GLASS: "ground glass", LesionKind.CONSOLIDATION: "consolidation"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentPlan:
    """What one segmentation holds."""

    kind: str
    """`seg-lungs` or `seg-lesions`."""
    title: str
    """Becomes series and content description."""
    content_label: str
    """VR CS: capitals, at most 16."""
    voxels: Segments
    segments: tuple[SegmentDescription, ...]
    algorithm: Algorithm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedSegmentation:
    """A segmentation as a file, with what others say about it."""

    header: Segmentation
    """Without frames and without the names of the images."""
    data: bytes


def build_segmentation(
    plan: SegmentPlan, images: SourceImages, *, context: ResultContext, uids: ResultUids
) -> EncodedSegmentation:
    """The segmentation as highdicom would write it, with the frames encoded by us."""
    pixel = np.zeros((1, *plan.voxels.labels.shape[1:]), np.uint8)
    pixel[0, 0, 0] = 1
    header = Segmentation(
        source_images=[single_frame_stand_in(images)],
        pixel_array=pixel,
        **segmentation_arguments(plan, images, context=context, uids=uids),
    )
    frames = frames_of(plan.voxels)
    fit_to_series(header, frames, images)
    stamp = stamp_for(context, timezone_offset=images.timezone_offset, uids=uids)
    make_reproducible(header, stamp, kind=plan.kind)
    encoded = encoded_references(images) | encoded_frames(frames, plan.voxels, images)
    return EncodedSegmentation(header=header, data=dicom_bytes(header, encoded))


def plan_lungs(analysis: Analysis, images: SourceImages, context: ResultContext) -> SegmentPlan:
    """One segment per lung that the mask holds, right before left."""
    sides, algorithm = sides_present(analysis), analysis.findings.algorithm
    return SegmentPlan(
        kind="seg-lungs",
        title="AI lungs",
        content_label="AI_LUNGS",
        voxels=Segments(labels=analysis.lung_mask, values=tuple(LUNG_VALUE[side] for side in sides)),
        segments=tuple(
            _lung_segment(number, side, algorithm, context, patient=images.first)
            for number, side in enumerate(sides, start=1)
        ),
        algorithm=algorithm,
    )


def plan_lesions(analysis: Analysis, context: ResultContext) -> SegmentPlan:
    """One segment per lesion, numbered like the lesions; there must be one."""
    findings = analysis.findings
    numbers = tuple(lesion.number for lesion in findings.lesions)
    return SegmentPlan(
        kind="seg-lesions",
        title="AI lesions",
        content_label="AI_LESIONS",
        voxels=Segments(labels=analysis.lesion_labels, values=numbers),
        segments=tuple(_lesion_segment(lesion, findings.algorithm, context) for lesion in findings.lesions),
        algorithm=findings.algorithm,
    )


def sides_present(analysis: Analysis) -> tuple[Side, ...]:
    """The lungs that the mask holds, right before left: the order of their segments."""
    return tuple(side for side, value in LUNG_VALUE.items() if holds(analysis.lung_mask, value))


def algorithm_parameters(algorithm: Algorithm) -> dict[str, str]:
    """What reproduces the algorithm's answer: weights and thresholds."""
    return {
        "weights_sha256": algorithm.weights_sha256,
        "trained_on_synthetic_data_only": "yes" if algorithm.synthetic_training_only else "no",
        **{name: f"{value:g}" for name, value in sorted(algorithm.thresholds.items())},
    }


def segmentation_arguments(
    plan: SegmentPlan, images: SourceImages, *, context: ResultContext, uids: ResultUids
) -> dict[str, Any]:
    """What highdicom's `Segmentation` takes beside images and pixels."""
    member = Member(
        kind=plan.kind, title=plan.title, series_name=f"{plan.kind} series", instance_name=f"{plan.kind} instance"
    )
    offset = images.timezone_offset
    return common_arguments(member, plan.algorithm, timezone_offset=offset, context=context, uids=uids) | {
        "segmentation_type": "BINARY",
        "segment_descriptions": plan.segments,
        "content_label": plan.content_label,
        "content_description": plan.title,
        "transfer_syntax_uid": ExplicitVRLittleEndian,
    }


def _lung_segment(
    number: int, side: Side, algorithm: Algorithm, context: ResultContext, *, patient: Dataset
) -> SegmentDescription:
    segment = SegmentDescription(
        segment_number=number,
        segment_label=LUNG_NAME[side],
        segmented_property_category=codes.ANATOMICAL_STRUCTURE,
        segmented_property_type=codes.LUNG,
        algorithm_type="AUTOMATIC",
        algorithm_identification=_identification(algorithm, context),
        tracking_uid=lung_tracking_uid(patient, side),
        tracking_id=LUNG_NAME[side],
        display_color=_colour(LUNG_RGB[side]),
    )
    _add_modifier(segment, codes.SIDE[side])
    return segment


def _lesion_segment(lesion: Lesion, algorithm: Algorithm, context: ResultContext) -> SegmentDescription:
    return SegmentDescription(
        segment_number=lesion.number,
        segment_label=long_string(f"{lesion.tracking_id}, {KIND_NAME[lesion.kind]}, {lesion.side.value}"),
        segmented_property_category=codes.MORPHOLOGICALLY_ABNORMAL,
        segmented_property_type=codes.LESION_KIND[lesion.kind],
        algorithm_type="AUTOMATIC",
        algorithm_identification=_identification(algorithm, context),
        tracking_uid=lesion.tracking_uid,
        tracking_id=lesion.tracking_id,
        anatomic_regions=[codes.LUNG],
        display_color=_colour(LESION_RGB[lesion.kind]),
    )


def _add_modifier(segment: SegmentDescription, laterality: Code) -> None:
    """Say the side (PS3.3 C.8.20.4, Segmented Property Type Modifier); highdicom has no argument for it."""
    property_type = segment.SegmentedPropertyTypeCodeSequence[0]
    property_type.SegmentedPropertyTypeModifierCodeSequence = [CodedConcept.from_code(laterality)]


def _identification(algorithm: Algorithm, context: ResultContext) -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name=long_string(algorithm.name),
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=long_string(algorithm.version),
        source=context.manufacturer,
        parameters=algorithm_parameters(algorithm),
    )


def _colour(rgb: Rgb) -> hd.color.CIELabColor:
    return hd.color.CIELabColor.from_rgb(*rgb)
