"""Measurement groups of the report: the numbers of a thing, then its outline on its key slice.

Each thing is two groups with one Tracking UID: TID 1411 or 1501 with the numbers, TID 1410 with a contour of more than
five points. Viewers merge them, show our numbers, and offer no editing that would replace them.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias, TypedDict

from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    ImageRegion,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    UIDRefContentItem,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.sr.coding import Code

from dicom_node.results import codes
from dicom_node.results.areas import area_by_slice, attenuation_of, diseased_area_by_slice, lung_area_by_slice
from dicom_node.results.contour import convex_outline, outer_contour
from dicom_node.results.encode import ascii_text, long_string
from dicom_node.results.plan import SrLayout
from dicom_node.results.seg import LUNG_NAME, LUNG_VALUE, algorithm_parameters, sides_present
from dicom_node.results.sentences import compared_with, name_of_prior
from dicom_node.results.source import SourceImages
from dicom_node.results.sr_numbers import lesion_numbers, lung_numbers, summary_numbers
from dicom_node.results.time_point import time_point
from dicom_node.results.uids import lung_tracking_uid
from pipeline.findings import Algorithm, Analysis, Findings, Lesion, LungFigures, Side, UsedPrior
from pipeline.study import Float64Array

Group: TypeAlias = (
    VolumetricROIMeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
    | MeasurementsAndQualitativeEvaluations
)

GroupPair: TypeAlias = tuple[Group, Group]
"""Numbers, then outline."""

BOTH_LUNGS_NAME: Final = "Both lungs"
LUNG_FOUND_NAME: Final = "Lung found"
"""Of the same Tracking UID where the other lung was not found."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportMaterial:
    """What the report is made from."""

    analysis: Analysis
    images: SourceImages
    lungs_segmentation: Segmentation
    lesions_segmentation: Segmentation | None
    """None when there is no lesion."""
    manufacturer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The thing that two groups describe."""

    tracking: TrackingIdentifier
    finding: Code
    category: Code
    site: FindingSite


class SubjectArguments(TypedDict):
    """The arguments that both groups of a thing share, by highdicom's names."""

    tracking_identifier: TrackingIdentifier
    finding_type: Code
    finding_category: Code
    finding_sites: list[FindingSite]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """A contour on one source image."""

    slice_index: int
    points: Float64Array


def build_groups(material: ReportMaterial, layout: SrLayout) -> list[Group]:
    """All groups; lesions first, because viewers jump to the first, largest first.

    For segments only: of each lesion the group with the numbers, so that group i is segment i of one segmentation;
    without lesions, of each lung.
    """
    lesions = _lesions(material)
    lungs = [lung_groups(material, lung, segment_number=number) for number, lung in _numbered_lungs(material.analysis)]
    if layout is SrLayout.SEGMENTS_ONLY:
        return [numbers for numbers, _ in lesions or lungs]
    return [group for pair in (*lesions, *lungs, both_lungs_groups(material)) for group in pair]


def _lesions(material: ReportMaterial) -> list[GroupPair]:
    segmentation = material.lesions_segmentation
    if segmentation is None:
        return []
    return [lesion_groups(material, lesion, segmentation=segmentation) for lesion in material.analysis.findings.lesions]


def key_slices(material: ReportMaterial) -> list[int]:
    """Every k that a contour lies on, ascending."""
    analysis = material.analysis
    lungs = [_largest_slice(analysis, side) for side in sides_present(analysis)]
    return sorted({lesion.key_slice for lesion in analysis.findings.lesions} | set(lungs) | {_summary_slice(analysis)})


def lesion_groups(material: ReportMaterial, lesion: Lesion, *, segmentation: Segmentation) -> GroupPair:
    """Numbers and outline of one lesion."""
    findings = material.analysis.findings
    subject = Subject(
        tracking=TrackingIdentifier(uid=lesion.tracking_uid, identifier=ascii_text(lesion.tracking_id)),
        finding=codes.LESION_KIND[lesion.kind],
        category=codes.MORPHOLOGICALLY_ABNORMAL,
        site=FindingSite(anatomic_location=codes.LUNG, laterality=codes.SIDE[lesion.side]),
    )
    numbers = VolumetricROIMeasurementsAndQualitativeEvaluations(
        **_of(subject),
        referenced_segment=_segment(segmentation, lesion.number, material),
        algorithm_id=_algorithm(material),
        time_point_context=time_point(findings, material.images.first),
        measurements=lesion_numbers(lesion),
        qualitative_evaluations=[QualitativeEvaluation(codes.QUALITATIVE_DIFFERENCE, codes.CHANGE[lesion.change])],
    )
    prior = compared_with(findings, lesion)
    if prior is not None:
        _name_prior(numbers, prior)
    mask = material.analysis.lesion_labels[lesion.key_slice] == lesion.number
    return numbers, _region(subject, Outline(slice_index=lesion.key_slice, points=outer_contour(mask)), material)


