"""Measurement groups of the report: the numbers of a thing, then its outline on its key slice.

Each thing is two groups with one Tracking UID: TID 1411 or 1501 with the numbers, TID 1410 with a contour of more than
five points. Viewers merge them, show our numbers, and offer no editing that would replace them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypedDict

from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.sr.coding import Code

from dicom_node.results import codes
from dicom_node.results.areas import area_by_slice, attenuation_of, diseased_area_by_slice, lung_area_by_slice
from dicom_node.results.contour import convex_outline, outer_contour
from dicom_node.results.encode import ascii_text, long_string
from dicom_node.results.seg import LUNG_NAME, LUNG_VALUE, algorithm_parameters, sides_present
from dicom_node.results.source import SourceImages
from dicom_node.results.uids import lung_tracking_uid
from pipeline.findings import Algorithm, Analysis, Lesion, LungFigures, Side
from pipeline.study import Float64Array

Group: TypeAlias = (
    VolumetricROIMeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
    | MeasurementsAndQualitativeEvaluations
)

BOTH_LUNGS_NAME: Final = "Both lungs"


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


def build_groups(material: ReportMaterial) -> list[Group]:
    """All groups; lesions first, because viewers jump to the first, largest first."""
    groups: list[Group] = []
    if material.lesions_segmentation is not None:
        for lesion in material.analysis.findings.lesions:
            groups += lesion_groups(material, lesion, segmentation=material.lesions_segmentation)
    for number, figures in _numbered_lungs(material.analysis):
        groups += lung_groups(material, figures, segment_number=number)
    return groups + both_lungs_groups(material)


def key_slices(material: ReportMaterial) -> list[int]:
    """Every k that a contour lies on, ascending."""
    analysis = material.analysis
    lungs = [_largest_slice(analysis, side) for side in sides_present(analysis)]
    return sorted({lesion.key_slice for lesion in analysis.findings.lesions} | set(lungs) | {_summary_slice(analysis)})


def lesion_groups(material: ReportMaterial, lesion: Lesion, *, segmentation: Segmentation) -> list[Group]:
    """Numbers and outline of one lesion."""
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
        measurements=_lesion_numbers(lesion),
        qualitative_evaluations=[QualitativeEvaluation(codes.QUALITATIVE_DIFFERENCE, codes.CHANGE[lesion.change])],
    )
    mask = material.analysis.lesion_labels[lesion.key_slice] == lesion.number
    return [numbers, _region(subject, Outline(slice_index=lesion.key_slice, points=outer_contour(mask)), material)]


def lung_groups(material: ReportMaterial, figures: LungFigures, *, segment_number: int) -> list[Group]:
    """Numbers and outline of one lung."""
    analysis = material.analysis
    subject = Subject(
        tracking=TrackingIdentifier(
            uid=lung_tracking_uid(analysis.findings.study_instance_uid, figures.side),
            identifier=LUNG_NAME[figures.side],
        ),
        finding=codes.LUNG,
        category=codes.ANATOMICAL_STRUCTURE,
        site=FindingSite(anatomic_location=codes.LUNG, laterality=codes.SIDE[figures.side]),
    )
    attenuation = attenuation_of(analysis.volume.volume_hu, analysis.lung_mask, LUNG_VALUE[figures.side])
    numbers = VolumetricROIMeasurementsAndQualitativeEvaluations(
        **_of(subject),
        referenced_segment=_segment(material.lungs_segmentation, segment_number, material),
        algorithm_id=_algorithm(material),
        measurements=[
            _volume(codes.VOLUME, figures.volume_ml),
            _attenuation(codes.MEAN_ATTENUATION, attenuation.mean_hu),
            _attenuation(codes.SD_ATTENUATION, attenuation.sd_hu),
            _volume(codes.LESION_VOLUME, figures.lesion_volume_ml),
            _percent(codes.INVOLVEMENT, figures.involvement_percent),
        ],
    )
    slice_index = _largest_slice(analysis, figures.side)
    mask = analysis.lung_mask[slice_index] == LUNG_VALUE[figures.side]
    outline = Outline(slice_index=slice_index, points=outer_contour(mask))
    return [numbers, _region(subject, outline, material)]


def both_lungs_groups(material: ReportMaterial) -> list[Group]:
    """Score, stage and involvement of the patient, with an outline around both lungs."""
    analysis, findings = material.analysis, material.analysis.findings
    subject = Subject(
        tracking=TrackingIdentifier(
            uid=lung_tracking_uid(findings.study_instance_uid, None), identifier=BOTH_LUNGS_NAME
        ),
        finding=codes.ABNORMAL_OPACITY if findings.lesions else codes.LUNG,
        category=codes.MORPHOLOGICALLY_ABNORMAL if findings.lesions else codes.ANATOMICAL_STRUCTURE,
        site=FindingSite(anatomic_location=codes.LUNG, laterality=codes.BILATERAL),
    )
    summary = MeasurementsAndQualitativeEvaluations(
        **_of(subject),
        algorithm_id=_algorithm(material, parameters=algorithm_parameters(findings.algorithm)),
        measurements=[
            _count(codes.LESION_COUNT, len(findings.lesions)),
            _volume(codes.LESION_VOLUME, sum(lung.lesion_volume_ml for lung in findings.lungs)),
            _percent(codes.INVOLVEMENT, findings.involvement_percent),
            _score(codes.PATIENT_SCORE, findings.patient_score),
        ],
        qualitative_evaluations=[QualitativeEvaluation(codes.DISEASE_STAGE, codes.STAGE[findings.stage])],
    )
    slice_index = _summary_slice(analysis)
    outline = Outline(slice_index=slice_index, points=convex_outline(analysis.lung_mask[slice_index] > 0))
    return [summary, _region(subject, outline, material)]


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


def _region(subject: Subject, outline: Outline, material: ReportMaterial) -> Group:
    source = SourceImageForRegion.from_source_image(material.images.datasets[outline.slice_index])
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


def _lesion_numbers(lesion: Lesion) -> Sequence[Measurement]:
    return [
        _volume(codes.VOLUME, lesion.volume_ml),
        _attenuation(codes.MEAN_ATTENUATION, lesion.mean_hu),
        _attenuation(codes.SD_ATTENUATION, lesion.sd_hu),
        _percent(codes.SHARE_OF_LUNG, lesion.share_of_lung_percent),
        *_change_numbers(lesion),
        _score(codes.LESION_SCORE, lesion.score),
    ]


def _change_numbers(lesion: Lesion) -> Sequence[Measurement]:
    """Nothing without a prior volume; no percentage of nothing."""
    prior_ml = lesion.prior_volume_ml
    if prior_ml is None:
        return []
    change_ml = lesion.volume_ml - prior_ml
    numbers = [_volume(codes.PRIOR_VOLUME, prior_ml), _volume(codes.VOLUME_CHANGE, change_ml)]
    if prior_ml > 0:
        numbers.append(_percent(codes.RELATIVE_VOLUME_CHANGE, 100.0 * change_ml / prior_ml))
    return numbers


def _count(name: Code, count: int) -> Measurement:
    """A whole number without the decimal point that highdicom writes."""
    measurement = Measurement(name=name, value=count, unit=codes.LESIONS)
    measurement[0].MeasuredValueSequence[0].NumericValue = str(count)
    return measurement


def _volume(name: Code, volume_ml: float) -> Measurement:
    return Measurement(name=name, value=round(float(volume_ml), 3), unit=codes.CUBIC_CENTIMETER)


def _attenuation(name: Code, hounsfield: float) -> Measurement:
    return Measurement(name=name, value=round(float(hounsfield), 1), unit=codes.HOUNSFIELD_UNIT)


def _percent(name: Code, percent: float) -> Measurement:
    return Measurement(name=name, value=round(float(percent), 2), unit=codes.PERCENT)


def _score(name: Code, score: float) -> Measurement:
    return Measurement(name=name, value=round(float(score), 3), unit=codes.ZERO_TO_ONE)
