"""The structured report: measurements after TID 1500 of PS3.16, or text after TID 2000."""

from datetime import tzinfo
from typing import Final, TypeAlias

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
from pydicom.uid import BasicTextSRStorage

from dicom_node.results import codes
from dicom_node.results.context import Predecessor, ResultContext
from dicom_node.results.encode import local_moment, make_reproducible, stamp_for
from dicom_node.results.equipment import processing_equipment
from dicom_node.results.plan import SrClass, SrLayout
from dicom_node.results.seg import series_description
from dicom_node.results.sr_groups import ReportMaterial, build_groups, key_slices
from dicom_node.results.sr_sections import build_sections
from dicom_node.results.sr_text import build_text
from dicom_node.results.uids import ResultUids, device_uid

SERIES_NUMBER: Final = 9001

Report: TypeAlias = ComprehensiveSR | Comprehensive3DSR | EnhancedSR

SR_DOCUMENT: Final[dict[SrClass, type[ComprehensiveSR] | type[Comprehensive3DSR] | type[EnhancedSR]]] = {
    SrClass.COMPREHENSIVE: ComprehensiveSR,
    SrClass.COMPREHENSIVE_3D: Comprehensive3DSR,
    SrClass.ENHANCED: EnhancedSR,
    SrClass.BASIC_TEXT: EnhancedSR,
}
"""highdicom has no Basic Text SR: it is made as an Enhanced SR of less content, then given its own SOP class."""


def build_report(material: ReportMaterial, sr_class: SrClass, *, context: ResultContext, uids: ResultUids) -> Report:
    """The report on one study: complete, preliminary, unverified (PS3.3 C.17.2)."""
    is_text = sr_class is SrClass.BASIC_TEXT
    form = f"{sr_class} {context.plan.sr_layout}"
    timezone_offset = material.images.timezone_offset
    report = SR_DOCUMENT[sr_class](
        evidence=_evidence(material, context.plan.sr_layout),
        content=_text(material, context) if is_text else _measurements(material, context),
        series_instance_uid=uids.derive(f"sr series {form}"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids.derive(f"sr instance {form}"),
        instance_number=1,
        manufacturer=context.manufacturer,
        manufacturer_model_name="dicom-node",
        software_versions=context.software_version,
        device_serial_number=context.device_serial_number,
        institution_name=context.institution or None,
        series_description=series_description("AI text report" if is_text else "AI measurements", context),
        coding_schemes=[
            CodingSchemeIdentificationItem(
                designator=codes.OWN_SCHEME,
                name=codes.OWN_SCHEME_NAME,
                responsible_organization=context.manufacturer,
            )
        ],
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=[_instance(context.predecessor)] if context.predecessor else None,
        contributing_equipment=[
            processing_equipment(material.analysis.findings.algorithm, context, timezone_offset=timezone_offset)
        ],
    )
    if is_text:
        report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    stamp = stamp_for(context, timezone_offset=timezone_offset, uids=uids)
    make_reproducible(report, stamp, kind="sr")
    return report


def _measurements(material: ReportMaterial, context: ResultContext) -> Dataset:
    """Root of the content after TID 1500."""
    images, zone = material.images.datasets, _zone(material, context)
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer(context)),
        procedure_reported=codes.CT_UNSPECIFIED_REGION,
        imaging_measurements=build_groups(material, context.plan.sr_layout, zone),
        referenced_images=[images[index] for index in key_slices(material)],
    )
    for section in build_sections(material.analysis, zone):
        report[0].ContentSequence.append(section)
    return report[0]


def _text(material: ReportMaterial, context: ResultContext) -> Dataset:
    """Root of the content after TID 2000."""
    observer = ObservationContext(observer_device_context=_observer(context))
    return build_text(material, observer, _zone(material, context))


def _zone(material: ReportMaterial, context: ResultContext) -> tzinfo | None:
    return local_moment(context, material.images.timezone_offset).tzinfo


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


def _evidence(material: ReportMaterial, layout: SrLayout) -> list[Dataset]:
    """Every image that was analysed and both segmentations; for segments only, the one that the groups name."""
    lungs, lesions = material.lungs_segmentation, material.lesions_segmentation
    if lesions is None:
        return [*material.images.datasets, lungs]
    return [*material.images.datasets, *([lesions] if layout is SrLayout.SEGMENTS_ONLY else [lungs, lesions])]


def _instance(predecessor: Predecessor) -> Dataset:
    """The superseded report in the form that highdicom takes."""
    instance = Dataset()
    instance.SOPClassUID = predecessor.sop_class_uid
    instance.SOPInstanceUID = predecessor.sop_instance_uid
    instance.SeriesInstanceUID = predecessor.series_instance_uid
    instance.StudyInstanceUID = predecessor.study_instance_uid
    return instance
