"""The structured report: measurements after TID 1500 of PS3.16."""

from typing import Any, Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset

from dicom_node.results import codes
from dicom_node.results.context import Predecessor, ResultContext
from dicom_node.results.encode import local_moment, make_reproducible, stamp_for
from dicom_node.results.plan import SrClass
from dicom_node.results.references import evidence_item
from dicom_node.results.seg import series_description
from dicom_node.results.sr_groups import ReportMaterial, build_groups, key_slices
from dicom_node.results.sr_sections import build_sections
from dicom_node.results.uids import ResultUids, device_uid

SERIES_NUMBER: Final = 9001

SR_DOCUMENT: Final[dict[SrClass, type[ComprehensiveSR] | type[Comprehensive3DSR]]] = {
    SrClass.COMPREHENSIVE: ComprehensiveSR,
    SrClass.COMPREHENSIVE_3D: Comprehensive3DSR,
}


def build_report(
    material: ReportMaterial, sr_class: SrClass, *, context: ResultContext, uids: ResultUids
) -> ComprehensiveSR | Comprehensive3DSR:
    """The report on one study: complete, preliminary, unverified (PS3.3 C.17.2)."""
    content = build_content(material, context)[0]
    report = SR_DOCUMENT[sr_class](
        evidence=[material.images.first],
        content=without_children(content),
        **report_arguments(sr_class, context=context, uids=uids),
    )
    report.ContentSequence = content.ContentSequence
    report.CurrentRequestedProcedureEvidenceSequence = [evidence_item(material.images, _segmentations(material))]
    stamp = stamp_for(context, timezone_offset=material.images.timezone_offset, uids=uids)
    make_reproducible(report, stamp, kind="sr")
    return report


def report_arguments(sr_class: SrClass, *, context: ResultContext, uids: ResultUids) -> dict[str, Any]:
    """What highdicom's documents take beside evidence and content."""
    return {
        "series_instance_uid": uids.derive(f"sr series {sr_class}"),
        "series_number": SERIES_NUMBER,
        "sop_instance_uid": uids.derive(f"sr instance {sr_class}"),
        "instance_number": 1,
        "manufacturer": context.manufacturer,
        "manufacturer_model_name": "dicom-node",
        "software_versions": context.software_version,
        "device_serial_number": context.device_serial_number,
        "institution_name": context.institution or None,
        "series_description": series_description("AI measurements", context),
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
        "previous_versions": [_instance(context.predecessor)] if context.predecessor else None,
    }


def without_children(content: Dataset) -> Dataset:
    """The root of a content tree alone: highdicom would copy and search the whole tree several times."""
    root = Dataset()
    root.update({element.tag: element for element in content if element.keyword != "ContentSequence"})
    root.ContentSequence = []
    return root


def build_content(material: ReportMaterial, context: ResultContext) -> MeasurementReport:
    """The content tree (TID 1500 of PS3.16)."""
    images = material.images.datasets
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer(context)),
        procedure_reported=codes.CT_UNSPECIFIED_REGION,
        imaging_measurements=build_groups(material),
        referenced_images=[images[index] for index in key_slices(material)],
    )
    zone = local_moment(context, material.images.timezone_offset).tzinfo
    for section in build_sections(material.analysis.findings, zone):
        report[0].ContentSequence.append(section)
    return report


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


def _segmentations(material: ReportMaterial) -> list[Dataset]:
    """Both segmentations, which the report names as evidence beside every image that was analysed."""
    return [seg for seg in (material.lungs_segmentation, material.lesions_segmentation) if seg is not None]


def _instance(predecessor: Predecessor) -> Dataset:
    """The superseded report in the form that highdicom takes."""
    instance = Dataset()
    instance.SOPClassUID = predecessor.sop_class_uid
    instance.SOPInstanceUID = predecessor.sop_instance_uid
    instance.SeriesInstanceUID = predecessor.series_instance_uid
    instance.StudyInstanceUID = predecessor.study_instance_uid
    return instance