def lung_groups(material: ReportMaterial, figures: LungFigures, *, segment_number: int) -> GroupPair:
    """Numbers and outline of one lung."""
    analysis = material.analysis
    subject = Subject(
        tracking=TrackingIdentifier(
            uid=lung_tracking_uid(material.images.first, figures.side),
            identifier=LUNG_NAME[figures.side],
        ),
        finding=codes.LUNG,
        category=codes.ANATOMICAL_STRUCTURE,
        site=FindingSite(anatomic_location=codes.LUNG, laterality=codes.SIDE[figures.side]),
    )
    numbers = VolumetricROIMeasurementsAndQualitativeEvaluations(
        **_of(subject),
        referenced_segment=_segment(material.lungs_segmentation, segment_number, material),
        algorithm_id=_algorithm(material),
        time_point_context=time_point(analysis.findings, material.images.first),
        measurements=lung_numbers(
            figures, attenuation_of(analysis.volume.volume_hu, analysis.lung_mask, LUNG_VALUE[figures.side])
        ),
    )
    slice_index = _largest_slice(analysis, figures.side)
    mask = analysis.lung_mask[slice_index] == LUNG_VALUE[figures.side]
    outline = Outline(slice_index=slice_index, points=outer_contour(mask))
    return numbers, _region(subject, outline, material)


def both_lungs_groups(material: ReportMaterial) -> GroupPair:
    """Score, stage and involvement of the patient, with an outline around both lungs, or around the one that was found."""
    analysis, findings = material.analysis, material.analysis.findings
    sides = sides_present(analysis)
    is_single = len(sides) == 1
    subject = Subject(
        tracking=TrackingIdentifier(
            uid=lung_tracking_uid(material.images.first, None),
            identifier=LUNG_FOUND_NAME if is_single else BOTH_LUNGS_NAME,
        ),
        finding=codes.ABNORMAL_OPACITY if findings.lesions else codes.LUNG,
        category=codes.MORPHOLOGICALLY_ABNORMAL if findings.lesions else codes.ANATOMICAL_STRUCTURE,
        site=FindingSite(
            anatomic_location=codes.LUNG, laterality=codes.SIDE[sides[0]] if is_single else codes.BILATERAL
        ),
    )
    summary = MeasurementsAndQualitativeEvaluations(
        **_of(subject),
        algorithm_id=_algorithm(material, parameters=algorithm_parameters(findings.algorithm)),
        time_point_context=time_point(findings, material.images.first),
        measurements=summary_numbers(findings),
        qualitative_evaluations=[QualitativeEvaluation(name, value) for name, value in patient_codes(findings)],
    )
    slice_index = _summary_slice(analysis)
    outline = Outline(slice_index=slice_index, points=convex_outline(analysis.lung_mask[slice_index] > 0))
    return summary, _region(subject, outline, material)


def patient_codes(findings: Findings) -> list[tuple[Code, Code]]:
    """Names and values of what is said of the patient in codes: the stage, and the decision where one is made."""
    stage = (codes.DISEASE_STAGE, codes.STAGE[findings.stage])
    if findings.is_positive is None:
        return [stage]
    return [stage, (codes.DECISION, codes.POSITIVE if findings.is_positive else codes.NEGATIVE)]


def _largest_slice(analysis: Analysis, side: Side) -> int:
    """The k with most of a lung."""
    return int(area_by_slice(analysis.lung_mask, LUNG_VALUE[side]).argmax())


def _summary_slice(analysis: Analysis) -> int:
    """The slice with most lesion inside the lungs, else that with most lung."""
    diseased = diseased_area_by_slice(analysis.lung_mask, analysis.lesion_labels)
    return int(diseased.argmax() if diseased.any() else lung_area_by_slice(analysis.lung_mask).argmax())


def _numbered_lungs(analysis: Analysis) -> list[tuple[int, LungFigures]]:
    """Each lung that has a segment, with its segment number."""
    figures = {lung.side: lung for lung in analysis.findings.lungs}
    return [(number, figures[side]) for number, side in enumerate(sides_present(analysis), start=1)]


def _of(subject: Subject) -> SubjectArguments:
    return SubjectArguments(
        tracking_identifier=subject.tracking,
        finding_type=subject.finding,
        finding_category=subject.category,
        finding_sites=[subject.site],
    )


def _name_prior(group: Group, prior: UsedPrior) -> None:
    """Say which study the change is against, for people and for machines; last, because Tracking UID comes first."""
    contains = RelationshipTypeValues.CONTAINS
    named = ascii_text(name_of_prior(prior))
    group[0].ContentSequence.append(TextContentItem(codes.COMPARED_WITH, named, relationship_type=contains))
    group[0].ContentSequence.append(
        UIDRefContentItem(codes.COMPARED_STUDY, prior.study_instance_uid, relationship_type=contains)
    )


def _region(subject: Subject, outline: Outline, material: ReportMaterial) -> Group:
    sop_class_uid, sop_instance_uid, frame_number = material.images.reference(outline.slice_index)
    frames = None if frame_number is None else [frame_number]
    source = SourceImageForRegion(sop_class_uid, sop_instance_uid, referenced_frame_numbers=frames)
    region = ImageRegion(graphic_type="POLYLINE", graphic_data=outline.points, source_image=source)
    return PlanarROIMeasurementsAndQualitativeEvaluations(**_of(subject), referenced_region=region)


def _segment(segmentation: Segmentation, number: int, material: ReportMaterial) -> ReferencedSegment:
    series = SourceSeriesForSegmentation(str(material.images.first.SeriesInstanceUID))
    return ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=number,
        source_series=series,
    )


def _algorithm(material: ReportMaterial, parameters: dict[str, str] | None = None) -> AlgorithmIdentification:
    """TID 4019; its parameters once per report, to keep the text of every lesion short."""
    algorithm: Algorithm = material.analysis.findings.algorithm
    return AlgorithmIdentification(
        name=long_string(algorithm.name),
        version=long_string(algorithm.version),
        manufacturer=material.manufacturer,
        parameters=[ascii_text(f"{name}={value}") for name, value in parameters.items()] if parameters else None,
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )
