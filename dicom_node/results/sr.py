"""The structured report: measurements after TID 1500 of PS3.16, or text after TID 2000."""

from typing import Any, Final, TypeAlias

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    EnhancedSR,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage, Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from dicom_node.results import codes
from dicom_node.results.common import Member, common_arguments
from dicom_node.results.context import Predecessor, ResultContext
from dicom_node.results.encode import make_reproducible, stamp_for
from dicom_node.results.library_frames import name_library_frames
from dicom_node.results.plan import SrClass, SrLayout
from dicom_node.results.references import evidence_item
from dicom_node.results.sr_groups import ReportMaterial, build_groups, key_slices
from dicom_node.results.sr_sections import build_sections
from dicom_node.results.sr_text import build_text
from dicom_node.results.uids import ResultUids, device_uid

Report: TypeAlias = ComprehensiveSR | Comprehensive3DSR | EnhancedSR

SR_DOCUMENT: Final[dict[SrClass, type[ComprehensiveSR] | type[Comprehensive3DSR] | type[EnhancedSR]]] = {
    SrClass.COMPREHENSIVE: ComprehensiveSR,
    SrClass.COMPREHENSIVE_3D: Comprehensive3DSR,
    SrClass.ENHANCED: EnhancedSR,
    SrClass.BASIC_TEXT: EnhancedSR,
}
"""highdicom has no Basic Text SR: it is made as an Enhanced SR of less content, then given its own SOP class."""

SOP_CLASS_UID: Final[dict[SrClass, str]] = {
    SrClass.COMPREHENSIVE: ComprehensiveSRStorage,
    SrClass.COMPREHENSIVE_3D: Comprehensive3DSRStorage,
    SrClass.ENHANCED: EnhancedSRStorage,
    SrClass.BASIC_TEXT: BasicTextSRStorage,
}


def build_report(material: ReportMaterial, sr_class: SrClass, *, context: ResultContext, uids: ResultUids) -> Report:
    """The report on one study: complete, preliminary, unverified (PS3.3 C.17.2)."""
    content = build_content(material, sr_class, context)
    report = SR_DOCUMENT[sr_class](
        evidence=[material.images.first],
        content=without_children(content),
        **report_arguments(material, sr_class, context=context, uids=uids),
    )
    report.ContentSequence = content.ContentSequence
    report.CurrentRequestedProcedureEvidenceSequence = [
        evidence_item(material.images, segmentations_of(material, context.plan.sr_layout))
    ]
    if sr_class is SrClass.BASIC_TEXT:
        report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    name_library_frames(report, material.images, key_slices(material))
    stamp = stamp_for(context, timezone_offset=material.images.timezone_offset, uids=uids)
    make_reproducible(report, stamp, kind="sr")
    return report


def report_arguments(
    material: ReportMaterial, sr_class: SrClass, *, context: ResultContext, uids: ResultUids
) -> dict[str, Any]:
    """What highdicom's documents take beside evidence and content."""
    form = f"{sr_class} {context.plan.sr_layout}"
    member = Member(
        kind="sr",
        title="AI text report" if sr_class is SrClass.BASIC_TEXT else "AI measurements",
        series_name=f"sr series {form}",
        instance_name=f"sr instance {form}",
    )
    algorithm, offset = material.analysis.findings.algorithm, material.images.timezone_offset
    predecessor = context.predecessor_of(SOP_CLASS_UID[sr_class])
    return common_arguments(member, algorithm, timezone_offset=offset, context=context, uids=uids) | {
        "coding_schemes": [
            CodingSchemeIdentificationItem(
                designator=codes.OWN_SCHEME,
                name=codes.OWN_SCHEME_NAME,
                responsible_organization=context.manufacturer,
            )
        ],
        "is_complete": True,
        "is_final": False,
        "is_verified": False,
        "previous_versions": [_instance(predecessor)] if predecessor else None,
    }


def without_children(content: Dataset) -> Dataset:
    """The root of a content tree alone: highdicom would copy and search the whole tree several times."""
    root = Dataset()
    root.update({element.tag: element for element in content if element.keyword != "ContentSequence"})
    root.ContentSequence = []
    return root


def build_content(material: ReportMaterial, sr_class: SrClass, context: ResultContext) -> Dataset:
    """Root of the content tree."""
    return _text(material, context) if sr_class is SrClass.BASIC_TEXT else _measurements(material, context)


def _measurements(material: ReportMaterial, context: ResultContext) -> Dataset:
    """Root of the content after TID 1500."""
    images = material.images.datasets
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer(context)),
        procedure_reported=codes.CT_UNSPECIFIED_REGION,
        imaging_measurements=build_groups(material, context.plan.sr_layout),
        referenced_images=[images[index] for index in key_slices(material)],
    )
    for section in build_sections(material.analysis):
        report[0].ContentSequence.append(section)
    return report[0]


def _text(material: ReportMaterial, context: ResultContext) -> Dataset:
    """Root of the content after TID 2000."""
    observer = ObservationContext(observer_device_context=_observer(context))
    return build_text(material, observer)


def _observer(context: ResultContext) -> ObserverContext:
    attributes = DeviceObserverIdentifyingAttributes(
        uid=device_uid(context),
        name="dicom-node",
        manufacturer_name=context.manufacturer,
        model_name="dicom-node",
        serial_number=context.device_serial_number,
    )
    return ObserverContext(
        observer_type=CodedConcept.from_code(codes.DEVICE), observer_identifying_attributes=attributes
    )


def segmentations_of(material: ReportMaterial, layout: SrLayout) -> list[Dataset]:
    """The segmentations that are evidence beside the images: both; for segments only, the one that the groups name."""
    lungs, lesions = material.lungs_segmentation, material.lesions_segmentation
    if lesions is None:
        return [lungs]
    return [lesions] if layout is SrLayout.SEGMENTS_ONLY else [lungs, lesions]


def _instance(predecessor: Predecessor) -> Dataset:
    """The superseded report in the form that highdicom takes."""
    instance = Dataset()
    instance.SOPClassUID = predecessor.sop_class_uid
    instance.SOPInstanceUID = predecessor.sop_instance_uid
    instance.SeriesInstanceUID = predecessor.series_instance_uid
    instance.StudyInstanceUID = predecessor.study_instance_uid
    return instance
