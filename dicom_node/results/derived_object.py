"""Objects of no IOD that highdicom makes: what they have of patient, study, series, equipment."""

from collections.abc import Iterable
from dataclasses import dataclass

from highdicom import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.results.common import common_arguments, member_of
from dicom_node.results.context import ResultContext
from dicom_node.results.encode import make_reproducible, stamp_for
from dicom_node.results.source import SourceImages
from dicom_node.results.sr_groups import ReportMaterial
from dicom_node.results.uids import ResultUids


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPlan:
    """What one object is."""

    kind: str
    """`pdf` or `capture`."""
    sop_class_uid: str
    modality: str
    title: str
    """Becomes the series description."""
    instance_number: int = 1


def new_object(plan: ObjectPlan, material: ReportMaterial, *, context: ResultContext, uids: ResultUids) -> SOPClass:
    """An object of the study, still without content; patient and study are those of the source images."""
    source, offset = material.images.first, material.images.timezone_offset
    arguments = common_arguments(
        member_of(plan.kind, plan.title, instance_number=plan.instance_number),
        material.analysis.findings.algorithm,
        timezone_offset=offset,
        context=context,
        uids=uids,
    )
    equipment = arguments.pop("contributing_equipment")
    made = SOPClass(
        study_instance_uid=source.StudyInstanceUID,
        sop_class_uid=plan.sop_class_uid,
        modality=plan.modality,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=source.get("SpecificCharacterSet"),
        **arguments,
    )
    made.copy_patient_and_study_information(source)
    made.ContributingEquipmentSequence = equipment
    stamp = stamp_for(context, timezone_offset=offset, uids=uids)
    make_reproducible(made, stamp, kind=plan.kind)
    return made


def image_references(images: SourceImages, slices: Iterable[int]) -> list[Dataset]:
    """One item for each slice (PS3.3 10.3, Image SOP Instance Reference Macro)."""
    references = []
    for k in slices:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID, frame_number = images.reference(k)
        name_frame(reference, frame_number)
        references.append(reference)
    return references


def name_frame(reference: Dataset, frame_number: int | None) -> None:
    """Say which frame of a multi-frame object an item refers to."""
    if frame_number is not None:
        reference.ReferencedFrameNumber = frame_number


def instance_references(images: SourceImages, slices: Iterable[int]) -> list[Dataset]:
    """One item for each object that slices were read from (PS3.3 10.8, SOP Instance Reference Macro)."""
    references = []
    for instance in instances_of(images, slices):
        reference = Dataset()
        reference.ReferencedSOPClassUID = instance.SOPClassUID
        reference.ReferencedSOPInstanceUID = instance.SOPInstanceUID
        references.append(reference)
    return references


def instances_of(images: SourceImages, slices: Iterable[int]) -> list[Dataset]:
    """The objects that slices were read from, each once."""
    return list({str(images.datasets[k].SOPInstanceUID): images.datasets[k] for k in slices}.values())
