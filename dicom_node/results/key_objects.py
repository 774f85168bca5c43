"""The key images of the lesions as a list that viewers can jump along (Key Object Selection, PS3.3 A.35.4)."""

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import (
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    ObserverContext,
)
from pydicom.dataset import Dataset

from dicom_node.results import codes
from dicom_node.results.common import common_arguments, member_of
from dicom_node.results.context import ResultContext
from dicom_node.results.derived_object import instances_of, name_frame
from dicom_node.results.encode import make_reproducible, stamp_for
from dicom_node.results.key_images import key_images
from dicom_node.results.preview import NOT_FOR_DIAGNOSIS
from dicom_node.results.sr_groups import ReportMaterial
from dicom_node.results.uids import ResultUids, device_uid


def build_key_objects(material: ReportMaterial, *, context: ResultContext, uids: ResultUids) -> Dataset:
    """The selection; there must be a lesion."""
    slices = key_images(material.analysis)
    content = KeyObjectSelection(
        document_title=codes.OF_INTEREST,
        referenced_objects=[material.images.datasets[k] for k in slices],
        observer_device_context=_observer(context),
        description=f"Largest section of each lesion. {NOT_FOR_DIAGNOSIS}.",
    )
    named = [item for item in content[0].ContentSequence if item.ValueType == "IMAGE"]
    for item, k in zip(named, slices, strict=True):
        name_frame(item.ReferencedSOPSequence[0], material.images.reference(k).frame_number)
    offset = material.images.timezone_offset
    made = KeyObjectSelectionDocument(
        evidence=instances_of(material.images, slices),
        content=content,
        **common_arguments(
            member_of("key_objects", "AI key images"),
            material.analysis.findings.algorithm,
            timezone_offset=offset,
            context=context,
            uids=uids,
        ),
    )
    # highdicom leaves out what is optional of patient and study, which then differs from the images.
    made.copy_patient_and_study_information(material.images.first)
    make_reproducible(made, stamp_for(context, timezone_offset=offset, uids=uids), kind="key_objects")
    return made


def _observer(context: ResultContext) -> ObserverContext:
    attributes = DeviceObserverIdentifyingAttributes(uid=device_uid(context), name="dicom-node")
    return ObserverContext(
        observer_type=CodedConcept.from_code(codes.DEVICE), observer_identifying_attributes=attributes
    )
